"""Pattern: what a preconditioner remembers of a matrix to know it again, and the checks all of them share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError
from evenflow.preconditioner.base import Breakdown

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Pattern", "check_form", "check_matrix", "check_size", "check_vectors"]

_MAX_ENTRIES = 2**31 - 1


class Pattern:
    """Row pointers (n+1,) and column indices (nnz,) of a CSR matrix, as uint32.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array
        Canonical: sorted, no duplicates.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        self._seen: tuple[Any, Any] = (matrix.indptr, matrix.indices)
        self.indptr = np.asarray(matrix.indptr, dtype=np.int32).view(np.uint32)
        self.indices = np.asarray(matrix.indices, dtype=np.int32).view(np.uint32)

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    def holds(self, matrix: sp.csr_array) -> bool:
        """Whether ``matrix`` has this pattern: the very arrays, or equal ones."""
        indptr, indices = self._seen
        if matrix.indptr is indptr and matrix.indices is indices:
            return True
        same = (
            len(matrix.indptr) == len(self.indptr)
            and len(matrix.indices) == len(self.indices)
            and np.array_equal(matrix.indptr, self.indptr)
            and np.array_equal(matrix.indices, self.indices)
        )
        if same:
            self._seen = (matrix.indptr, matrix.indices)
        return bool(same)


def check_form(matrix: sp.csr_array) -> npt.NDArray[np.float64]:
    """Return the values of a matrix of the right form, finite or not.

    Raises
    ------
    InputError
        If it is not a square canonical CSR matrix whose entries can be counted in 32 bits.
    """
    if getattr(matrix, "format", "") != "csr":
        raise InputError(
            f"matrix is a {type(matrix).__name__}, expected scipy.sparse.csr_array: convert it with tocsr()"
        )
    if matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"matrix has shape {matrix.shape}, expected a square symmetric matrix")
    if len(matrix.indices) > _MAX_ENTRIES:
        raise InputError(f"matrix has {matrix.nnz} entries, expected fewer than 2^31")
    if not matrix.has_canonical_format:
        raise InputError("matrix is not in canonical form: call sum_duplicates() on it first")
    return np.ascontiguousarray(matrix.data, dtype=np.float64)


def check_matrix(matrix: sp.csr_array) -> npt.NDArray[np.float64]:
    """Return the values of a matrix fit for preconditioning.

    Raises
    ------
    InputError
        If it is not a square canonical CSR matrix whose entries can be counted in 32 bits.
    Breakdown
        If an entry is not finite.
    """
    data = check_form(matrix)
    check_size(data.sum(), data)
    return data


def check_size(size: float, data: npt.NDArray[np.float64]) -> None:
    """Refuse values that are not finite, given a sum of all.

    Any nan or infinity makes the sum not finite; so may overflow, hence the second look.

    Raises
    ------
    Breakdown
        If an entry is not finite.
    """
    if not math.isfinite(size) and not np.isfinite(data).all():
        raise Breakdown("the matrix has entries that are not finite")


def check_vectors(size: int, r: npt.NDArray[np.float64], out: npt.NDArray[np.float64] | None) -> None:
    """Make sure that compiled code, which does not look, gets vectors of the right size.

    Raises
    ------
    InputError
        If ``r`` or ``out`` is not a float64 vector of ``size`` entries, or they are the same array.
    """
    for name, vector in (("r", r), ("out", r if out is None else out)):
        if vector.shape != (size,) or vector.dtype != np.float64:
            raise InputError(f"{name} is {vector.dtype} of shape {vector.shape}, expected float64 of shape ({size},)")
    if out is r:
        raise InputError("out is r itself: give another array")
