"""Minimum degree: the order in which a small thin graph is eliminated to the end, with little fill."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner.elimination import find_ends, strip_leaves

__all__ = ["minimum_degree"]

_CHAIN = 2  # neighbours of a node whose elimination adds no edge
_MOST = 24  # neighbours of a node that may be eliminated
_SEARCHED = 32  # neighbours of a node among which an edge is searched for; beyond, there may be a second one
_EDGES = 3  # for each node that is left after leaves and chains
_ENTRIES, _PAIRS = 4, 12  # for each edge that is left then: multipliers, and products of two


@njit(cache=True, nogil=True)
def _put(i, d, top, below, entry, used):  # type: ignore[no-untyped-def]
    """Put i on the stack of nodes with d neighbours, if there is one; how many entries all stacks have had."""
    if d < len(top):
        entry[used] = i
        below[used] = top[d]
        top[d] = used
        used += 1
    return used


@njit(cache=True, nogil=True)
def _search(p, ends, head, after, degree, place, turn, now, shared):  # type: ignore[no-untyped-def]
    """Find the edges of p to other neighbours of the node eliminated now; forget those to eliminated nodes."""
    last = -1
    h = head[p]
    while h >= 0:
        q = ends[h]
        if degree[q] < 0:
            if last < 0:
                head[p] = after[h]
            else:
                after[last] = after[h]
        else:
            last = h
            if turn[q] == now:
                a, b = place[p], place[q]
                shared[max(a, b), min(a, b)] = h >> 1
        h = after[h]


@njit(cache=True, nogil=True)
def minimum_degree(ptr, idx):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    """Order of elimination of all nodes, fewest neighbours first.

    Given up where that would make much new: then the order is empty. Two nodes with many neighbours may have several
    edges in common.

    Returns
    -------
    order, l_ptr, l_idx, l_edge, fill, ends : ndarray
        As of :func:`~evenflow.preconditioner.elimination.elimination_order`.
    """
    n = len(ptr) - 1
    m = len(idx)
    ends = np.empty(2 * (m + n + _PAIRS * m), np.int32)
    degree = np.empty(n, np.int32)
    code = np.empty(n, np.int32)
    find_ends(ptr, idx, ends, degree, code)
    order = np.empty(n, np.uint32)
    l_ptr = np.empty(n + 1, np.uint32)
    l_idx = np.empty(2 * n + _ENTRIES * m, np.uint32)
    l_edge = np.empty(len(l_idx), np.int32)
    count, t = strip_leaves(ends, degree, code, order, l_ptr, l_idx, l_edge)
    # Half-edge h of edge h >> 1 is listed at the end ends[h ^ 1] and tells the other, ends[h].
    after = np.empty(len(ends), np.int32)
    head = np.full(n, -1, np.int32)
    edges = 0
    for h in range(2 * m - 1, -1, -1):
        i = ends[h ^ 1]
        if degree[i] >= 0 and degree[ends[h]] >= 0:
            after[h] = head[i]
            head[i] = h
            edges += h & 1
    # Stacks of nodes by degree; a node whose degree has changed is put on another, and ignored where it was.
    top = np.full(_MOST + 1, -1, np.int32)
    entry = np.empty(n + len(l_idx), np.int32)
    below = np.empty(len(entry), np.int32)
    used = 0
    for i in range(n - 1, -1, -1):
        if degree[i] >= 0:
            used = _put(i, degree[i], top, below, entry, used)
    place = np.empty(n, np.int32)  # of a neighbour among those of the node at hand
    turn = np.full(n, -1, np.int32)
    shared = np.full((_MOST, _MOST), -1, np.int32)
    fill = np.empty(n - count + _PAIRS * m, np.int32)
    f = 0
    new = m
    most_t, most_f = len(l_idx), len(fill)
    chosen = False
    d = 0
    while count < n:
        while d <= _MOST and top[d] < 0:
            d += 1
        if d > _CHAIN and not chosen:
            chosen = True
            most_t, most_f = (t + _ENTRIES * edges, f + _PAIRS * edges) if edges <= _EDGES * (n - count) else (0, 0)
        if d > _MOST or t + d > most_t or f + d * (d - 1) // 2 > most_f:
            count, t, f, new = 0, 0, 0, m
            break
        i = entry[top[d]]
        top[d] = below[top[d]]
        if degree[i] != d:
            continue
        degree[i] = -1
        order[count] = i
        begin = t
        h = head[i]
        while h >= 0:
            j = ends[h]
            if degree[j] >= 0:
                l_idx[t] = j
                l_edge[t] = h >> 1
                place[j] = t - begin
                turn[j] = count
                t += 1
            h = after[h]
        edges -= d
        if d > 1:
            for k in range(begin, t if d > 2 else begin + 1):
                p = l_idx[k]
                if degree[p] <= _SEARCHED:
                    _search(p, ends, head, after, degree, place, turn, count, shared)
        for a in range(d):
            p = l_idx[begin + a]
            degree[p] -= 1
            for b in range(a):
                q = l_idx[begin + b]
                e = shared[a, b]
                shared[a, b] = -1
                if p == q:
                    e = -1
                elif e < 0:
                    e = new
                    new += 1
                    edges += 1
                    ends[2 * e] = p
                    ends[2 * e + 1] = q
                    after[2 * e] = head[q]
                    head[q] = 2 * e
                    after[2 * e + 1] = head[p]
                    head[p] = 2 * e + 1
                    degree[p] += 1
                    degree[q] += 1
                fill[f] = e
                f += 1
        for a in range(d):
            p = l_idx[begin + a]
            used = _put(p, degree[p], top, below, entry, used)
            d = min(d, degree[p])
        count += 1
        l_ptr[count] = t
    order, l_ptr, ends = order[:count], l_ptr[: count + 1], ends[: 2 * new].copy()
    return order, l_ptr, l_idx[:t].copy(), l_edge[:t].copy(), fill[:f].copy(), ends
