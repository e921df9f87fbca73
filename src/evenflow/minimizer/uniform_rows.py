"""Products with a matrix whose couplings are all equal: its rows are sorted by their lengths.

So a processor waits neither for the values of the couplings, which need not be read, nor for the end of a row, which
comes where that of the last one came.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.energy.short_loop import after

__all__ = ["NOT_UNIFORM", "UniformRows", "common_coupling", "sort_rows", "uniform_product"]

IntArray = npt.NDArray[Any]
UniformRows = tuple[IntArray, IntArray, IntArray, float, FloatArray]
"""Turns of the rows, groups, columns, the coupling, and the diagonal: what kernels know such a matrix by."""

NOT_UNIFORM: UniformRows = np.empty(0, np.uint32), np.empty((0, 2), np.int64), np.empty(0, np.uint32), 0.0, np.empty(0)
_NEAR = 4_096  # rows that are sorted together, so that their entries of a vector stay in the cache

_kernel = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
_inlined = njit(nogil=True, fastmath={"contract"}, error_model="numpy", inline="always")


@_kernel
def common_coupling(data, diagonal):  # type: ignore[no-untyped-def]
    """The value of all entries off the ``diagonal`` (its places); nan if they differ, or one on it is missing."""
    if data.size <= diagonal.size:
        return np.nan
    coupling = data[0] if diagonal[0] > 0 else data[1]
    others = 0
    for k in range(data.size):
        others += data[k] != coupling
    for i in range(diagonal.size):
        if diagonal[i] >= data.size:
            return np.nan
        others -= data[diagonal[i]] != coupling
    return coupling if others == 0 else np.nan


@_kernel
def sort_rows(indptr, indices, near=_NEAR):  # type: ignore[no-untyped-def]
    """Sort rows by their lengths, ``near`` of them at a time.

    Returns
    -------
    order : ndarray of uint32, shape (n,)
        The row of each turn.
    groups : ndarray, shape (groups + 1, 2)
        The first turn of each group of rows that have equally many couplings, and how many.
    columns : ndarray of uint32
        Those of the couplings, turn by turn.
    """
    one = np.uint64(1)
    n = len(indptr) - 1
    order, columns = np.empty(n, np.uint32), np.empty(len(indices), np.uint32)
    longest = np.int64(0)
    for i in range(n):
        longest = max(longest, np.int64(indptr[i + 1] - indptr[i]))
    groups = np.empty((min(n, (n // near + 1) * (longest + 1)) + 1, 2), np.int64)
    place = np.empty(longest + 1, np.int64)
    count = 0
    for begin in range(0, n, near):
        end = min(begin + near, n)
        place[:] = 0
        for i in range(begin, end):
            place[indptr[i + 1] - indptr[i]] += 1
        turn = begin
        for length in range(longest + 1):
            size = place[length]
            place[length] = turn
            if size > 0:
                groups[count, 0], groups[count, 1] = turn, length - 1
                count += 1
            turn += size
        for i in range(begin, end):
            entries = indptr[i + 1] - indptr[i]
            order[place[entries]] = i
            place[entries] += 1
    groups[count] = n, 0
    at = np.uint64(0)
    for r in range(np.uint64(n)):
        i = order[r]
        k, last = np.uint64(indptr[i]), np.uint64(indptr[np.uint64(i) + one])
        while k < last:
            columns[at] = indices[k]  # written over by the next one if it is the diagonal
            at += np.uint64(indices[k] != i)
            k = after(k)
    return order, groups[: count + 1], columns


@_inlined
def _multiply_group(length, first, end, at, order, columns, coupling, diagonal, d, out):  # type: ignore[no-untyped-def]
    """The rows of one group, whose columns begin ``at``; what they add to d . A d."""
    total = 0.0
    for r in range(first, end):
        i = order[r]
        here = d[i]
        around = 0.0
        for k in range(length):
            around += d[columns[at + np.uint64(k)]]
        at += np.uint64(length)
        row = coupling * around + diagonal[i] * here
        out[i] = row
        total += row * here
    return total


@_kernel
def uniform_product(order, groups, columns, coupling, diagonal, d, out):  # type: ignore[no-untyped-def]
    """Write A d to ``out`` and return d . A d.

    Where the length of a row is a constant of the program, what is left of its loop are the additions.
    """
    total = 0.0
    at = np.uint64(0)
    for g in range(len(groups) - 1):
        first, end, length = np.uint64(groups[g, 0]), np.uint64(groups[g + 1, 0]), groups[g, 1]
        if length == 1:
            total += _multiply_group(1, first, end, at, order, columns, coupling, diagonal, d, out)
        elif length == 2:
            total += _multiply_group(2, first, end, at, order, columns, coupling, diagonal, d, out)
        elif length == 3:
            total += _multiply_group(3, first, end, at, order, columns, coupling, diagonal, d, out)
        elif length == 4:
            total += _multiply_group(4, first, end, at, order, columns, coupling, diagonal, d, out)
        elif length == 5:
            total += _multiply_group(5, first, end, at, order, columns, coupling, diagonal, d, out)
        elif length == 6:
            total += _multiply_group(6, first, end, at, order, columns, coupling, diagonal, d, out)
        elif length == 7:
            total += _multiply_group(7, first, end, at, order, columns, coupling, diagonal, d, out)
        elif length == 8:
            total += _multiply_group(8, first, end, at, order, columns, coupling, diagonal, d, out)
        else:
            total += _multiply_group(length, first, end, at, order, columns, coupling, diagonal, d, out)
        at += (end - first) * np.uint64(length)
    return total
