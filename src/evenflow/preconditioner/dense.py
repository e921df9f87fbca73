"""Dense Cholesky factor of the coarsest level."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner.half import mend_pivot

__all__ = ["factor_dense"]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _dot(a, b, count):  # type: ignore[no-untyped-def]
    """Product of the first ``count`` entries."""
    total = 0.0
    for k in range(count):
        total += a[k] * b[k]
    return total


@njit(cache=True, nogil=True)
def factor_dense(matrix, tiny, negative):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangle of a matrix, shape (n, n), by its Cholesky factor.

    Row by row, which for the hundred rows that a coarsest level has is faster than calling LAPACK from Python. Pivots
    that are zero but for rounding (at most ``tiny`` times the diagonal entry), or negative (below minus ``negative``
    times it), are replaced by the diagonal entry. Returns how many were zero, and how many negative.
    """
    zero = 0
    below = 0
    inverse = np.empty(len(matrix))
    for i in range(len(matrix)):
        row = matrix[i]
        entry = abs(row[i])
        for j in range(i):
            row[j] = (row[j] - _dot(row, matrix[j], j)) * inverse[j]
        pivot = row[i] - _dot(row, row, i)
        pivot, is_zero, is_below = mend_pivot(pivot, entry, tiny, negative)
        zero += is_zero
        below += is_below
        row[i] = np.sqrt(pivot)
        inverse[i] = 1.0 / row[i]
    return zero, below
