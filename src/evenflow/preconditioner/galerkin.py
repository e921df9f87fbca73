"""Kernels of the coarse matrix P^T A P in half storage: its pattern, found once; the numbers, each time.

With A = L + D + L^T, the coarse matrix is S + S^T for S = P^T W, W = (L + D/2) P: half the products. S is made row by
row; rows of W are made again for each coarse node that takes part in them, which costs less than to keep them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.preconditioner.half import turn

__all__ = ["Products", "multiply_new", "multiply_out"]

UintArray = npt.NDArray[np.uint32]
Products = tuple[UintArray, UintArray, UintArray, UintArray, UintArray, UintArray]


@njit(cache=True, nogil=True)
def _transpose(p_ptr, p_idx, r_ptr, node, place):  # type: ignore[no-untyped-def]
    """Write the rows of P^T: the fine nodes of each coarse one, and where their weights are."""
    one = np.uint32(1)
    for q in range(len(p_idx)):
        r_ptr[p_idx[q] + one] += one
    for c in range(len(r_ptr) - 1):
        r_ptr[c + 1] += r_ptr[c]
    free = r_ptr[:-1].copy()
    for i in range(len(p_ptr) - 1):
        for q in range(p_ptr[i], p_ptr[i + 1]):
            c = p_idx[q]
            node[free[c]] = i
            place[free[c]] = q
            free[c] += one


@njit(cache=True, nogil=True)
def _multiply_new(ptr, idx, val, diagonal, p_ptr, p_idx, p_val, r_ptr, node, place, s_ptr, s_idx, s_val, scale):  # type: ignore[no-untyped-def]
    """Write the rows of P^T, and those of S, the diagonal first; False as soon as they do not fit."""
    _transpose(p_ptr, p_idx, r_ptr, node, place)
    slot = np.full(len(scale), -1, np.int64)
    t = np.int64(0)
    one = np.uint32(1)
    s_ptr[0] = 0
    for row in range(len(s_ptr) - 1):
        first = t
        size = 0.0
        if t == len(s_idx):
            return False
        slot[row] = t
        s_idx[t] = row
        s_val[t] = 0.0
        t += 1
        for e in range(r_ptr[row], r_ptr[row + 1]):
            i = node[e]
            p = p_val[place[e]]
            size += p * p * diagonal[i]
            begin = np.int64(ptr[i])
            for k in range(begin - 1, np.int64(ptr[i + one])):
                if k < begin:  # the node itself, then those before it
                    j = i
                    a = 0.5 * p * diagonal[i]
                else:
                    j = idx[k]
                    a = p * val[k]
                for q in range(p_ptr[j], p_ptr[j + one]):
                    c = p_idx[q]
                    if slot[c] < first:
                        if t == len(s_idx):
                            return False
                        slot[c] = t
                        s_idx[t] = c
                        s_val[t] = a * p_val[q]
                        t += 1
                    else:
                        s_val[slot[c]] += a * p_val[q]
        scale[row] = size
        s_ptr[row + 1] = t
    return True


@njit(cache=True, nogil=True)
def _fold(s_ptr, s_idx, s_val, ptr, idx, fold, out):  # type: ignore[no-untyped-def]
    """Write the strictly lower rows of S + S^T, the slot of each entry of S in (lower values, diagonal), and these.

    Returns how many entries are lower. Which of two rows comes later cannot be foretold: nothing here branches on it.
    """
    n = len(s_ptr) - 1
    one = np.uint32(1)
    o_ptr = np.zeros(n + 1, np.uint32)
    for row in range(n):
        own = turn(row, n)
        for s in range(s_ptr[row] + one, s_ptr[row + 1]):
            c = s_idx[s]
            later = c if own < turn(c, n) else np.uint32(row)
            o_ptr[later + one] += one
    for c in range(n):
        o_ptr[c + 1] += o_ptr[c]
    o_idx = np.empty(o_ptr[n], np.uint32)
    o_slot = np.empty(o_ptr[n], np.uint32)
    place = o_ptr[:-1].copy()
    for row in range(n):
        own = turn(row, n)
        for s in range(s_ptr[row] + one, s_ptr[row + 1]):
            c = s_idx[s]
            after = own < turn(c, n)
            later = c if after else np.uint32(row)
            e = place[later]
            o_idx[e] = np.uint32(row) if after else c
            o_slot[e] = s
            place[later] = e + one
    seen = np.full(n, -1, np.int32)
    slot = np.zeros(n, np.uint32)
    m = np.uint32(0)
    ptr[0] = 0
    for row in range(n):
        for e in range(o_ptr[row], o_ptr[row + 1]):
            c = o_idx[e]
            fresh = seen[c] != row
            at = m if fresh else slot[c]
            seen[c] = row
            slot[c] = at
            idx[m] = c
            fold[o_slot[e]] = at
            m += np.uint32(fresh)
        ptr[row + 1] = m
    for row in range(n):
        fold[s_ptr[row]] = m + np.uint32(row)
    out[: m + n] = 0.0
    for s in range(len(s_val)):
        out[fold[s]] += s_val[s]
    for c in range(m, m + n):
        out[c] *= 2.0
    return m


def multiply_new(
    lower: tuple[UintArray, UintArray, FloatArray, FloatArray],
    interpolation: tuple[UintArray, UintArray, FloatArray],
    n_coarse: int,
    limit: int,
) -> tuple[UintArray, UintArray, FloatArray, FloatArray, Products] | None:
    """Coarse matrix of a fine one, its pattern found on the way.

    Parameters
    ----------
    lower : tuple
        Strictly lower rows (ptr, idx, values) of the fine matrix, and its diagonal.
    interpolation : tuple
        Rows (ptr, idx, weights).
    n_coarse : int
    limit : int
        Most entries of S.

    Returns
    -------
    tuple or None
        Strictly lower rows (ptr, idx) of the coarse matrix, (lower values, diagonal), scale, and what
        :func:`multiply_out` needs to do it again: rows of P^T (ptr, nodes, places of the weights), columns of S, slot
        of each entry of S in (lower values, diagonal). None if S has more entries than ``limit``.
    """
    size = len(interpolation[1])
    # Arrays are allocated here, not in the kernels: numpy asks for huge pages. Room that is not used is not touched.
    r_ptr, node, place = np.zeros(n_coarse + 1, np.uint32), np.empty(size, np.uint32), np.empty(size, np.uint32)
    s_ptr, s_idx, s_val = np.empty(n_coarse + 1, np.uint32), np.empty(limit, np.uint32), np.empty(limit)
    scale = np.empty(n_coarse)
    if not _multiply_new(*lower, *interpolation, r_ptr, node, place, s_ptr, s_idx, s_val, scale):
        return None
    s_idx, s_val = s_idx[: s_ptr[-1]], s_val[: s_ptr[-1]]
    c_ptr, c_idx, fold = np.empty_like(s_ptr), np.empty_like(s_idx), np.empty_like(s_idx)
    values = np.empty(len(s_val))
    count = int(_fold(s_ptr, s_idx, s_val, c_ptr, c_idx, fold, values))
    return c_ptr, c_idx[:count], values[: count + n_coarse], scale, (r_ptr, node, place, s_ptr, s_idx, fold)


@njit(cache=True, nogil=True)
def multiply_out(ptr, idx, val, diagonal, p_ptr, p_idx, p_val, products, out, scale):  # type: ignore[no-untyped-def]
    """Write the coarse matrix, ``out`` = (lower values, diagonal).

    ``scale`` receives sum_i p_i^2 a_ii of each coarse node, what its diagonal is to be compared with.
    """
    r_ptr, node, place, s_ptr, s_idx, fold = products
    one = np.uint32(1)
    n_coarse = len(scale)
    total = np.zeros(n_coarse)
    out[:] = 0.0
    for row in range(n_coarse):
        size = 0.0
        for e in range(r_ptr[row], r_ptr[row + 1]):
            i = node[e]
            p = p_val[place[e]]
            a = p * diagonal[i]
            size += p * a
            for q in range(p_ptr[i], p_ptr[i + one]):
                total[p_idx[q]] += 0.5 * a * p_val[q]
            for k in range(ptr[i], ptr[i + one]):
                j = idx[k]
                a = p * val[k]
                for q in range(p_ptr[j], p_ptr[j + one]):
                    total[p_idx[q]] += a * p_val[q]
        scale[row] = size
        for s in range(s_ptr[row], s_ptr[row + 1]):
            out[fold[s]] += total[s_idx[s]]
            total[s_idx[s]] = 0.0
    for c in range(len(out) - n_coarse, len(out)):
        out[c] *= 2.0
