"""Kernels of the coarse matrix P^T A P in half storage: its pattern, found once; the numbers, each time.

With A = L + D + L^T, the coarse matrix is S + S^T for S = P^T W, W = (L + D/2) P: half the products. S is made row by
row; rows of W are made again for each coarse node that takes part in them, which costs less than to keep them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.energy.prefetch import prefetch
from evenflow.energy.short_loop import after
from evenflow.preconditioner.half import turn

__all__ = ["fold_product", "multiply_new", "multiply_out"]

_SOON, _LATER = np.uint64(16), np.uint64(32)  # fine rows between asking for a piece of memory and its turn
_NEAR = 10_000  # fine rows up to which nothing need be asked for


@njit(cache=True, nogil=True)
def _transpose(p_ptr, p_idx, r_ptr, node, place):  # type: ignore[no-untyped-def]
    """Write the rows of P^T: the fine nodes of each coarse one, and where their weights are."""
    one = np.uint64(1)
    for c in p_idx:
        r_ptr[c + one] += np.uint32(1)
    for c in range(np.uint64(len(r_ptr)) - one):
        r_ptr[c + one] += r_ptr[c]
    free = r_ptr[:-1].copy()
    q = np.uint64(0)
    for i in range(np.uint64(len(p_ptr)) - one):
        end = p_ptr[i + one]
        while q < end:
            c = p_idx[q]
            e = free[c]
            node[e] = i
            place[e] = q
            free[c] = e + np.uint32(1)
            q = after(q)


@njit(cache=True, nogil=True)
def _ask_ahead(e, node, ptr, p_ptr, diagonal, idx, val):  # type: ignore[no-untyped-def]
    """Ask for what fine rows after place ``e`` need: a group's are far from each other on a mesh in memory."""
    last = np.uint64(len(node)) - np.uint64(1)
    later = node[min(e + _LATER, last)]
    prefetch(ptr, later)
    prefetch(p_ptr, later)
    prefetch(diagonal, later)
    begin = ptr[node[min(e + _SOON, last)]]
    prefetch(idx, begin)
    prefetch(val, begin)


@njit(cache=True, nogil=True)
def multiply_new(ptr, idx, val, diagonal, p_ptr, p_idx, p_val, r_ptr, node, place, s_ptr, s_idx, s_val, scale):  # type: ignore[no-untyped-def]
    """Write the rows of P^T (nodes, places of their weights), those of S, the diagonal first, and ``scale``.

    The last as :func:`multiply_out` does. ``r_ptr`` is zero before. Returns False as soon as S does not fit.
    """
    _transpose(p_ptr, p_idx, r_ptr, node, place)
    one = np.uint64(1)
    room, far = np.int64(len(s_idx)), len(diagonal) > _NEAR
    slot = np.full(len(scale), -1, np.int64)
    t = np.int64(0)
    e = np.uint64(0)
    s_ptr[0] = 0
    for row in range(np.uint64(len(s_ptr)) - one):
        first = t
        size = 0.0
        if t == room:
            return False
        slot[row] = t
        s_idx[t] = row
        s_val[t] = 0.0
        t += 1
        last = r_ptr[row + one]
        while e < last:
            if far:
                _ask_ahead(e, node, ptr, p_ptr, diagonal, idx, val)
            i = node[e]
            p = p_val[place[e]]
            size += p * p * diagonal[i]
            j, a = i, 0.5 * p * diagonal[i]  # the node itself, then those before it
            k, stop = ptr[i], ptr[i + one]
            while True:
                q, end = p_ptr[j], p_ptr[j + one]
                while q < end:
                    c = p_idx[q]
                    if slot[c] < first:
                        if t == room:
                            return False
                        slot[c] = t
                        s_idx[t] = c
                        s_val[t] = a * p_val[q]
                        t += 1
                    else:
                        s_val[slot[c]] += a * p_val[q]
                    q = after(q)
                if k >= stop:
                    break
                j, a = idx[k], p * val[k]
                k = after(k)
            e = after(e)
        scale[row] = size
        s_ptr[row + one] = t
    return True


@njit(cache=True, nogil=True)
def fold_product(s_ptr, s_idx, s_val, ptr, idx, fold, out):  # type: ignore[no-untyped-def]
    """Write the strictly lower rows of S + S^T, the slot of each entry of S in (lower values, diagonal), and these.

    Returns how many entries are lower. Which of two rows comes later cannot be foretold: nothing here branches on it.
    """
    one = np.uint64(1)
    n = np.uint64(len(s_ptr)) - one
    o_ptr = np.zeros(n + one, np.uint32)
    for row in range(n):
        own = turn(row, n)
        s, end = s_ptr[row] + one, s_ptr[row + one]
        while s < end:
            c = s_idx[s]
            later = np.uint64(c) if own < turn(c, n) else row
            o_ptr[later + one] += np.uint32(1)
            s = after(s)
    for c in range(n):
        o_ptr[c + one] += o_ptr[c]
    o_idx = np.empty(o_ptr[n], np.uint32)
    o_slot = np.empty(o_ptr[n], np.uint32)
    place = o_ptr[:-1].copy()
    for row in range(n):
        own = turn(row, n)
        s, end = s_ptr[row] + one, s_ptr[row + one]
        while s < end:
            c = np.uint64(s_idx[s])
            comes_after = own < turn(c, n)
            later = c if comes_after else row
            e = place[later]
            o_idx[e] = row if comes_after else c
            o_slot[e] = s
            place[later] = e + np.uint32(1)
            s = after(s)
    seen = np.full(n, -1, np.int32)
    slot = np.zeros(n, np.uint32)
    m = np.uint64(0)
    e = np.uint64(0)
    ptr[0] = 0
    for row in range(n):
        end = o_ptr[row + one]
        while e < end:
            c = o_idx[e]
            fresh = seen[c] != np.int32(row)
            at = m if fresh else np.uint64(slot[c])
            seen[c] = row
            slot[c] = at
            idx[m] = c
            fold[o_slot[e]] = at
            m += np.uint64(fresh)
            e = after(e)
        ptr[row + one] = m
    for row in range(n):
        fold[s_ptr[row]] = m + row
    out[: m + n] = 0.0
    for s in range(np.uint64(len(s_val))):
        out[fold[s]] += s_val[s]
    for c in range(m, m + n):
        out[c] *= 2.0
    return m


@njit(cache=True, nogil=True)
def multiply_out(ptr, idx, val, diagonal, p_ptr, p_idx, p_val, products, out, scale):  # type: ignore[no-untyped-def]
    """Write the coarse matrix, ``out`` = (lower values, diagonal).

    ``products``: rows of P^T (ptr, nodes, places of the weights), rows of S (ptr, columns), slot of each entry of S in
    ``out``.
    ``scale`` receives sum_i p_i^2 a_ii of each coarse node, what its diagonal is to be compared with.
    """
    r_ptr, node, place, s_ptr, s_idx, fold = products
    one = np.uint64(1)
    n_coarse, far = len(scale), len(diagonal) > _NEAR
    total = np.zeros(n_coarse)
    out[:] = 0.0
    e = np.uint64(0)
    s = np.uint64(0)
    for row in range(np.uint64(n_coarse)):
        size = 0.0
        last = r_ptr[row + one]
        while e < last:
            if far:
                _ask_ahead(e, node, ptr, p_ptr, diagonal, idx, val)
            i = node[e]
            p = p_val[place[e]]
            a = p * diagonal[i]
            size += p * a
            q, end = p_ptr[i], p_ptr[i + one]
            while q < end:
                total[p_idx[q]] += 0.5 * a * p_val[q]
                q = after(q)
            k, stop = ptr[i], ptr[i + one]
            while k < stop:
                j = idx[k]
                a = p * val[k]
                q, end = p_ptr[j], p_ptr[j + one]
                while q < end:
                    total[p_idx[q]] += a * p_val[q]
                    q = after(q)
                k = after(k)
            e = after(e)
        scale[row] = size
        last = s_ptr[row + one]
        while s < last:
            out[fold[s]] += total[s_idx[s]]
            total[s_idx[s]] = 0.0
            s = after(s)
    for c in range(len(out) - n_coarse, len(out)):
        out[c] *= 2.0
