"""Kernels of aggregation: which nodes depend on which, and the groups that become coarse nodes."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.energy.short_loop import after

__all__ = ["DEPENDS", "INFLUENCES", "aggregate", "condense"]

DEPENDS = 1  # row i depends on column j: its coupling is among the strongest of i
INFLUENCES = 2  # column j depends on row i
TINY_COUPLING = 1e-300  # anything below is no coupling


@njit(cache=True, nogil=True)
def condense(indptr, indices, data, block):  # type: ignore[no-untyped-def]
    """Matrix of block norms: one row for each node of ``block`` unknowns, off-diagonal entries negative.

    An off-diagonal entry is minus the Frobenius norm of its block over sqrt(block), a diagonal one the mean
    diagonal entry of its block, so that a scalar matrix repeated for each component gives itself.
    """
    n = (len(indptr) - 1) // block
    ptr = np.zeros(n + 1, np.uint32)
    idx = np.empty(len(indices), np.uint32)
    val = np.empty(len(indices))
    slot = np.full(n, -1, np.int32)
    t = 0
    for i in range(n):
        begin = t
        for row in range(i * block, (i + 1) * block):
            for k in range(indptr[row], indptr[row + 1]):
                j = indices[k] // block
                if slot[j] < begin:
                    slot[j] = t
                    idx[t] = j
                    val[t] = 0.0
                    t += 1
                if j != i:
                    val[slot[j]] += data[k] * data[k]
                elif indices[k] == row:
                    val[slot[j]] += data[k] / block
        for k in range(begin, t):
            if idx[k] != i:
                val[k] = -np.sqrt(val[k] / block)
        ptr[i + 1] = t
    return ptr, idx[:t].copy(), val[:t].copy()


@njit(cache=True, nogil=True)
def _couplings(indptr, indices, data, threshold, ptr, place, mark):  # type: ignore[no-untyped-def]
    """Write the rows of the strong couplings: place in the matrix and mark of each; return how many.

    DEPENDS if it is at least ``threshold`` times the strongest of its row, INFLUENCES if so for its column.
    Positive off-diagonal entries couple nodes the wrong way round and are never strong.
    """
    one = np.uint64(1)
    n = np.uint64(len(indptr)) - one
    slack = 1.0 - 1e-9  # equal couplings stay equal whatever their rounding
    least = np.empty(n)
    k = np.uint64(0)
    for i in range(n):
        m = 0.0
        end = indptr[i + one]
        while k < end:
            a = -data[k] if indices[k] != i else 0.0
            m = a if a > m else m
            k = after(k)
        least[i] = max(slack * threshold * m, TINY_COUPLING)
    t = np.uint64(0)
    k = np.uint64(0)
    ptr[0] = 0
    for i in range(n):
        here = least[i]
        end = indptr[i + one]
        while k < end:
            j = indices[k]
            a = -data[k] if j != i else 0.0
            strong = DEPENDS * np.uint8(a >= here) + INFLUENCES * np.uint8(a >= least[j])
            place[t] = k  # written over by the next one unless this is strong, which no branch could foretell
            mark[t] = strong
            t += np.uint64(strong > 0)
            k = after(k)
        ptr[i + one] = t
    return t


@njit(cache=True, nogil=True)
def _seed(ptr, place, mark, indices, group):  # type: ignore[no-untyped-def]
    """Groups of a node with all its partners, where all are free and the dependence is mutual."""
    one = np.uint64(1)
    count = 0
    for i in range(np.uint64(len(group))):
        begin, end = ptr[i], ptr[i + one]
        if group[i] >= 0 or begin == end:
            continue
        free = True
        k = begin
        while k < end:
            if group[indices[place[k]]] >= 0 or mark[k] == DEPENDS:
                free = False
                break
            k = after(k)
        if free:
            group[i] = count
            k = begin
            while k < end:
                group[indices[place[k]]] = count
                k = after(k)
            count += 1
    return count


@njit(cache=True, nogil=True)
def _join(ptr, place, mark, indices, data, group):  # type: ignore[no-untyped-def]
    """Free nodes join the group of the strongest partner they depend on; twice, so that chains are caught.

    Returns those that are still free.
    """
    one = np.uint64(1)
    free = np.empty(len(group), np.uint32)
    count = np.uint64(0)
    for i in range(np.uint64(len(group))):
        free[count] = i  # written over by the next one unless this is free
        count += np.uint64(group[i] < 0)
    choice = np.empty(count, np.int32)
    for _ in range(2):
        for f in range(count):
            i = free[f]
            best = 0.0
            chosen = np.int32(-1)
            k, end = ptr[i], ptr[i + one]
            while k < end:
                joined = group[indices[place[k]]]
                a = -data[place[k]]
                if mark[k] & DEPENDS and joined >= 0 and a > best:
                    best = a
                    chosen = joined
                k = after(k)
            choice[f] = chosen
        kept = np.uint64(0)
        for f in range(count):
            i = free[f]
            group[i] = choice[f]
            free[kept] = i
            kept += np.uint64(choice[f] < 0)
        count = kept
    return free[:count]


@njit(cache=True, nogil=True)
def aggregate(indptr, indices, data, threshold, ptr, place, mark, group):  # type: ignore[no-untyped-def]
    """Write the rows of the strong couplings (place in the matrix, mark), and group the nodes by them.

    ``group`` receives that of each node, numbered in node order; -1 for a node coupled to nothing.

    Returns
    -------
    strong : int
        How many couplings are strong.
    count : int
        Of groups.
    """
    n = len(ptr) - 1
    strong = _couplings(indptr, indices, data, threshold, ptr, place, mark)
    group[:] = -1
    count = _seed(ptr, place, mark, indices, group)
    for i in _join(ptr, place, mark, indices, data, group):
        if group[i] >= 0:
            continue
        coupled = False
        begin, end = ptr[i], ptr[i + np.uint64(1)]
        for k in range(begin, end):
            if mark[k] & DEPENDS:
                coupled = True
        if coupled:
            group[i] = count
            for k in range(begin, end):
                j = indices[place[k]]
                if mark[k] & INFLUENCES and group[j] < 0:
                    group[j] = count
            count += 1
    number = np.full(count, -1, np.int32)  # coarse numbering follows the fine one: neighbours stay near in memory
    count = 0
    for i in range(n):
        if group[i] >= 0:
            if number[group[i]] < 0:
                number[group[i]] = count
                count += 1
            group[i] = number[group[i]]
    return strong, count
