"""Compiled kernels of sparse triangular matrices: the lower triangle of a matrix, solves with a factor."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["lower_triangle", "solve_both", "solve_lower", "solve_upper"]


@njit(cache=True, nogil=True)
def lower_triangle(indptr, indices, data):  # type: ignore[no-untyped-def]
    """Rows of the lower triangle, the diagonal entry last in each (zero if not stored); and the diagonal."""
    n = len(indptr) - 1
    ptr = np.empty(n + 1, np.int32)
    ptr[0] = 0
    idx = np.empty((len(indices) + n) // 2 + n + 1, np.int32)
    val = np.empty(len(idx))
    diagonal = np.zeros(n)
    t = 0
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j >= i:
                if j == i:
                    diagonal[i] = data[k]
                break
            idx[t] = j
            val[t] = data[k]
            t += 1
        idx[t] = i
        val[t] = diagonal[i]
        t += 1
        ptr[i + 1] = t
    return ptr, idx[:t].copy(), val[:t].copy(), diagonal


@njit(cache=True, nogil=True)
def solve_both(ptr, idx, val, pivots, order, r, work, out):  # type: ignore[no-untyped-def]
    """Solve with L D L^T: out = Q L^-T D^-1 L^-1 Q^T r."""
    n = len(pivots)
    for k in range(n):
        work[k] = r[order[k]]
    for k in range(n):
        t = work[k]
        for q in range(ptr[k], ptr[k + 1]):
            work[idx[q]] -= val[q] * t
    for k in range(n - 1, -1, -1):
        t = work[k] / pivots[k]
        for q in range(ptr[k], ptr[k + 1]):
            t -= val[q] * work[idx[q]]
        work[k] = t
    for k in range(n):
        out[order[k]] = work[k]


@njit(cache=True, nogil=True)
def solve_upper(ptr, idx, val, pivots, order, r, work, out):  # type: ignore[no-untyped-def]
    """Solve with half the factor: out = Q L^-T D^-1/2 r."""
    n = len(pivots)
    for k in range(n - 1, -1, -1):
        t = r[k] / math.sqrt(pivots[k])
        for q in range(ptr[k], ptr[k + 1]):
            t -= val[q] * work[idx[q]]
        work[k] = t
        out[order[k]] = t


@njit(cache=True, nogil=True)
def solve_lower(ptr, idx, val, pivots, order, r, out):  # type: ignore[no-untyped-def]
    """Solve with the other half: out = D^-1/2 L^-1 Q^T r."""
    n = len(pivots)
    for k in range(n):
        out[k] = r[order[k]]
    for k in range(n):
        t = out[k]
        for q in range(ptr[k], ptr[k + 1]):
            out[idx[q]] -= val[q] * t
        out[k] = t / math.sqrt(pivots[k])
