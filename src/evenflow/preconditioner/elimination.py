"""Kernels of elimination: leaves, whole trees and chains are solved exactly and leave the hierarchy."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.energy.short_loop import after
from evenflow.preconditioner.half import mend_pivot, precedes

__all__ = [
    "NEGATIVE",
    "count_thin",
    "elimination_order",
    "elimination_pattern",
    "elimination_values",
]

NEGATIVE = 1e-8  # a pivot below minus this share of its diagonal entry is no rounding error


@njit(cache=True, nogil=True)
def count_thin(indptr):  # type: ignore[no-untyped-def]
    """How many full rows have at most two entries beside the diagonal."""
    count = 0
    for i in range(np.uint32(len(indptr) - 1)):
        count += indptr[i + np.uint32(1)] - indptr[i] <= np.uint32(3)
    return count


@njit(cache=True, nogil=True)
def _find_ends(ptr, idx, ends, degree, code):  # type: ignore[no-untyped-def]
    """Write the end points of the edges of a graph given by its lower rows (edge e: entries 2 e and 2 e + 1).

    And the degree of each node, and the exclusive or of its edges: of a leaf, its one edge.
    """
    degree[:] = 0
    code[:] = 0
    for i in range(len(degree)):
        for k in range(np.int32(ptr[i]), np.int32(ptr[i + 1])):
            j = idx[k]
            ends[2 * k] = j
            ends[2 * k + 1] = i
            degree[i] += 1
            degree[j] += 1
            code[i] ^= k
            code[j] ^= k


@njit(cache=True, nogil=True)
def _strip_leaves(ends, degree, code, order, l_ptr, l_idx, l_edge):  # type: ignore[no-untyped-def]
    """Eliminate leaves, repeatedly; how many nodes and multipliers that makes. Their degree becomes -1."""
    count = 0
    t = 0
    l_ptr[0] = 0
    for root in range(len(degree)):
        i = root
        while degree[i] == 0 or degree[i] == 1:
            order[count] = i
            count += 1
            if degree[i] == 1:
                e = code[i]
                j = ends[2 * e] + ends[2 * e + 1] - i
                l_idx[t] = j
                l_edge[t] = e
                t += 1
                degree[j] -= 1
                code[j] ^= e
                degree[i] = -1
                i = j
            else:
                degree[i] = -1
            l_ptr[count] = t
    return count, t


@njit(cache=True, nogil=True)
def elimination_order(ptr, idx):  # type: ignore[no-untyped-def]
    """Order of elimination of nodes with at most two neighbours.

    Leaves first, repeatedly, then nodes inside chains, each joining its two neighbours by a new edge. Edges
    are numbered by their slot in the lower rows, new ones after them.

    Returns
    -------
    order : ndarray, shape (m,)
    l_ptr, l_idx, l_edge : ndarray
        Rows of the multipliers: neighbours of each eliminated node at its turn, and the edges to them.
    fill : ndarray
        For every eliminated node, by turns, the edge between its second and first neighbour, third and first, third
        and second ... (-1: they are the same node).
    ends : ndarray
        End points of every edge: edge e has entries 2 e and 2 e + 1.
    """
    n = len(ptr) - 1
    m = len(idx)
    ends = np.empty(2 * (m + n), np.int32)
    degree = np.empty(n, np.int32)
    code = np.empty(n, np.int32)
    _find_ends(ptr, idx, ends, degree, code)
    order = np.empty(n, np.uint32)
    l_ptr = np.empty(n + 1, np.uint32)
    l_idx = np.empty(2 * n, np.uint32)
    l_edge = np.empty(2 * n, np.int32)
    count, t = _strip_leaves(ends, degree, code, order, l_ptr, l_idx, l_edge)
    new = m
    f = 0
    fill = np.empty(n - count, np.int32)
    if count < n:
        first = np.full(n, -1, np.int32)  # of the two edges of a node inside a chain
        for h in range(2 * m):
            i = ends[h]
            found = (degree[i] == 2) & (first[i] < 0) & (degree[ends[h ^ 1]] >= 0)  # no branch could foretell it
            first[i] = h >> 1 if found else first[i]
        for i in range(n):
            if degree[i] != 2 or first[i] < 0:
                continue  # a node whose degree fell to two by a loop waits for the next level
            e = first[i]
            g = code[i] ^ e
            p = ends[2 * e] + ends[2 * e + 1] - i
            q = ends[2 * g] + ends[2 * g + 1] - i
            degree[i] = -1
            order[count] = i
            l_idx[t] = p
            l_edge[t] = e
            l_idx[t + 1] = q
            l_edge[t + 1] = g
            t += 2
            if p == q:
                degree[p] -= 2
                code[p] ^= e ^ g
                fill[f] = -1
            else:
                ends[2 * new] = p
                ends[2 * new + 1] = q
                for side in range(2):
                    j, gone = (p, e) if side == 0 else (q, g)
                    code[j] ^= gone ^ new
                    if first[j] == gone:
                        first[j] = new
                fill[f] = new
                new += 1
            f += 1
            count += 1
            l_ptr[count] = t
    order, l_ptr, ends = order[:count], l_ptr[: count + 1], ends[: 2 * new]
    return order, l_ptr, l_idx[:t].copy(), l_edge[:t].copy(), fill[:f].copy(), ends


@njit(cache=True, nogil=True)
def _later(a, b, n):  # type: ignore[no-untyped-def]
    """The one of two rows, of n, that comes later in a sweep."""
    return a if precedes(b, a, n) else b


@njit(cache=True, nogil=True)
def elimination_pattern(n, order, ends):  # type: ignore[no-untyped-def]
    """The kept nodes, and the strictly lower rows of what is left.

    Returns
    -------
    keep : ndarray
        Nodes that stay, ascending.
    c_ptr, c_idx : ndarray
        Strictly lower rows over the kept nodes.
    fold : ndarray
        Slot of each edge in them (-1: it went with an eliminated node).
    """
    count = n - len(order)
    keep = np.empty(count, np.uint32)
    fold = np.full(len(ends) // 2, -1, np.int32)
    bucket = np.zeros(count + 1, np.int32)
    c_ptr = np.zeros(count + 1, np.uint32)
    if count == 0:
        return keep, c_ptr, np.empty(0, np.uint32), fold
    number = np.zeros(n, np.int32)
    for k in range(len(order)):
        number[order[k]] = -1
    c = 0
    for i in range(n):
        if number[i] == 0:
            keep[c] = i
            number[i] = c
            c += 1
    for e in range(len(fold)):
        a, b = number[ends[2 * e]], number[ends[2 * e + 1]]
        if a >= 0 and b >= 0:
            bucket[_later(a, b, count) + 1] += 1
    for c in range(count):
        bucket[c + 1] += bucket[c]
    place = bucket[:-1].copy()
    edge = np.empty(bucket[count], np.int32)
    for e in range(len(fold)):
        a, b = number[ends[2 * e]], number[ends[2 * e + 1]]
        if a >= 0 and b >= 0:
            row = _later(a, b, count)
            edge[place[row]] = e
            place[row] += 1
    c_idx = np.empty(len(edge), np.uint32)
    slot = np.full(count, -1, np.int32)
    s = 0
    for row in range(count):
        begin = s
        for b in range(bucket[row], bucket[row + 1]):
            e = edge[b]
            c = number[ends[2 * e]] + number[ends[2 * e + 1]] - row
            if slot[c] < begin:
                slot[c] = s
                c_idx[s] = c
                s += 1
            fold[e] = slot[c]
        c_ptr[row + 1] = s
    return keep, c_ptr, c_idx[:s].copy(), fold


@njit(cache=True, nogil=True)
def elimination_values(  # type: ignore[no-untyped-def]
    val, diagonal, order, l_ptr, l_idx, l_edge, fill, keep, fold, tiny, l_val, inverse, out, scale
):
    """Eliminate: multipliers and inverse pivots of the nodes in ``order``, ``out`` = what is left of the matrix.

    A pivot below ``tiny`` times its diagonal entry belongs to a component that nothing holds; it is replaced
    by that entry, which pins the component. ``scale`` receives the sizes of the diagonal entries of the kept nodes.
    Returns how many were zero so, and how many were negative.
    """
    one = np.uint64(1)
    edge = np.zeros(len(fold))
    edge[: len(val)] = val
    d = diagonal.copy()
    zero = 0
    negative = 0
    f = np.uint64(0)
    for k in range(np.uint64(len(order))):
        i = order[k]
        pivot, is_zero, is_negative = mend_pivot(d[i], abs(diagonal[i]), tiny, NEGATIVE)
        zero += is_zero
        negative += is_negative
        whole = 1.0 / pivot
        inverse[k] = whole
        begin, end = l_ptr[k], l_ptr[k + one]
        t = begin
        while t < end:
            a = edge[l_edge[t]]
            share = a * whole
            p = l_idx[t]
            l_val[t] = share
            d[p] -= a * share
            u = begin
            while u < t:
                product = share * edge[l_edge[u]]
                e = fill[f]
                f += one
                if e < 0:
                    d[p] -= 2.0 * product
                else:
                    edge[e] -= product
                u = after(u)
            t = after(t)
    m = np.uint64(len(out)) - np.uint64(len(keep))
    if m > 0:
        out[:m] = 0.0
        for e in range(len(fold)):
            if fold[e] >= 0:
                out[fold[e]] += edge[e]
    for c in range(np.uint64(len(keep))):
        out[m + c] = d[keep[c]]
        scale[c] = abs(diagonal[keep[c]])
    return zero, negative
