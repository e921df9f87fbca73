"""Kernels of half storage: a symmetric matrix as its strictly lower rows and its diagonal.

A lower row is read once to pull (the entry a_ij x_j of row i) and to push (a_ij x_i of row j), which halves the
memory traffic of a Gauss-Seidel sweep and yields the residual with it.

Index arrays are uint32 in all kernels of this package: numba tests signed indices for being negative, which
costs a third of the time of a short loop.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["count_lower", "dense_half", "expand", "reach", "split", "split_values", "subtract_reach"]


@njit(cache=True, nogil=True)
def count_lower(indptr, indices, ptr):  # type: ignore[no-untyped-def]
    """Write the row pointers of the strictly lower part of a canonical CSR matrix."""
    t = 0
    ptr[0] = 0
    for i in range(len(indptr) - 1):
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] >= i:
                break
            t += 1
        ptr[i + 1] = t


@njit(cache=True, nogil=True)
def split(indptr, indices, data, ptr, idx, val, diagonal):  # type: ignore[no-untyped-def]
    """Write the strictly lower rows and the diagonal of a canonical CSR matrix."""
    for i in range(len(indptr) - 1):
        k = np.int64(indptr[i])
        for t in range(ptr[i], ptr[i + 1]):
            idx[t] = indices[k]
            val[t] = data[k]
            k += 1
        diagonal[i] = data[k] if k < indptr[i + 1] and indices[k] == i else 0.0


@njit(cache=True, nogil=True)
def split_values(indptr, indices, data, ptr, val, diagonal):  # type: ignore[no-untyped-def]
    """Write the values alone. Returns whether any off-diagonal one has changed."""
    changed = False
    for i in range(len(indptr) - 1):
        k = np.int64(indptr[i])
        for t in range(ptr[i], ptr[i + 1]):
            if val[t] != data[k]:
                val[t] = data[k]
                changed = True
            k += 1
        diagonal[i] = data[k] if k < indptr[i + 1] and indices[k] == i else 0.0
    return changed


@njit(cache=True, nogil=True)
def expand(ptr, idx):  # type: ignore[no-untyped-def]
    """Full rows of a matrix in half storage: (indptr, indices, slot), slot pointing into (lower values, diagonal)."""
    n = len(ptr) - 1
    m = len(idx)
    indptr = np.zeros(n + 1, np.uint32)
    for i in range(n):
        indptr[i + 1] += ptr[i + 1] - ptr[i] + np.uint32(1)
        for k in range(ptr[i], ptr[i + 1]):
            indptr[idx[k] + np.uint32(1)] += np.uint32(1)
    for i in range(n):
        indptr[i + 1] += indptr[i]
    indices = np.empty(2 * m + n, np.uint32)
    slot = np.empty(2 * m + n, np.uint32)
    place = indptr[:-1].copy()
    for i in range(n):
        for k in range(ptr[i], ptr[i + 1]):
            j = idx[k]
            indices[place[i]] = j
            slot[place[i]] = k
            place[i] += np.uint32(1)
            indices[place[j]] = i
            slot[place[j]] = k
            place[j] += np.uint32(1)
        indices[place[i]] = i
        slot[place[i]] = m + i
        place[i] += np.uint32(1)
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


@njit(cache=True, nogil=True)
def reach(ptr, idx, val):  # type: ignore[no-untyped-def]
    """Sum of the sizes of the couplings of each node."""
    total = np.zeros(len(ptr) - 1)
    for i in range(len(ptr) - 1):
        t = 0.0
        for k in range(ptr[i], ptr[i + 1]):
            a = abs(val[k])
            t += a
            total[idx[k]] += a
        total[i] += t
    return total


@njit(cache=True, nogil=True)
def subtract_reach(diagonal, reach, nothing, potential):  # type: ignore[no-untyped-def]
    """Write the potential, diagonal minus reach, zero where it is rounding; False if it is negative somewhere."""
    for i in range(len(diagonal)):
        t = diagonal[i] - reach[i]
        least = nothing * reach[i]
        if t < -least:
            return False
        potential[i] = t if t > least else 0.0
    return True
