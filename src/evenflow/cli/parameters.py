"""Parsing of ``k=v`` options of the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from evenflow.errors import InputError

__all__ = ["parse_pairs"]


def parse_pairs(pairs: Iterable[str], flag: str) -> dict[str, Any]:
    """Turn ``["lr=0.05", "baths=sides"]`` into a dict; values are JSON where they parse as such, else strings.

    Raises
    ------
    InputError
        If a pair has no ``=`` or a name comes twice.

    Examples
    --------
    >>> parse_pairs(["lr=0.05", "baths=sides"], "--param")
    {'lr': 0.05, 'baths': 'sides'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name.isidentifier():
            raise InputError(f"{flag} {pair!r}: expected NAME=VALUE, for example lr=0.05")
        if name in found:
            raise InputError(f"{flag} {pair!r}: {name} is given twice")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found
