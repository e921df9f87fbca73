"""Kernels of the coarse matrix P^T A P in half storage: where each product goes, found once; the numbers, each time.

With A = L + D + L^T, the coarse matrix is S + S^T for S = P^T W, W = (L + D/2) P: half the products.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.preconditioner.half import precedes

__all__ = ["ProductMap", "galerkin_values", "map_products"]

UintArray = npt.NDArray[np.uint32]
ProductMap = tuple[UintArray, UintArray, UintArray, UintArray, UintArray, UintArray]


@njit(cache=True, nogil=True)
def _reach(ptr, idx, p_ptr, p_idx, seen, u_ptr, u_idx):  # type: ignore[no-untyped-def]
    """Coarse columns of each row of W, those of the row's own interpolation first. Returns the products of P^T W."""
    t = np.uint64(0)
    products = np.uint64(0)
    u_ptr[0] = 0
    for i in range(len(ptr) - 1):
        begin = t
        p0, p1 = p_ptr[i], p_ptr[i + 1]
        if p1 > p0:
            for q in range(p0, p1):
                seen[p_idx[q]] = i
                u_idx[t] = p_idx[q]
                t += np.uint64(1)
            for k in range(ptr[i], ptr[i + 1]):
                j = idx[k]
                for q in range(p_ptr[j], p_ptr[j + 1]):
                    c = p_idx[q]
                    if seen[c] != i:
                        seen[c] = i
                        u_idx[t] = c
                        t += np.uint64(1)
        u_ptr[i + 1] = t
        products += (t - begin) * np.uint64(p1 - p0)
    return products


@njit(cache=True, nogil=True)
def _transpose(p_ptr, p_idx, r_ptr, node):  # type: ignore[no-untyped-def]
    """Rows of P^T."""
    one = np.uint32(1)
    for q in range(len(p_idx)):
        r_ptr[p_idx[q] + one] += one
    for c in range(len(r_ptr) - 1):
        r_ptr[c + 1] += r_ptr[c]
    place = r_ptr[:-1].copy()
    for i in range(len(p_ptr) - 1):
        for q in range(p_ptr[i], p_ptr[i + 1]):
            c = p_idx[q]
            node[place[c]] = i
            place[c] += one


@njit(cache=True, nogil=True)
def _pattern(u_ptr, u_idx, r_ptr, node, seen, s_ptr, s_idx):  # type: ignore[no-untyped-def]
    """Rows of S; False as soon as they do not fit."""
    t = np.uint64(0)
    room = np.uint64(len(s_idx))
    s_ptr[0] = 0
    for row in range(len(s_ptr) - 1):
        for e in range(r_ptr[row], r_ptr[row + 1]):
            i = node[e]
            if t + np.uint64(u_ptr[i + np.uint32(1)] - u_ptr[i]) > room:
                return False
            for u in range(u_ptr[i], u_ptr[i + np.uint32(1)]):
                c = u_idx[u]
                if seen[c] != row:
                    seen[c] = row
                    s_idx[t] = c
                    t += np.uint64(1)
        s_ptr[row + 1] = t
    return True


@njit(cache=True, nogil=True)
def _targets(p_ptr, p_idx, u_ptr, r_ptr, node, u_idx, s_ptr, s_idx, target):  # type: ignore[no-untyped-def]
    """Entry of S that each product is added to, in the order of :func:`galerkin_values`."""
    one = np.uint32(1)
    n = len(p_ptr) - 1
    start = np.empty(n, np.uint64)
    t = np.uint64(0)
    for i in range(n):
        start[i] = t
        t += np.uint64(p_ptr[i + 1] - p_ptr[i]) * np.uint64(u_ptr[i + 1] - u_ptr[i])
    slot = np.zeros(len(s_ptr) - 1, np.uint32)
    for row in range(len(s_ptr) - 1):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            slot[s_idx[s]] = s
        for e in range(r_ptr[row], r_ptr[row + 1]):
            i = node[e]
            t = start[i]
            q = p_ptr[i]
            while p_idx[q] != row:
                q += one
                t += np.uint64(u_ptr[i + one] - u_ptr[i])
            for u in range(u_ptr[i], u_ptr[i + one]):
                target[t] = slot[u_idx[u]]
                t += np.uint64(1)


@njit(cache=True, nogil=True)
def _fold(s_ptr, s_idx, ptr, idx, fold):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Strictly lower rows of S + S^T, and the slot in (lower values, diagonal) of each entry of S."""
    n = len(s_ptr) - 1
    half = (n + 1) // 2
    one = np.uint32(1)
    t_ptr = np.zeros(n + 1, np.uint32)
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            if precedes(row, np.int64(s_idx[s]), half):
                t_ptr[s_idx[s] + one] += one
    for c in range(n):
        t_ptr[c + 1] += t_ptr[c]
    t_row = np.empty(t_ptr[n], np.uint32)
    t_slot = np.empty(t_ptr[n], np.uint32)
    place = t_ptr[:-1].copy()
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            c = s_idx[s]
            if precedes(row, np.int64(c), half):
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
            if precedes(np.int64(c), row, half):
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


def map_products(
    ptr: UintArray, idx: UintArray, p_ptr: UintArray, p_idx: UintArray, n_coarse: int, limit: int
) -> ProductMap | None:
    """Pattern of the coarse matrix, and where every product goes.

    Parameters
    ----------
    ptr, idx : ndarray
        Strictly lower rows of the fine matrix.
    p_ptr, p_idx : ndarray
        Rows of the interpolation.
    n_coarse : int
    limit : int
        Most entries of S.

    Returns
    -------
    tuple of ndarray or None
        Strictly lower rows (ptr, idx) of the coarse matrix, rows (ptr, idx) of W, target of each product in
        S, slot of each entry of S in (lower values, diagonal). None if S has more entries than ``limit``.
    """
    # Arrays are allocated here, not in the kernels: numpy asks for huge pages. Room that is not used is not touched.
    n = len(ptr) - 1
    widest = int(np.diff(p_ptr).max(initial=0))
    u_ptr = np.empty(n + 1, np.uint32)
    u_idx = np.empty((len(idx) + n) * widest, np.uint32)
    products = int(_reach(ptr, idx, p_ptr, p_idx, np.full(n_coarse, -1, np.int32), u_ptr, u_idx))
    u_idx = u_idx[: u_ptr[-1]]
    r_ptr, node = np.zeros(n_coarse + 1, np.uint32), np.empty(len(p_idx), np.uint32)
    _transpose(p_ptr, p_idx, r_ptr, node)
    s_ptr, s_idx = np.empty(n_coarse + 1, np.uint32), np.empty(min(limit, products), np.uint32)
    if not _pattern(u_ptr, u_idx, r_ptr, node, np.full(n_coarse, -1, np.int32), s_ptr, s_idx):
        return None
    s_idx = s_idx[: s_ptr[-1]]
    target = np.empty(products, np.uint32)
    _targets(p_ptr, p_idx, u_ptr, r_ptr, node, u_idx, s_ptr, s_idx, target)
    c_ptr, c_idx = np.empty(n_coarse + 1, np.uint32), np.empty(len(s_idx), np.uint32)
    fold = np.empty(len(s_idx), np.uint32)
    count = int(_fold(s_ptr, s_idx, c_ptr, c_idx, fold))
    return c_ptr, c_idx[:count].copy(), u_ptr, u_idx, target, fold


@njit(cache=True, nogil=True)
def galerkin_values(ptr, idx, val, diagonal, p_ptr, p_idx, p_val, u_ptr, u_idx, target, fold, out, scale):  # type: ignore[no-untyped-def]
    """Write the coarse matrix, ``out`` = (lower values, diagonal), in one pass over the fine one.

    ``scale`` receives sum_i p_i^2 a_ii of each coarse node, what its diagonal is to be compared with.
    """
    n_coarse = len(scale)
    row = np.zeros(n_coarse)
    half = np.zeros(len(fold))
    scale[:] = 0.0
    t = np.uint64(0)
    for i in range(len(ptr) - 1):
        p0, p1 = p_ptr[i], p_ptr[i + 1]
        if p0 == p1:
            continue
        u0, u1 = u_ptr[i], u_ptr[i + 1]
        a = diagonal[i]
        for q in range(p0, p1):
            row[p_idx[q]] = 0.5 * a * p_val[q]
            scale[p_idx[q]] += a * p_val[q] * p_val[q]
        for u in range(u0 + (p1 - p0), u1):
            row[u_idx[u]] = 0.0
        for k in range(ptr[i], ptr[i + 1]):
            j = idx[k]
            a = val[k]
            for q in range(p_ptr[j], p_ptr[j + np.uint32(1)]):
                row[p_idx[q]] += a * p_val[q]
        for q in range(p0, p1):
            p = p_val[q]
            for u in range(u0, u1):
                half[target[t]] += p * row[u_idx[u]]
                t += np.uint64(1)
    out[:] = 0.0
    for s in range(len(fold)):
        out[fold[s]] += half[s]
    for c in range(len(out) - n_coarse, len(out)):
        out[c] *= 2.0
