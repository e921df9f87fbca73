"""Checks that turn arguments into arrays, or say which entry is at fault."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError

__all__ = [
    "EdgeError",
    "as_array",
    "choice",
    "integers",
    "name_tuple",
    "position_array",
    "reals",
    "triangle_array",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class EdgeError(InputError):
    """One row of an edge list is at fault.

    Parameters
    ----------
    message : str
        What is wrong and what to do.
    row : int
        Row of the edge list (from 0), so that a reader can name the line of its file.
    """

    def __init__(self, message: str, row: int) -> None:
        self.row = int(row)
        super().__init__(message)


def choice(value: object, options: Any, name: str) -> None:
    """Refuse a value that is not among those of a Literal type."""
    if value not in get_args(options):
        raise InputError(f"{name}={value!r} is not known: use one of {', '.join(map(repr, get_args(options)))}")


def as_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return values as an array; a ragged list is an InputError."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} is not an array: {error}") from error


def integers(values: npt.ArrayLike, name: str) -> IntArray:
    """Return a fresh int64 array, refusing what is not a whole number.

    Parameters
    ----------
    values : array_like
        Integers, or floats without a fractional part.
    name : str
        Name of the argument, for the message.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    InputError
        Naming the first entry that is not a whole number.

    Examples
    --------
    >>> integers([0.0, 3.0], "nodes")
    array([0, 3])
    """
    array = as_array(values, name)
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int64)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} has dtype {array.dtype}, expected integers")
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(array) < 2**53) if array.dtype.kind != "i" else np.zeros(array.shape, dtype=bool)
        if array.dtype.kind == "f":
            bad |= array != np.floor(array)
    if bad.any():
        at = tuple(int(k) for k in np.argwhere(bad)[0])
        raise InputError(f"{name}{list(at)} = {array[at]} is not an integer: node numbers are 0, 1, 2, ...")
    return array.astype(np.int64)


def reals(values: npt.ArrayLike, name: str, shape: tuple[int | None, ...]) -> FloatArray:
    """Return a fresh float64 array of the given shape (None: any length), refusing NaN and infinity.

    Parameters
    ----------
    values : array_like
    name : str
        Name of the argument, for the message.
    shape : tuple of int or None

    Returns
    -------
    ndarray of float64

    Raises
    ------
    InputError
        Naming the first non-finite entry, or the shape.

    Examples
    --------
    >>> reals([1, 2], "weights", (2,))
    array([1., 2.])
    """
    array = as_array(values, name)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} has dtype {array.dtype}, expected real numbers")
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        expected = str(tuple("any" if want is None else want for want in shape)).replace("'", "")
        raise InputError(f"{name} has shape {array.shape}, expected {expected}")
    result = array.astype(np.float64)
    bad = ~np.isfinite(result)
    if bad.any():
        at = [int(k) for k in np.argwhere(bad)[0]]
        message = f"{name}[{', '.join(map(str, at))}] = {result[tuple(at)]} is not finite: remove or replace it"
        raise EdgeError(message, at[0])
    return result


def position_array(positions: FloatArray | None, n_nodes: int) -> FloatArray | None:
    """Refuse positions that are not float64 (n, 2) or (n, 3)."""
    if positions is not None and (positions.shape not in ((n_nodes, 2), (n_nodes, 3)) or positions.dtype != np.float64):
        raise InputError(
            f"positions has dtype {positions.dtype} and shape {positions.shape}, expected float64 ({n_nodes}, 2 or 3)"
        )
    return positions


def triangle_array(triangles: IntArray | None, n_nodes: int) -> IntArray | None:
    """Refuse triangles that are not int64 (t, 3) of nodes in range."""
    if triangles is None:
        return None
    if triangles.dtype != np.int64 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise InputError(f"triangles has dtype {triangles.dtype} and shape {triangles.shape}, expected int64 (t, 3)")
    bad = ((triangles < 0) | (triangles >= n_nodes)).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"triangles[{row}] = {triangles[row].tolist()} is out of range for n_nodes = {n_nodes}")
    return triangles


def name_tuple(names: Sequence[Hashable] | None, n_nodes: int) -> tuple[Hashable, ...] | None:
    """Names as a tuple, one for each node, all different."""
    if names is None:
        return None
    result = tuple(names)
    if len(result) != n_nodes or len(set(result)) != n_nodes:
        raise InputError(f"names has {len(set(result))} distinct entries, expected one for each of {n_nodes} nodes")
    return result
