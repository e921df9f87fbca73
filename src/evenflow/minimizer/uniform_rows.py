"""Products with a matrix whose couplings are all equal, whose values need not be read.

Its rows are sorted by their lengths, so that a processor does not wait for the end of a row either, which comes where
that of the last one came. Where the vector outgrows the cache and neighbours are far from each other, it is its entries
that a processor waits for: there the rows stay where they are, and entries are asked for ahead of their turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.energy.locality import AHEAD
from evenflow.energy.prefetch import prefetch
from evenflow.energy.short_loop import after

__all__ = ["NOT_UNIFORM", "UniformRows", "columns_in_turn", "common_coupling", "scattered_product", "uniform_product"]

IntArray = npt.NDArray[Any]
UniformRows = tuple[IntArray, IntArray, IntArray, float, FloatArray]
"""The row of each turn, groups of equally long rows, columns (all empty where rows stay), coupling and diagonal."""

NOT_UNIFORM: UniformRows = np.empty(0, np.uint32), np.empty((0, 2), np.int64), np.empty(0, np.uint32), 0.0, np.empty(0)

_FURTHER = AHEAD * 3 // 2  # an entry is done with sooner than a slot of an energy

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
def columns_in_turn(indptr, indices, order):  # type: ignore[no-untyped-def]
    """Columns of the couplings, row by row in the given order; room for the diagonal is left at the end."""
    one = np.uint64(1)
    columns = np.empty(len(indices), np.uint32)
    at = np.uint64(0)
    for r in range(np.uint64(len(order))):
        i = np.uint64(order[r])
        k, end = np.uint64(indptr[i]), np.uint64(indptr[i + one])
        while k < end:
            columns[at] = indices[k]  # written over by the next one if it is the diagonal
            at += np.uint64(indices[k] != i)
            k = after(k)
    return columns


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
        first, end = np.uint64(groups[g, 0]), np.uint64(groups[g + 1, 0])
        length = groups[g, 1] - 1  # without the diagonal
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


@_kernel
def scattered_product(indptr, indices, coupling, diagonal, d, out):  # type: ignore[no-untyped-def]
    """Write A d to ``out`` and return d . A d, rows where they are, entries of d asked for ahead."""
    one = np.uint64(1)
    last = np.uint64(indices.size) - one
    total = 0.0
    k = np.uint64(0)
    for i in range(np.uint64(d.size)):
        end = indptr[i + one]
        around = 0.0  # with d[i] itself
        while k < end:
            prefetch(d, indices[min(k + np.uint64(_FURTHER), last)])
            around += d[indices[k]]
            k = after(k)
        here = d[i]
        row = coupling * around + (diagonal[i] - coupling) * here
        out[i] = row
        total += row * here
    return total
