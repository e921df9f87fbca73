"""fresh: another object with the same options, for a solve of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, TypeVar

__all__ = ["fresh"]

T = TypeVar("T")


@cache
def _fields(kind: type) -> tuple[list[str], dict[str, Any], dict[str, Callable[[], Any]]]:
    """Names of the options of a dataclass; what else its objects begin with: values, and what makes values."""
    others = [field for field in fields(kind) if not field.init]
    values = {field.name: field.default for field in others if field.default is not MISSING}
    makers = {field.name: field.default_factory for field in others if field.default_factory is not MISSING}
    return [field.name for field in fields(kind) if field.init], values, makers


def fresh(options: T) -> T:
    """Return a dataclass object as it was when it was made, whatever a solve has left in the given one.

    What ``dataclasses.replace`` does without changes, at a third of its price, which is several energy passes on a
    small graph.

    Examples
    --------
    >>> from evenflow.fresh import fresh
    >>> from evenflow.minimizer import SGD
    >>> fresh(SGD(lr=0.5)).lr
    0.5
    """
    names, values, makers = _fields(type(options))  # type: ignore[arg-type]
    other = object.__new__(type(options))
    given, own = vars(options), vars(other)
    for name in names:
        own[name] = given[name]
    own.update(values)
    for name, make in makers.items():
        own[name] = make()
    check = getattr(other, "__post_init__", None)
    if check is not None:
        check()
    return other
