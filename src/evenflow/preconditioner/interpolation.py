"""Kernels of interpolation: from groups of nodes to smoothed, truncated prolongation rows."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner.aggregation import DEPENDS

__all__ = ["interpolation_pattern", "interpolation_values", "repeat_rows"]


@njit(cache=True, nogil=True)
def interpolation_pattern(indptr, indices, data, mark, group, n_groups, width):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Coarse nodes that each node interpolates from: its own group first, then those of its strong partners.

    At most ``width`` of them, those of the largest total coupling.
    """
    n = len(indptr) - 1
    ptr = np.empty(n + 1, np.int32)
    idx = np.empty(n * width, np.int32)
    seen = np.full(n_groups, -1, np.int32)
    found = np.empty(n_groups + 1, np.int32)
    total = np.zeros(n_groups)
    ptr[0] = 0
    t = 0
    for i in range(n):
        own = group[i]
        count = 0
        if own >= 0:
            seen[own] = i
            found[0] = own
            count = 1
        for k in range(indptr[i], indptr[i + 1]):
            if mark[k] & DEPENDS:
                c = group[indices[k]]
                if c >= 0 and seen[c] != i:
                    seen[c] = i
                    found[count] = c
                    count += 1
        if count > width:
            for q in range(count):
                total[found[q]] = 0.0
            for k in range(indptr[i], indptr[i + 1]):
                if mark[k] & DEPENDS and group[indices[k]] >= 0:
                    total[group[indices[k]]] -= data[k]
            for q in range(1 if own >= 0 else 0, width):
                best = q
                for u in range(q + 1, count):
                    if total[found[u]] > total[found[best]]:
                        best = u
                found[q], found[best] = found[best], found[q]
            count = width
        for q in range(count):
            idx[t] = found[q]
            t += 1
        ptr[i + 1] = t
    return ptr, idx[:t].copy()


@njit(cache=True, nogil=True)
def interpolation_values(indptr, indices, data, mark, group, n_groups, damping, ptr, idx, val):  # type: ignore[no-untyped-def]
    """Write the interpolation weights: (1 - damping) of the own group, ``damping`` of the partners' mean.

    This is a Jacobi step on the constant of each group (smoothed aggregation) over the strong couplings only,
    rescaled where partners were truncated, and by the share of the couplings in the diagonal: a node held
    fast by its own potential follows its neighbours less.
    """
    total = np.zeros(n_groups)
    for i in range(len(ptr) - 1):
        begin, end = ptr[i], ptr[i + 1]
        if begin == end:
            continue
        for q in range(begin, end):
            total[idx[q]] = 0.0
        diagonal = 0.0
        size = 0.0
        strong = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] == i:
                diagonal += data[k]
                continue
            size += abs(data[k])
            if mark[k] & DEPENDS and data[k] < 0.0:
                c = group[indices[k]]
                if c >= 0:
                    total[c] -= data[k]
                    strong -= data[k]
        own = group[i]
        kept = 0.0
        for q in range(begin, end):
            c = idx[q]
            weight = damping * total[c] / strong if strong > 0.0 else 0.0
            if c == own:
                weight += 1.0 - damping if strong > 0.0 else 1.0
            val[q] = weight
            kept += weight
        share = min(1.0, size / diagonal) if diagonal > 0.0 else 1.0
        scale = share / kept if kept > 0.0 else 0.0
        for q in range(begin, end):
            val[q] *= scale


@njit(cache=True, nogil=True)
def repeat_rows(ptr, idx, val, block):  # type: ignore[no-untyped-def]
    """Rows of the Kronecker product of an interpolation with the identity of size ``block``."""
    n = len(ptr) - 1
    new_ptr = np.empty(n * block + 1, np.int32)
    new_idx = np.empty(len(idx) * block, np.int32)
    new_val = np.empty(len(idx) * block)
    new_ptr[0] = 0
    t = 0
    for i in range(n):
        for c in range(block):
            for q in range(ptr[i], ptr[i + 1]):
                new_idx[t] = idx[q] * block + c
                new_val[t] = val[q]
                t += 1
            new_ptr[i * block + c + 1] = t
    return new_ptr, new_idx, new_val
