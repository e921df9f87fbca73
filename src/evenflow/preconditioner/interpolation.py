"""Kernels of interpolation: from groups of nodes to smoothed, truncated prolongation rows."""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.energy.short_loop import after
from evenflow.preconditioner.aggregation import DEPENDS

__all__ = [
    "carry_potential",
    "coupling_sizes",
    "interpolate",
    "interpolation_weights",
    "repeat_rows",
    "repeat_weights",
    "scale_rows",
]


@njit(cache=True, nogil=True)
def _weigh_row(total, count, own, strong, damping, val, t):  # type: ignore[no-untyped-def]
    """Write one row's weights: (1 - damping) of the own group, ``damping`` of the partners' mean; they sum to one.

    ``total`` holds the coupling to each of ``count`` coarse nodes, the own one, if any, first; ``strong`` the sum
    before any was left out.
    """
    partners, stays = (damping / strong, 1.0 - damping) if strong > 0.0 else (0.0, 1.0)
    first = stays if own else 0.0
    kept = 0.0
    q = np.uint64(0)
    while q < count:
        weight = partners * total[q] + first
        first = 0.0
        val[t + q] = weight
        kept += weight
        q = after(q)
    if kept > 0.0:
        whole = 1.0 / kept
        q = np.uint64(0)
        while q < count:
            val[t + q] *= whole
            q = after(q)


@njit(cache=True, nogil=True)
def _put_largest_first(found, total, begin, end, count):  # type: ignore[no-untyped-def]
    """Of the entries from ``begin`` to ``count``, put those with the largest totals into places up to ``end``."""
    for q in range(begin, end):
        best = q
        u = after(q)
        while u < count:
            best = u if total[u] > total[best] else best
            u = after(u)
        found[q], found[best] = found[best], found[q]
        total[q], total[best] = total[best], total[q]


@njit(cache=True, nogil=True)
def _copy(source, count, target, t):  # type: ignore[no-untyped-def]
    """Copy the first ``count`` entries to the places from t."""
    q = np.uint64(0)
    while q < count:
        target[t + q] = source[q]
        q = after(q)


@njit(cache=True, nogil=True)
def interpolate(s_ptr, s_place, s_mark, indices, data, group, n_groups, width, damping, ptr, idx, val):  # type: ignore[no-untyped-def]
    """Write the coarse nodes that each node interpolates from, and the weights.

    Its own group first, then those of its strong partners, at most ``width``, those of the largest total coupling.
    The weights are a Jacobi step on the constant of each group (smoothed aggregation) over the strong couplings only,
    rescaled to sum to one where partners were left out.
    """
    one, most = np.uint64(1), np.uint64(width)
    found = np.empty(n_groups + 1, np.uint32)
    total = np.empty(n_groups + 1)
    slot = np.full(n_groups, -1, np.int64)  # places are counted on from row to row, so that none need be reset
    base = np.int64(0)
    ptr[0] = 0
    t = np.uint64(0)
    k = np.uint64(0)
    for i in range(np.uint64(len(s_ptr)) - one):
        home = group[i]
        own = home >= 0
        count = np.uint64(own)
        inside = 0.0
        strong = 0.0
        end = s_ptr[i + one]
        while k < end:
            if s_mark[k] & DEPENDS:
                g = group[indices[s_place[k]]]
                a = data[s_place[k]]
                strong -= a
                if g == home:
                    inside -= a
                elif g >= 0:
                    c = np.uint32(g)
                    q = slot[c] - base
                    if q < 0:
                        slot[c] = base + np.int64(count)
                        found[count] = c
                        total[count] = -a
                        count += one
                    else:
                        total[q] -= a
            k = after(k)
        base += np.int64(count)
        if own and count == one:
            idx[t] = home
            val[t] = 1.0
            t += one
            ptr[i + one] = t
            continue
        if own:
            found[0] = home
            total[0] = inside
        if count > most:
            _put_largest_first(found, total, np.uint64(own), most, count)
            count = most
        _copy(found, count, idx, t)
        _weigh_row(total, count, own, strong, damping, val, t)
        t += count
        ptr[i + one] = t


@njit(cache=True, nogil=True)
def interpolation_weights(s_ptr, s_place, s_mark, indices, data, group, n_groups, damping, ptr, idx, val):  # type: ignore[no-untyped-def]
    """Write the weights that :func:`interpolate` finds, for other values of the matrix and the same coarse nodes."""
    one = np.uint64(1)
    coupling = np.zeros(n_groups)
    total = np.empty(n_groups + 1)
    k = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        begin, end = ptr[i], ptr[i + one]
        q = begin
        while q < end:
            coupling[idx[q]] = 0.0
            q = after(q)
        strong = 0.0
        last = s_ptr[i + one]
        while k < last:
            a = data[s_place[k]]
            if s_mark[k] & DEPENDS and a < 0.0:
                strong -= a
                own = group[indices[s_place[k]]]
                if own >= 0:
                    coupling[np.uint32(own)] -= a
            k = after(k)
        q = begin
        while q < end:
            total[q - begin] = coupling[idx[q]]
            q = after(q)
        _weigh_row(total, end - begin, group[i] >= 0, strong, damping, val, begin)


@njit(cache=True, nogil=True)
def coupling_sizes(indptr, indices, data, size):  # type: ignore[no-untyped-def]
    """Write the sum of the sizes of the couplings of each row."""
    one = np.uint64(1)
    k = np.uint64(0)
    for i in range(np.uint64(len(size))):
        every = 0.0
        end = indptr[i + one]
        while k < end:
            every += abs(data[k]) if indices[k] != i else 0.0
            k = after(k)
        size[i] = every


@njit(cache=True, nogil=True)
def scale_rows(ptr, val, size, diagonal, out):  # type: ignore[no-untyped-def]
    """Scale each row by the share of the couplings in the diagonal.

    A node held fast by a potential of its own follows its neighbours less.
    """
    one = np.uint64(1)
    q = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        share = min(1.0, size[i] / diagonal[i]) if diagonal[i] > 0.0 else 1.0
        end = ptr[i + one]
        while q < end:
            out[q] = share * val[q]
            q = after(q)


@njit(cache=True, nogil=True)
def carry_potential(ptr, idx, val, diagonal, potential, couplings, out, coarse, coarse_scale):  # type: ignore[no-untyped-def]
    """Scale each row by the share of the couplings, and write the potential that the coarse nodes feel.

    A node with couplings d and potential s follows its neighbours by d / (d + s); what they feel through it is
    s d / (d + s): all of a weak potential, no more than the couplings of a strong one. ``coarse_scale`` becomes the
    size of the coarse pivots, of which ``couplings`` is the part of the couplings.
    """
    coarse[:] = 0.0
    one = np.uint64(1)
    q = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        d, s = diagonal[i], potential[i]
        share = d / (d + s) if d + s > 0.0 else 1.0
        felt = share * s
        end = ptr[i + one]
        while q < end:
            out[q] = share * val[q]
            coarse[idx[q]] += felt * val[q]
            q = after(q)
    for c in range(len(coarse)):
        coarse_scale[c] = couplings[c] + coarse[c]


@njit(cache=True, nogil=True)
def repeat_rows(ptr, idx, block, new_ptr, new_idx):  # type: ignore[no-untyped-def]
    """Write the rows of the Kronecker product of an interpolation with the identity of size ``block``."""
    new_ptr[0] = 0
    t = 0
    for i in range(len(ptr) - 1):
        for c in range(block):
            for q in range(ptr[i], ptr[i + 1]):
                new_idx[t] = idx[q] * block + c
                t += 1
            new_ptr[i * block + c + 1] = t


@njit(cache=True, nogil=True)
def repeat_weights(ptr, val, block, new_val):  # type: ignore[no-untyped-def]
    """Write the weights of that product."""
    t = 0
    for i in range(len(ptr) - 1):
        for _ in range(block):
            for q in range(ptr[i], ptr[i + 1]):
                new_val[t] = val[q]
                t += 1
