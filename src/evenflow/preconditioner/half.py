"""Kernels of half storage: a symmetric matrix as its strictly lower rows and its diagonal.

A lower row is read once to pull (the entry a_ij x_j of row i) and to push (a_ij x_i of row j), which halves the
memory traffic of a Gauss-Seidel sweep and yields the residual with it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["dense_half", "expand", "split"]


@njit(cache=True, nogil=True)
def split(indptr, indices, data):  # type: ignore[no-untyped-def]
    """Strictly lower rows (ptr, idx, val) and diagonal of a canonical CSR matrix."""
    n = len(indptr) - 1
    count = 0
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] >= i:
                break
            count += 1
    ptr = np.empty(n + 1, np.int32)
    idx = np.empty(count, np.int32)
    val = np.empty(count)
    diagonal = np.zeros(n)
    ptr[0] = 0
    refresh_split(indptr, indices, data, val, diagonal)
    t = 0
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] >= i:
                break
            idx[t] = indices[k]
            t += 1
        ptr[i + 1] = t
    return ptr, idx, val, diagonal


@njit(cache=True, nogil=True)
def refresh_split(indptr, indices, data, val, diagonal):  # type: ignore[no-untyped-def]
    """Write the strictly lower values and the diagonal of a canonical CSR matrix."""
    t = 0
    for i in range(len(indptr) - 1):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j >= i:
                if j == i:
                    diagonal[i] = data[k]
                break
            val[t] = data[k]
            t += 1


@njit(cache=True, nogil=True)
def expand(ptr, idx):  # type: ignore[no-untyped-def]
    """Full rows of a matrix in half storage: (indptr, indices, slot), slot pointing into (lower values, diagonal)."""
    n = len(ptr) - 1
    m = len(idx)
    indptr = np.zeros(n + 1, np.int32)
    for i in range(n):
        indptr[i + 1] += ptr[i + 1] - ptr[i] + 1
        for k in range(ptr[i], ptr[i + 1]):
            indptr[idx[k] + 1] += 1
    for i in range(n):
        indptr[i + 1] += indptr[i]
    indices = np.empty(2 * m + n, np.int32)
    slot = np.empty(2 * m + n, np.int32)
    place = indptr[:-1].copy()
    for i in range(n):
        for k in range(ptr[i], ptr[i + 1]):
            j = idx[k]
            indices[place[i]] = j
            slot[place[i]] = k
            place[i] += 1
            indices[place[j]] = i
            slot[place[j]] = k
            place[j] += 1
        indices[place[i]] = i
        slot[place[i]] = m + i
        place[i] += 1
    return indptr, indices, slot


@njit(cache=True, nogil=True)
def dense_half(ptr, idx, val, diagonal):  # type: ignore[no-untyped-def]
    """Lower triangle of the matrix as a dense array."""
    n = len(diagonal)
    dense = np.zeros((n, n))
    for i in range(n):
        dense[i, i] = diagonal[i]
        for k in range(ptr[i], ptr[i + 1]):
            dense[i, idx[k]] += val[k]
    return dense
