"""Fixed nodes: reading of ``fixed=`` and of node index arrays, and what they do to a Hessian."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["PinnedPattern", "node_indices", "parse_fixed"]

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


class PinnedPattern(threading.local):
    """Hessians with a unit diagonal in place of the rows and columns of fixed unknowns; one matrix for each thread.

    Parameters
    ----------
    matrix : csr_array
        A full Hessian; its pattern never changes.
    free : ndarray of bool
        False at fixed unknowns.
    block : int, optional
        Size of diagonal blocks outside which no entry ever changes.
    """

    def __init__(self, matrix: sp.csr_array, free: npt.NDArray[np.bool_], block: int | None = None) -> None:
        import scipy.sparse as sp

        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        keep = (free[row] & free[matrix.indices]) | (row == matrix.indices)
        self._kept = np.flatnonzero(keep)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row[keep], minlength=len(free)))])
        self._ones = np.flatnonzero(~free[row[keep]])
        self._filled = False
        if block is not None:
            changes = (row[keep] // block == matrix.indices[keep] // block) & free[row[keep]]
            self._changing = np.flatnonzero(changes)
            self._sources = self._kept[self._changing]
        self._once = block is not None
        self._matrix = sp.csr_array(
            (np.empty(len(self._kept)), matrix.indices[keep], indptr.astype(matrix.indptr.dtype)), shape=matrix.shape
        )

    def refresh(self, matrix: sp.csr_array) -> sp.csr_array:
        """Return the pinned form of ``matrix``, in place of the one before."""
        if self._filled and self._once:
            self._matrix.data[self._changing] = matrix.data[self._sources]
            return self._matrix
        np.take(matrix.data, self._kept, out=self._matrix.data, mode="clip")  # "raise", the default, makes a copy
        self._matrix.data[self._ones] = 1.0
        self._filled = True
        return self._matrix
