"""Reading of ``fixed=``, and of node index arrays in general."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError

__all__ = ["node_indices", "parse_fixed"]

IntArray = npt.NDArray[np.int64]


def node_indices(nodes: npt.ArrayLike, n: int, argument: str) -> IntArray:
    """Read distinct node indices.

    Raises
    ------
    InputError
        If they are not integers, out of range or repeated.
    """
    array = np.atleast_1d(np.asarray(nodes))
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise InputError(
            f"{argument} has dtype {array.dtype} and shape {array.shape}, expected a list of node numbers; "
            "turn a mask into numbers with numpy.flatnonzero"
        )
    outside = array[(array < 0) | (array >= n)]
    if outside.size:
        raise InputError(f"{argument} names node {outside[0]}, but nodes are numbered 0 to {n - 1}")
    unique, count = np.unique(array, return_counts=True)
    if (count > 1).any():
        raise InputError(f"{argument} names node {unique[count > 1][0]} more than once")
    return array.astype(np.int64)


def parse_fixed(fixed: Any, shape: tuple[int, ...]) -> tuple[IntArray, FloatArray] | None:
    """Read ``{node: value}`` or ``(nodes, values)``; None and nothing mean that no node is fixed.

    Raises
    ------
    InputError
        If nodes or values do not fit the states.
    """
    if fixed is None:
        return None
    if isinstance(fixed, Mapping):
        fixed = (list(fixed.keys()), list(fixed.values()))
    if not isinstance(fixed, tuple) or len(fixed) != 2:
        raise InputError(f"fixed is {fixed!r}, expected a mapping {{node: value}} or a tuple (nodes, values)")
    nodes = node_indices(fixed[0], shape[0], "fixed")
    if not nodes.size:
        return None
    try:
        values = np.array(np.broadcast_to(np.asarray(fixed[1], dtype=np.float64), (nodes.size, *shape[1:])))
    except ValueError as error:
        raise InputError(
            f"fixed holds values of shape {np.shape(fixed[1])}, expected {(nodes.size, *shape[1:])}"
        ) from error
    if not np.isfinite(values).all():
        raise InputError("fixed holds a value that is not finite")
    return nodes, values
