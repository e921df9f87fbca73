"""Kernels of the coarse matrix P^T A P in half storage: its pattern, found once; the numbers, each time.

With A = L + D + L^T, the coarse matrix is S + S^T for S = P^T W, W = (L + D/2) P: half the products. S is made row by
row; rows of W are made again for each coarse node that takes part in them, which costs less than to keep them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.preconditioner.half import precedes

__all__ = ["Products", "multiply_new", "multiply_out"]

UintArray = npt.NDArray[np.uint32]
Products = tuple[UintArray, UintArray, UintArray, UintArray, UintArray, UintArray]


@njit(cache=True, nogil=True)
def _transpose(p_ptr, p_idx, r_ptr, node, place):  # type: ignore[no-untyped-def]
    """Rows of P^T: the fine nodes of each coarse one, and where their weights are."""
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
def _multiply_new(ptr, idx, val, diagonal, p_ptr, p_idx, p_val, r_ptr, node, place, slot, s_ptr, s_idx, s_val, scale):  # type: ignore[no-untyped-def]
    """Rows of S, pattern and values; False as soon as they do not fit. ``slot`` begins with -1."""
    t = np.int64(0)
    one = np.uint32(1)
    s_ptr[0] = 0
    for row in range(len(s_ptr) - 1):
        first = t
        size = 0.0
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
def _fold(s_ptr, s_idx, ptr, idx, fold):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Strictly lower rows of S + S^T, and the slot in (lower values, diagonal) of each entry of S."""
    n = len(s_ptr) - 1
    one = np.uint32(1)
    t_ptr = np.zeros(n + 1, np.uint32)
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            if precedes(row, s_idx[s], n):
                t_ptr[s_idx[s] + one] += one
    for c in range(n):
        t_ptr[c + 1] += t_ptr[c]
    t_row = np.empty(t_ptr[n], np.uint32)
    t_slot = np.empty(t_ptr[n], np.uint32)
    place = t_ptr[:-1].copy()
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            c = s_idx[s]
            if precedes(row, c, n):
                t_row[place[c]] = row
                t_slot[place[c]] = s
                place[c] += one
    seen = np.full(n, -1, np.int32)
    slot = np.zeros(n, np.uint32)
    m = np.uint64(0)
    ptr[0] = 0
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            c = s_idx[s]
            if precedes(c, row, n):
                seen[c] = row
                slot[c] = m
                idx[m] = c
                fold[s] = m
                m += np.uint64(1)
        for e in range(t_ptr[row], t_ptr[row + 1]):
            c = t_row[e]
            if seen[c] != row:
                seen[c] = row
                slot[c] = m
                idx[m] = c
                m += np.uint64(1)
            fold[t_slot[e]] = slot[c]
        ptr[row + 1] = m
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            if s_idx[s] == row:
                fold[s] = m + np.uint64(row)
    return m


@njit(cache=True, nogil=True)
def _gather(s_val, fold, out, n_coarse):  # type: ignore[no-untyped-def]
    """Write S + S^T, values, to ``out``."""
    out[:] = 0.0
    for s in range(len(s_val)):
        out[fold[s]] += s_val[s]
    for c in range(len(out) - n_coarse, len(out)):
        out[c] *= 2.0


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
    p_ptr, p_idx, _ = interpolation
    # Arrays are allocated here, not in the kernels: numpy asks for huge pages. Room that is not used is not touched.
    size = len(p_idx)
    r_ptr, node, place = np.zeros(n_coarse + 1, np.uint32), np.empty(size, np.uint32), np.empty(size, np.uint32)
    _transpose(p_ptr, p_idx, r_ptr, node, place)
    s_ptr, s_idx, s_val = np.empty(n_coarse + 1, np.uint32), np.empty(limit, np.uint32), np.empty(limit)
    slot, scale = np.full(n_coarse, -1, np.int64), np.empty(n_coarse)
    if not _multiply_new(*lower, *interpolation, r_ptr, node, place, slot, s_ptr, s_idx, s_val, scale):
        return None
    s_idx, s_val = s_idx[: s_ptr[-1]], s_val[: s_ptr[-1]]
    c_ptr, c_idx = np.empty(n_coarse + 1, np.uint32), np.empty(len(s_idx), np.uint32)
    fold = np.empty(len(s_idx), np.uint32)
    count = int(_fold(s_ptr, s_idx, c_ptr, c_idx, fold))
    values = np.empty(count + n_coarse)
    _gather(s_val, fold, values, n_coarse)
    return c_ptr, c_idx[:count], values, scale, (r_ptr, node, place, s_ptr, s_idx, fold)


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
