"""Dense Cholesky factor of the coarsest level, by LAPACK."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.linalg import lapack

from evenflow.energy.base import FloatArray
from evenflow.preconditioner.half import BELOW, SOUND, ZERO, flaw

__all__ = ["factor_dense"]


def factor_dense(matrix: FloatArray, tiny: float, negative: float) -> tuple[FloatArray, int, int]:
    """Cholesky factor of a dense matrix given by its lower triangle, zero above.

    Pivots that are zero but for rounding (at most ``tiny`` times the diagonal entry), or negative, are replaced by the
    diagonal entry.

    Parameters
    ----------
    matrix : ndarray, shape (n, n)
        C-contiguous.
    tiny, negative : float

    Returns
    -------
    tuple of ndarray of shape (n, n), int and int
        The factor, lower triangular, and how many pivots were zero and negative.
    """
    zero = below = 0
    if len(matrix) == 0:
        return matrix, zero, below
    factor, failed = lapack.dpotrf(matrix.T, lower=0)
    pivots = np.square(factor.diagonal())
    if failed or not (pivots > tiny * matrix.diagonal()).all():
        matrix = matrix.copy()
        zero, below = _mend(matrix, tiny, negative)
        factor, _ = lapack.dpotrf(matrix.T, lower=0)
    return factor.T, zero, below


@njit(cache=True, nogil=True)
def _mend(matrix, tiny, negative):  # type: ignore[no-untyped-def]
    """Add to the diagonal what makes all pivots sound; how many were zero, how many negative."""
    factor = matrix.copy()
    zero = 0
    below = 0
    for j in range(len(factor)):
        entry = abs(matrix[j, j])
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= factor[j, k] * factor[j, k]
        kind = flaw(pivot, entry, tiny, negative)
        if kind != SOUND:
            zero += kind == ZERO
            below += kind == BELOW
            sound = entry if entry > 0.0 else 1.0
            matrix[j, j] += sound - pivot
            pivot = sound
        root = np.sqrt(pivot)
        for i in range(j + 1, len(factor)):
            t = factor[i, j]
            for k in range(j):
                t -= factor[i, k] * factor[j, k]
            factor[i, j] = t / root
    return zero, below
