"""Kernels of interpolation: from groups of nodes to smoothed, truncated prolongation rows."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner.aggregation import DEPENDS

__all__ = ["carry_potential", "interpolate", "interpolation_weights", "repeat_rows", "scale_rows"]


@njit(cache=True, nogil=True)
def _weigh_row(own, strong, total, damping, begin, end, idx, val):  # type: ignore[no-untyped-def]
    """Write one row's weights: (1 - damping) of the own group, ``damping`` of the partners' mean; they sum to one.

    ``total`` holds the coupling to each coarse node, ``strong`` the sum before any was left out.
    """
    partners = damping / strong if strong > 0.0 else 0.0
    kept = 0.0
    for q in range(begin, end):
        weight = partners * total[idx[q]]
        if np.int64(idx[q]) == own:
            weight += 1.0 - damping if strong > 0.0 else 1.0
        val[q] = weight
        kept += weight
    if kept > 0.0:
        for q in range(begin, end):
            val[q] /= kept


@njit(cache=True, nogil=True)
def interpolate(indptr, indices, data, mark, group, n_groups, width, damping, ptr, idx, val, size):  # type: ignore[no-untyped-def]
    """Write the coarse nodes that each node interpolates from, and the weights.

    Its own group first, then those of its strong partners, at most ``width``, those of the largest total coupling.
    The weights are a Jacobi step on the constant of each group (smoothed aggregation) over the strong couplings only,
    rescaled to sum to one where partners were left out. ``size`` receives the sum of all couplings of a node.
    """
    seen = np.full(n_groups, -1, np.int32)
    found = np.empty(n_groups + 1, np.uint32)
    total = np.zeros(n_groups)
    ptr[0] = 0
    t = np.int64(0)
    for i in range(len(indptr) - 1):
        own = np.int64(group[i])
        count = 0
        if own >= 0:
            seen[own] = i
            total[own] = 0.0
            found[0] = own
            count = 1
        every = 0.0
        strong = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] == i:
                continue
            every += abs(data[k])
            if mark[k] & DEPENDS:
                c = np.int64(group[indices[k]])
                strong -= data[k]
                if c < 0:
                    continue
                if seen[c] != i:
                    seen[c] = i
                    total[c] = 0.0
                    found[count] = c
                    count += 1
                total[c] -= data[k]
        size[i] = every
        if count > width:
            for q in range(np.int64(own >= 0), width):
                best = q
                for u in range(q + 1, count):
                    if total[found[u]] > total[found[best]]:
                        best = u
                found[q], found[best] = found[best], found[q]
            count = width
        for q in range(count):
            idx[t + q] = found[q]
        _weigh_row(own, strong, total, damping, t, t + count, idx, val)
        t += count
        ptr[i + 1] = t


@njit(cache=True, nogil=True)
def interpolation_weights(indptr, indices, data, mark, group, n_groups, damping, ptr, idx, val, size):  # type: ignore[no-untyped-def]
    """Write the weights that :func:`interpolate` finds, for other values of the matrix and the same coarse nodes."""
    total = np.zeros(n_groups)
    for i in range(len(ptr) - 1):
        begin, end = np.int64(ptr[i]), np.int64(ptr[i + 1])
        for q in range(begin, end):
            total[idx[q]] = 0.0
        every = 0.0
        strong = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] != i:
                every += abs(data[k])
                if mark[k] & DEPENDS and data[k] < 0.0:
                    total[np.uint32(group[indices[k]])] -= data[k]
                    strong -= data[k]
        size[i] = every
        _weigh_row(np.int64(group[i]), strong, total, damping, begin, end, idx, val)


@njit(cache=True, nogil=True)
def scale_rows(ptr, val, size, diagonal, out):  # type: ignore[no-untyped-def]
    """Scale each row by the share of the couplings in the diagonal.

    A node held fast by a potential of its own follows its neighbours less.
    """
    for i in range(len(ptr) - 1):
        share = min(1.0, size[i] / diagonal[i]) if diagonal[i] > 0.0 else 1.0
        for q in range(ptr[i], ptr[i + 1]):
            out[q] = share * val[q]


@njit(cache=True, nogil=True)
def carry_potential(ptr, idx, val, diagonal, potential, out, coarse):  # type: ignore[no-untyped-def]
    """Scale each row by the share of the couplings, and add to ``coarse`` the potential that the coarse nodes feel.

    A node with couplings d and potential s follows its neighbours by d / (d + s); what they feel through it is
    s d / (d + s): all of a weak potential, no more than the couplings of a strong one.
    """
    for i in range(len(ptr) - 1):
        d, s = diagonal[i], potential[i]
        share = d / (d + s) if s > 0.0 else 1.0
        felt = share * s
        for q in range(ptr[i], ptr[i + 1]):
            out[q] = share * val[q]
            coarse[idx[q]] += felt * val[q]


@njit(cache=True, nogil=True)
def repeat_rows(ptr, idx, val, block):  # type: ignore[no-untyped-def]
    """Rows of the Kronecker product of an interpolation with the identity of size ``block``."""
    n = len(ptr) - 1
    new_ptr = np.empty(n * block + 1, np.uint32)
    new_idx = np.empty(len(idx) * block, np.uint32)
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
