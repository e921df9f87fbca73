"""Checks shared by the generators."""

from __future__ import annotations

import numpy as np

from evenflow.errors import InputError

__all__ = ["generator", "real", "whole"]

MAX_SIZE = 10**8


def whole(value: object, name: str, minimum: int) -> int:
    """Return an int from ``minimum`` to 10^8, or raise InputError naming the argument."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not minimum <= value <= MAX_SIZE:
        raise InputError(f"{name} = {value!r}, expected an integer from {minimum} to {MAX_SIZE}")
    return int(value)


def real(value: object, name: str, minimum: float, maximum: float = np.inf) -> float:
    """Return a finite float from ``minimum`` to ``maximum``, or raise InputError naming the argument."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.integer | np.floating)
        or not np.isfinite(value)
        or not minimum <= value <= maximum
    ):
        raise InputError(f"{name} = {value!r}, expected a number from {minimum:g} to {maximum:g}")
    return float(value)


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return a random generator from a seed, a Generator as it is, or raise InputError."""
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed = {seed!r}, expected a non-negative integer or a numpy Generator")
    return np.random.default_rng(seed)
