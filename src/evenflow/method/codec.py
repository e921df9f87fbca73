"""Methods as data: dataclasses of options written to checkpoints and read back, without pickle."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from evenflow.errors import InputError

__all__ = ["decode", "encode"]

_TYPE = "__type__"


def encode(node: Any) -> Any:
    """Turn a tree of option dataclasses into dicts, lists and JSON scalars.

    Raises
    ------
    InputError
        If something in it is not data (a callable, say).
    """
    if is_dataclass(node) and not isinstance(node, type):
        options = {entry.name: encode(getattr(node, entry.name)) for entry in fields(node) if entry.init}
        return {_TYPE: type(node).__name__, **options}
    if isinstance(node, dict):
        return {str(key): encode(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [encode(value) for value in node]
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    raise InputError(f"cannot save {node!r}: only numbers, strings and evenflow's own options go into a checkpoint")


def decode(node: Any) -> Any:
    """Inverse of :func:`encode`; builds only classes that evenflow exports for the purpose.

    Raises
    ------
    InputError
        If a class is unknown.
    """
    if isinstance(node, dict):
        options = {key: decode(value) for key, value in node.items() if key != _TYPE}
        return _find(node[_TYPE])(**options) if _TYPE in node else options
    if isinstance(node, list):
        return [decode(value) for value in node]
    return node


def _find(name: str) -> Any:
    """The exported option class of that name."""
    from evenflow import method, minimizer, preconditioner, reparametrization, stopping

    for room in (method, minimizer, preconditioner, reparametrization, stopping):
        if name in room.__all__:
            found = getattr(room, name)
            if is_dataclass(found):
                return found
    raise InputError(f"the checkpoint names an unknown class {name!r}; was it written by a newer evenflow?")
