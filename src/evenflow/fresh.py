"""fresh: another object with the same options, for a solve of its own."""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import cache
from typing import TypeVar

__all__ = ["fresh"]

T = TypeVar("T")

_fields = cache(fields)


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
    other = object.__new__(type(options))
    own = vars(other)
    for field in _fields(type(options)):  # type: ignore[arg-type]
        if field.init:
            own[field.name] = getattr(options, field.name)
        elif field.default_factory is not MISSING:
            own[field.name] = field.default_factory()
        elif field.default is not MISSING:
            own[field.name] = field.default
    check = getattr(other, "__post_init__", None)
    if check is not None:
        check()
    return other
