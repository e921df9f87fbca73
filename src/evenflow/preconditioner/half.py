"""Kernels of half storage: a symmetric matrix as its strictly lower rows and its diagonal.

A lower row is read once to pull (the entry a_ij x_j of row i) and to push (a_ij x_i of row j), which halves the
memory traffic of a Gauss-Seidel sweep and yields the residual with it.

"Lower" is meant in the order of the sweep, which takes the rows of the first and the second half of the matrix by
turns. Successive rows are then rarely coupled, so that a processor works on two at once instead of waiting for
each to end: a third less time a sweep.

Index arrays are uint32 in all kernels of this package: numba tests signed indices for being negative, which
costs a third of the time of a short loop.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.energy.short_loop import after

__all__ = [
    "add_sizes",
    "dense_half",
    "expand",
    "find_lower",
    "invert_pivots",
    "mend_pivot",
    "precedes",
    "subtract_reach",
    "take_values",
    "turn",
]


@njit(cache=True, nogil=True)
def turn(i, n):  # type: ignore[no-untyped-def]
    """When row i of n is swept, in the order 0, half, 1, half + 1, ..., with half = (n + 1) // 2."""
    i, half = np.int64(i), (np.int64(n) + 1) // 2
    return 2 * i - (2 * half - 1) * np.int64(i >= half)


@njit(cache=True, nogil=True)
def precedes(j, i, n):  # type: ignore[no-untyped-def]
    """Whether row j of n comes before row i."""
    return turn(j, n) < turn(i, n)


@njit(cache=True, nogil=True)
def find_lower(indptr, indices, data, ptr, idx, place, centre, values, reach):  # type: ignore[no-untyped-def]
    """Write the strictly lower rows of a canonical CSR matrix, where their values are stored, and where the diagonal.

    The place of a diagonal entry that is not stored is the number of entries. With them the values, lower ones and
    then the diagonal, and the sum of the sizes of the couplings of each node. Returns how many entries are lower, or -1
    if they are more than there is room for in ``idx``: half of all, unless the pattern is not symmetric; and the sum of
    the sizes of all entries, which is not finite if one of them is not.
    """
    one = np.uint64(1)
    n = np.uint64(len(indptr)) - one
    room, entries = np.uint64(len(idx)), np.uint64(len(indices))
    t = np.uint64(0)
    k = np.uint64(0)
    size = 0.0
    ptr[0] = 0
    reach[:] = 0.0
    for i in range(n):
        own, end = turn(i, n), indptr[i + one]
        middle = entries
        total = 0.0
        while k < end:
            j, a = indices[k], data[k]
            size += abs(a)
            if j == i:
                middle = k
            elif turn(j, n) < own:
                if t == room:
                    return -1, 0.0
                idx[t] = j
                place[t] = k
                values[t] = a
                t += one
                total += abs(a)
                reach[j] += abs(a)
            k = after(k)
        centre[i] = middle
        reach[i] += total
        ptr[i + one] = t
    for i in range(n):
        values[t + i] = data[centre[i]] if centre[i] < entries else 0.0
    return np.int64(t), size


@njit(cache=True, nogil=True)
def take_values(data, place, centre, values):  # type: ignore[no-untyped-def]
    """Write (lower values, diagonal). Returns whether any lower one has changed."""
    changed = False
    m = len(place)
    for t in range(m):
        a = data[place[t]]
        changed |= values[t] != a
        values[t] = a
    for i in range(len(centre)):
        values[m + i] = data[centre[i]] if centre[i] < len(data) else 0.0
    return changed


@njit(cache=True, nogil=True)
def expand(ptr, idx, entries, indptr, indices, slots, data):  # type: ignore[no-untyped-def]
    """Write the full rows of a matrix in half storage, the slot of each value there, and the values.

    ``entries`` has the lower ones, then the diagonal.
    """
    one = np.uint64(1)
    n = np.uint64(len(ptr)) - one
    m = np.uint64(len(idx))
    indptr[:] = 0
    for i in range(n):
        indptr[i + one] += ptr[i + one] - ptr[i] + np.uint32(1)
    for e in range(m):
        indptr[idx[e] + one] += np.uint32(1)
    for i in range(n):
        indptr[i + one] += indptr[i]
    place = indptr[:-1].copy()
    k = np.uint64(0)
    for i in range(n):
        own = place[i]
        end = ptr[i + one]
        while k < end:
            j, a = idx[k], entries[k]
            other = place[j]
            indices[own] = j
            slots[own] = k
            data[own] = a
            own += np.uint32(1)
            indices[other] = i
            slots[other] = k
            data[other] = a
            place[j] = other + np.uint32(1)
            k = after(k)
        indices[own] = i
        slots[own] = m + i
        data[own] = entries[m + i]
        place[i] = own + np.uint32(1)


@njit(cache=True, nogil=True)
def dense_half(ptr, idx, val, diagonal, dense):  # type: ignore[no-untyped-def]
    """Write the lower triangle of the matrix to a dense array."""
    n = len(diagonal)
    dense[:] = 0.0
    for i in range(n):
        dense[i, i] = diagonal[i]
        for k in range(ptr[i], ptr[i + 1]):
            dense[max(i, idx[k]), min(i, idx[k])] += val[k]


@njit(cache=True, nogil=True)
def add_sizes(ptr, idx, val, total):  # type: ignore[no-untyped-def]
    """Write the sum of the sizes of the couplings of each node."""
    one = np.uint64(1)
    total[:] = 0.0
    k = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        t = 0.0
        end = ptr[i + one]
        while k < end:
            a = abs(val[k])
            t += a
            total[idx[k]] += a
            k = after(k)
        total[i] += t


@njit(cache=True, nogil=True)
def subtract_reach(diagonal, reach, nothing, potential):  # type: ignore[no-untyped-def]
    """Write the potential, diagonal minus reach, zero where it is rounding.

    Returns whether it is finite everywhere and nowhere negative.
    """
    for i in range(len(diagonal)):
        t = diagonal[i] - reach[i]
        least = nothing * reach[i]
        if not -least <= t < np.inf:
            return False
        potential[i] = t if t > least else 0.0
    return True


@njit(cache=True, nogil=True)
def mend_pivot(pivot, reference, tiny, negative):  # type: ignore[no-untyped-def]
    """The pivot, or in its place the ``reference`` for its size; whether it was zero to rounding, and negative.

    It is zero if it is not above ``tiny`` times the reference, and negative below minus ``negative`` times it.
    """
    if pivot > tiny * reference:
        return pivot, False, False
    below = pivot < -negative * reference
    return reference if reference > 0.0 else 1.0, not below, below


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(diagonal, potential, apart, scale, mean, tiny, inverse):  # type: ignore[no-untyped-def]
    """Write 1 / pivot; whether every pivot is above ``tiny`` times its scale. Without a branch, a vector at a time."""
    sound = True
    for i in range(len(diagonal)):
        pivot = diagonal[i] + potential[i] if apart else diagonal[i]
        reference = scale[i] if len(scale) > 0 else mean
        sound &= pivot > tiny * reference
        inverse[i] = 1.0 / pivot
    return sound


@njit(cache=True, nogil=True)
def invert_pivots(diagonal, potential, apart, scale, tiny, negative, inverse):  # type: ignore[no-untyped-def]
    """Write 1 / pivot. The pivots are the diagonal, to which the potential is added if it is kept ``apart``.

    A pivot that is not above ``tiny`` times its ``scale`` (without one: the mean of all) is replaced by that scale;
    if the potential is apart, it becomes all of the pivot, so that what rounding left of the couplings is gone.
    Returns how many were so, and how many of them were less than minus ``negative`` times their scale.
    """
    n = len(diagonal)
    mean = 0.0
    if len(scale) == 0:
        for i in range(n):
            mean += abs(diagonal[i] + potential[i]) if apart else abs(diagonal[i])
        mean /= max(n, 1)
    if _invert(diagonal, potential, apart, scale, mean, tiny, inverse):
        return 0, 0
    zero = 0
    below = 0
    for i in range(n):
        pivot = diagonal[i] + potential[i] if apart else diagonal[i]
        reference = scale[i] if len(scale) > 0 else mean
        pivot, is_zero, is_below = mend_pivot(pivot, reference, tiny, negative)
        if is_zero or is_below:
            zero += is_zero
            below += is_below
            potential[i] = pivot
            if apart:
                diagonal[i] = 0.0
        inverse[i] = 1.0 / pivot
    return zero, below
