"""Kernels of the coarse matrix P^T A P in half storage: where each product goes, found once; the numbers, each time."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["galerkin_map", "galerkin_values"]


@njit(cache=True, nogil=True)
def _reach(ptr, idx, p_ptr, p_idx, n_coarse):  # type: ignore[no-untyped-def]
    """Coarse columns met by each row of (L + D/2) P, and where the products with P^T of each row begin."""
    n = len(ptr) - 1
    u_ptr = np.empty(n + 1, np.int32)
    start = np.empty(n + 1, np.int64)
    u_ptr[0] = 0
    start[0] = 0
    seen = np.full(n_coarse, -1, np.int32)
    room = 2 * len(p_idx) + 16
    u_idx = np.empty(room, np.int32)
    t = 0
    for i in range(n):
        begin = t
        width = p_ptr[i + 1] - p_ptr[i]
        if width > 0:
            for k in range(ptr[i], ptr[i + 1] + 1):
                j = idx[k] if k < ptr[i + 1] else i
                for q in range(p_ptr[j], p_ptr[j + 1]):
                    c = p_idx[q]
                    if seen[c] != i:
                        seen[c] = i
                        if t == room:
                            room *= 2
                            larger = np.empty(room, np.int32)
                            larger[:t] = u_idx
                            u_idx = larger
                        u_idx[t] = c
                        t += 1
        u_ptr[i + 1] = t
        start[i + 1] = start[i] + np.int64(t - begin) * width
    return u_ptr, u_idx[:t].copy(), start


@njit(cache=True, nogil=True)
def _transpose(p_ptr, p_idx, n_coarse):  # type: ignore[no-untyped-def]
    """Rows of P^T: fine nodes, and the position of the entry in its row of P."""
    ptr = np.zeros(n_coarse + 1, np.int32)
    for q in range(len(p_idx)):
        ptr[p_idx[q] + 1] += 1
    for c in range(n_coarse):
        ptr[c + 1] += ptr[c]
    place = ptr[:-1].copy()
    node = np.empty(len(p_idx), np.int32)
    position = np.empty(len(p_idx), np.int32)
    for i in range(len(p_ptr) - 1):
        for q in range(p_ptr[i], p_ptr[i + 1]):
            c = p_idx[q]
            node[place[c]] = i
            position[place[c]] = q - p_ptr[i]
            place[c] += 1
    return ptr, node, position


@njit(cache=True, nogil=True)
def _products(u_ptr, u_idx, start, r_ptr, node, position, n_coarse):  # type: ignore[no-untyped-def]
    """Pattern of S = P^T (L + D/2) P by rows, and the entry of S that each product is added to."""
    target = np.empty(start[-1], np.int32)
    s_ptr = np.empty(n_coarse + 1, np.int32)
    s_ptr[0] = 0
    room = 12 * n_coarse + 16
    s_idx = np.empty(room, np.int32)
    slot = np.full(n_coarse, -1, np.int32)
    m = 0
    for row in range(n_coarse):
        begin = m
        for e in range(r_ptr[row], r_ptr[row + 1]):
            i = node[e]
            first = u_ptr[i]
            width = u_ptr[i + 1] - first
            base = start[i] + position[e] * width
            if m + width > room:
                room = 2 * room + width
                larger = np.empty(room, np.int32)
                larger[:m] = s_idx[:m]
                s_idx = larger
            for u in range(width):
                c = u_idx[first + u]
                s = slot[c]
                if s < begin:
                    s = m
                    slot[c] = m
                    s_idx[m] = c
                    m += 1
                target[base + u] = s
        s_ptr[row + 1] = m
    return s_ptr, s_idx[:m].copy(), target


@njit(cache=True, nogil=True)
def fold_pattern(s_ptr, s_idx):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Strictly lower rows of S + S^T, and the slot in (lower values, diagonal) of each entry of S."""
    n = len(s_ptr) - 1
    t_ptr = np.zeros(n + 1, np.int32)
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            if s_idx[s] > row:
                t_ptr[s_idx[s] + 1] += 1
    for c in range(n):
        t_ptr[c + 1] += t_ptr[c]
    t_idx = np.empty(t_ptr[n], np.int32)
    t_slot = np.empty(t_ptr[n], np.int32)
    place = t_ptr[:-1].copy()
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            c = s_idx[s]
            if c > row:
                t_idx[place[c]] = row
                t_slot[place[c]] = s
                place[c] += 1
    ptr = np.empty(n + 1, np.int32)
    ptr[0] = 0
    idx = np.empty(len(s_idx), np.int32)
    fold = np.empty(len(s_idx), np.int32)
    slot = np.full(n, -1, np.int32)
    m = 0
    for row in range(n):
        begin = m
        for s in range(s_ptr[row], s_ptr[row + 1]):
            c = s_idx[s]
            if c < row:
                slot[c] = m
                idx[m] = c
                fold[s] = m
                m += 1
            elif c == row:
                fold[s] = -1
        for e in range(t_ptr[row], t_ptr[row + 1]):
            c = t_idx[e]
            if slot[c] < begin:
                slot[c] = m
                idx[m] = c
                m += 1
            fold[t_slot[e]] = slot[c]
        ptr[row + 1] = m
    for row in range(n):
        for s in range(s_ptr[row], s_ptr[row + 1]):
            if fold[s] < 0:
                fold[s] = m + row
    return ptr, idx[:m].copy(), fold


@njit(cache=True, nogil=True)
def galerkin_map(ptr, idx, p_ptr, p_idx, n_coarse):  # type: ignore[no-untyped-def]
    """Pattern of the coarse matrix and the map of the products that add up to it."""
    u_ptr, u_idx, start = _reach(ptr, idx, p_ptr, p_idx, n_coarse)
    r_ptr, node, position = _transpose(p_ptr, p_idx, n_coarse)
    s_ptr, s_idx, target = _products(u_ptr, u_idx, start, r_ptr, node, position, n_coarse)
    c_ptr, c_idx, fold = fold_pattern(s_ptr, s_idx)
    return c_ptr, c_idx, u_ptr, u_idx, target, fold


@njit(cache=True, nogil=True)
def galerkin_values(ptr, idx, val, diagonal, p_ptr, p_idx, p_val, u_ptr, u_idx, target, fold, out, scale):  # type: ignore[no-untyped-def]
    """Write the coarse matrix, ``out`` = (lower values, diagonal), in one pass over the fine one.

    ``scale`` receives sum_i p_i^2 a_ii of each coarse node, what its diagonal is to be compared with.
    """
    n_coarse = len(scale)
    row = np.zeros(n_coarse)
    half = np.zeros(len(fold))
    scale[:] = 0.0
    t = 0
    for i in range(len(ptr) - 1):
        p0, p1 = p_ptr[i], p_ptr[i + 1]
        if p0 == p1:
            continue
        u0, u1 = u_ptr[i], u_ptr[i + 1]
        for u in range(u0, u1):
            row[u_idx[u]] = 0.0
        for k in range(ptr[i], ptr[i + 1]):
            j = idx[k]
            a = val[k]
            for q in range(p_ptr[j], p_ptr[j + 1]):
                row[p_idx[q]] += a * p_val[q]
        a = 0.5 * diagonal[i]
        for q in range(p0, p1):
            row[p_idx[q]] += a * p_val[q]
        for q in range(p0, p1):
            p = p_val[q]
            scale[p_idx[q]] += 2.0 * a * p * p
            for u in range(u0, u1):
                half[target[t]] += p * row[u_idx[u]]
                t += 1
    out[:] = 0.0
    for s in range(len(fold)):
        out[fold[s]] += half[s]
    for c in range(len(out) - n_coarse, len(out)):
        out[c] *= 2.0
