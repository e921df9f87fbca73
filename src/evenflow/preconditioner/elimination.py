"""Kernels of elimination: leaves, whole trees and chains are solved exactly and leave the hierarchy."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner.half import BELOW, SOUND, ZERO, flaw, precedes

__all__ = ["NEGATIVE", "count_thin", "elimination_order", "elimination_pattern", "elimination_values"]

NEGATIVE = 1e-8  # a pivot below minus this share of its diagonal entry is no rounding error


@njit(cache=True, nogil=True)
def count_thin(indptr):  # type: ignore[no-untyped-def]
    """How many full rows have at most two entries beside the diagonal."""
    count = 0
    for i in range(np.uint32(len(indptr) - 1)):
        count += indptr[i + np.uint32(1)] - indptr[i] <= np.uint32(3)
    return count


@njit(cache=True, nogil=True)
def elimination_order(ptr, idx):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    """Order of elimination of nodes with at most two neighbours.

    Leaves first, repeatedly, then nodes inside chains, each joining its two neighbours by a new edge. Edges
    are numbered by their slot in the lower rows, new ones after them.

    Returns
    -------
    order : ndarray, shape (m,)
    first, second : ndarray, shape (m,)
        Edges to the neighbours of each eliminated node (-1: none).
    fill : ndarray, shape (m,)
        New edge (-1: none).
    ends : ndarray, shape (edges + new, 2)
        End points of every edge.
    used : ndarray of bool
        Whether an edge went with an eliminated node.
    """
    n = len(ptr) - 1
    m = len(idx)
    ends = np.empty((m + n, 2), np.int32)
    degree = np.zeros(n, np.int32)
    code = np.zeros(n, np.int32)  # exclusive or of the edges of a node: of a leaf, its one edge
    for i in range(n):
        for k in range(np.int32(ptr[i]), np.int32(ptr[i + 1])):
            j = idx[k]
            ends[k, 0] = i
            ends[k, 1] = j
            degree[i] += 1
            degree[j] += 1
            code[i] ^= k
            code[j] ^= k
    order = np.empty(n, np.uint32)
    first = np.full(n, -1, np.int32)
    second = np.full(n, -1, np.int32)
    fill = np.full(n, -1, np.int32)
    gone = np.zeros(n, np.bool_)
    used = np.zeros(m + n, np.bool_)
    count = 0
    for root in range(n):  # leaves: eliminating one may make the next
        i = root
        while not gone[i] and degree[i] <= 1:
            gone[i] = True
            order[count] = i
            if degree[i] == 0:
                count += 1
                break
            e = code[i]
            first[count] = e
            used[e] = True
            count += 1
            i = ends[e, 0] + ends[e, 1] - i
            degree[i] -= 1
            code[i] ^= e
    pair = np.full((n, 2), -1, np.int32)
    for k in range(m):
        if not used[k]:
            for side in range(2):
                i = ends[k, side]
                if degree[i] == 2:
                    pair[i, 1 if pair[i, 0] >= 0 else 0] = k
    new = m
    for i in range(n):  # inside of chains
        if gone[i] or degree[i] != 2 or pair[i, 0] < 0 or pair[i, 1] < 0:
            continue  # a node whose degree fell to two by a loop waits for the next level
        e, f = pair[i, 0], pair[i, 1]
        p = ends[e, 0] + ends[e, 1] - i
        q = ends[f, 0] + ends[f, 1] - i
        gone[i] = True
        used[e] = True
        used[f] = True
        order[count] = i
        first[count] = e
        second[count] = f
        if p == q:
            degree[p] -= 2
        else:
            fill[count] = new
            ends[new, 0] = p
            ends[new, 1] = q
            for side in range(2):
                j = ends[new, side]
                if degree[j] == 2:
                    pair[j, 0 if pair[j, 0] == (e if side == 0 else f) else 1] = new
            new += 1
        count += 1
    return order[:count], first[:count], second[:count], fill[:count], ends[:new], used[:new]


@njit(cache=True, nogil=True)
def _later(a, b, n):  # type: ignore[no-untyped-def]
    """The one of two rows, of n, that comes later in a sweep."""
    return a if precedes(b, a, n) else b


@njit(cache=True, nogil=True)
def elimination_pattern(n, order, first, second, ends, used):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Rows of the multipliers, the kept nodes, and the strictly lower rows of what is left.

    Returns
    -------
    l_ptr, l_idx : ndarray
        Neighbours of each eliminated node at its turn.
    keep : ndarray
        Nodes that stay, ascending.
    c_ptr, c_idx : ndarray
        Strictly lower rows over the kept nodes.
    fold : ndarray
        Slot of each edge in them (-1: used up).
    """
    m = len(order)
    l_ptr = np.empty(m + 1, np.uint32)
    l_idx = np.empty(2 * m, np.uint32)
    l_ptr[0] = 0
    number = np.zeros(n, np.int32)
    t = 0
    for k in range(m):
        i = order[k]
        number[i] = -1
        for e in (first[k], second[k]):
            if e >= 0:
                l_idx[t] = ends[e, 0] + ends[e, 1] - i
                t += 1
        l_ptr[k + 1] = t
    keep = np.empty(n - m, np.uint32)
    count = 0
    for i in range(n):
        if number[i] == 0:
            keep[count] = i
            number[i] = count
            count += 1
    bucket = np.zeros(count + 1, np.int32)
    for e in range(len(ends)):
        if not used[e]:
            bucket[_later(number[ends[e, 0]], number[ends[e, 1]], count) + 1] += 1
    for c in range(count):
        bucket[c + 1] += bucket[c]
    place = bucket[:-1].copy()
    edge = np.empty(bucket[count], np.int32)
    for e in range(len(ends)):
        if not used[e]:
            row = _later(number[ends[e, 0]], number[ends[e, 1]], count)
            edge[place[row]] = e
            place[row] += 1
    c_ptr = np.empty(count + 1, np.uint32)
    c_idx = np.empty(len(edge), np.uint32)
    fold = np.full(len(ends), -1, np.int32)
    slot = np.full(count, -1, np.int32)
    c_ptr[0] = 0
    s = 0
    for row in range(count):
        begin = s
        for b in range(bucket[row], bucket[row + 1]):
            e = edge[b]
            c = number[ends[e, 0]] + number[ends[e, 1]] - row
            if slot[c] < begin:
                slot[c] = s
                c_idx[s] = c
                s += 1
            fold[e] = slot[c]
        c_ptr[row + 1] = s
    return l_ptr, l_idx[:t].copy(), keep, c_ptr, c_idx[:s].copy(), fold


@njit(cache=True, nogil=True)
def elimination_values(  # type: ignore[no-untyped-def]
    val, diagonal, order, first, second, fill, ends, keep, fold, tiny, l_val, inverse, out, scale
):
    """Eliminate: multipliers and inverse pivots of the nodes in ``order``, ``out`` = what is left of the matrix.

    A pivot below ``tiny`` times its diagonal entry belongs to a component that nothing holds; it is replaced
    by that entry, which pins the component. ``scale`` receives the sizes of the diagonal entries of the kept nodes.
    Returns how many were zero so, and how many were negative.
    """
    edge = np.zeros(len(ends))
    edge[: len(val)] = val
    d = diagonal.copy()
    zero = 0
    negative = 0
    t = 0
    for k in range(len(order)):
        i = order[k]
        pivot = d[i]
        kind = flaw(pivot, abs(diagonal[i]), tiny, NEGATIVE)
        if kind != SOUND:
            zero += kind == ZERO
            negative += kind == BELOW
            pivot = abs(diagonal[i]) if diagonal[i] != 0.0 else 1.0
        inverse[k] = 1.0 / pivot
        e, f = first[k], second[k]
        if e >= 0:
            p = ends[e, 0] + ends[e, 1] - i
            a = edge[e]
            l_val[t] = a / pivot
            t += 1
            d[p] -= a * a / pivot
            if f >= 0:
                q = ends[f, 0] + ends[f, 1] - i
                b = edge[f]
                l_val[t] = b / pivot
                t += 1
                d[q] -= b * b / pivot
                if p == q:
                    d[p] -= 2.0 * a * b / pivot
                else:
                    edge[fill[k]] = -a * b / pivot
    out[:] = 0.0
    m = len(out) - len(keep)
    for e in range(len(ends)):
        if fold[e] >= 0:
            out[fold[e]] += edge[e]
    for c in range(len(keep)):
        out[m + c] = d[keep[c]]
        scale[c] = abs(diagonal[keep[c]])
    return zero, negative
