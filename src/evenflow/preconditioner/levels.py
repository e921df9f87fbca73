"""Kernels of whole levels: what is built for one, the matrix of the next one with it, and what a refresh does.

All take the table of the hierarchy, the number of the level and the two long arrays (see
:mod:`evenflow.preconditioner.table`); those that build take ``used``, too, how much of the long arrays is handed out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner import table
from evenflow.preconditioner.aggregation import aggregate
from evenflow.preconditioner.dense import factor_dense
from evenflow.preconditioner.elimination import (
    NEGATIVE,
    elimination_order,
    elimination_pattern,
    elimination_values,
)
from evenflow.preconditioner.galerkin import fold_product, multiply_new, multiply_out
from evenflow.preconditioner.half import (
    add_sizes,
    dense_half,
    expand,
    find_lower,
    invert_pivots,
    subtract_reach,
    take_values,
)
from evenflow.preconditioner.interpolation import (
    carry_potential,
    coupling_sizes,
    interpolate,
    interpolation_weights,
    repeat_rows,
    repeat_weights,
    scale_rows,
)
from evenflow.preconditioner.minimum_degree import factor_values, minimum_degree
from evenflow.preconditioner.table import FINEST, reserve
from evenflow.preconditioner.window import as_bytes, as_signed, vector, window

__all__ = [
    "beyond_couplings",
    "eliminate",
    "eliminate_to_the_end",
    "expand_rows",
    "factor",
    "full_values",
    "group",
    "invert",
    "refresh_eliminated",
    "refresh_grouped",
    "refresh_potential",
    "refresh_to_the_end",
    "separate",
    "take_diagonal",
    "take_finest",
    "take_new_values",
]

_TINY = 1e-10  # a pivot below this share of its diagonal entry is zero but for rounding
_NOTHING = 1e-14  # the same on the finest level, where only what is nothing beside the other entries is zero
_SPARSE = 6.0  # entries a row
_DENSE = 0.75  # entries of a coarse matrix beside those of the fine one
_SHRINKS = 0.8  # unknowns of the next level beside those of this one

_KEEP = np.bool_(False)  # of a type that compiled code is not specialised on

_kernel = njit(cache=True, nogil=True)


@_kernel
def _new_level(t, k, used, size):  # type: ignore[no-untyped-def]
    """Make room for the vectors that every level has."""
    t[k, table.SIZE] = size
    t[k, table.RECOUPLED] = 1
    t[k, table.POTENTIAL] = reserve(used, table.F, size)
    t[k, table.INVERSE] = reserve(used, table.F, size)
    t[k, table.SCALE] = reserve(used, table.F, size)


@_kernel
def _shrink(used, which, begin, count):  # type: ignore[no-untyped-def]
    """Take back what the vector that was last given room does not need of it."""
    used[which] = begin
    reserve(used, which, count)


@_kernel
def _put(t, k, u, used, column, entries):  # type: ignore[no-untyped-def]
    """Set a vector of indices of level k."""
    begin = reserve(used, table.U, np.int64(len(entries)))
    t[k, column] = begin
    for i in range(len(entries)):
        u[begin + i] = entries[i]


# ------------------------------------------------------------------ the finest level


@_kernel
def take_finest(indptr, indices, data, t, u, f, used):  # type: ignore[no-untyped-def]
    """Take over a canonical CSR matrix; what :func:`~evenflow.preconditioner.half.find_lower` returns."""
    n, room = len(indptr) - 1, len(indices) // 2
    _new_level(t, FINEST, used, n)
    t[0, table.ROWS] = reserve(used, table.U, n + 1)
    t[0, table.COLUMNS] = reserve(used, table.U, room)
    t[0, table.PLACE] = reserve(used, table.U, room)
    t[0, table.CENTRE] = reserve(used, table.U, n)
    t[0, table.VALUES] = reserve(used, table.F, room + n)
    t[0, table.REACH] = reserve(used, table.F, n)
    count, size = find_lower(
        indptr, indices, data, vector(t, 0, u, table.ROWS, n + 1), vector(t, 0, u, table.COLUMNS, room),
        vector(t, 0, u, table.PLACE, room), vector(t, 0, u, table.CENTRE, n),
        vector(t, 0, f, table.VALUES, room + n), vector(t, 0, f, table.REACH, n),
    )  # fmt: skip
    t[0, table.LOWER] = count
    return count, size


@_kernel
def take_new_values(data, t, u, f):  # type: ignore[no-untyped-def]
    """Take over other values of the matrix."""
    n, m = t[0, table.SIZE], t[0, table.LOWER]
    values = vector(t, 0, f, table.VALUES, m + n)
    places, centre = vector(t, 0, u, table.PLACE, m), vector(t, 0, u, table.CENTRE, n)
    changed = take_values(data, places, centre, values)
    t[0, table.RECOUPLED] = changed
    if changed:
        ptr, idx, lower, _ = table.matrix(t, FINEST, u, f)
        add_sizes(ptr, idx, lower, vector(t, 0, f, table.REACH, n))


@_kernel
def separate(t, u, f, drop):  # type: ignore[no-untyped-def]
    """Take the potential, what each diagonal entry has beyond the couplings of its row, out of the values.

    Only if it is negative nowhere; else the matrix stays whole. Returns whether it is apart. ``drop``: as if it were
    zero.
    """
    _, _, _, diagonal = table.matrix(t, FINEST, u, f)
    sums, before = vector(t, 0, f, table.REACH, t[0, table.SIZE]), t[0, table.APART]
    potential = table.potential(t, FINEST, f)
    apart = subtract_reach(diagonal, sums, _NOTHING, potential)
    if apart:
        diagonal[:] = sums
        if drop:
            potential[:] = 0.0
    t[0, table.APART] = apart
    t[0, table.RECOUPLED] |= before != t[0, table.APART]
    return apart


@_kernel
def take_diagonal(diagonal, t, u, f):  # type: ignore[no-untyped-def]
    """Take over another diagonal; whether the potential is apart."""
    _, _, _, own = table.matrix(t, FINEST, u, f)
    own[:] = diagonal
    t[0, table.RECOUPLED] = 0
    return separate(t, u, f, _KEEP)


@_kernel
def beyond_couplings(diagonal, t, f, potential):  # type: ignore[no-untyped-def]
    """Write what diagonal entries have beyond the couplings of their rows; whether that is nowhere negative."""
    return subtract_reach(diagonal, vector(t, 0, f, table.REACH, t[0, table.SIZE]), _NOTHING, potential)


# ------------------------------------------------------------------ any level


@_kernel
def invert(t, k, u, f):  # type: ignore[no-untyped-def]
    """Invert the pivots; those that are not positive are replaced, in the matrix itself, by what they should be.

    Zero up to rounding: a component that nothing holds, which is so held by one node. Negative: the matrix is
    indefinite. Returns how many are.
    """
    _, _, _, diagonal = table.matrix(t, k, u, f)
    n, apart = t[k, table.SIZE], t[k, table.APART] != 0
    scale = vector(t, k, f, table.SCALE, n if k > 0 else 0)
    potential = table.potential(t, k, f) if apart else diagonal
    tiny = _TINY if k > 0 else _NOTHING
    zero, negative = invert_pivots(diagonal, potential, apart, scale, tiny, NEGATIVE, table.inverse_pivots(t, k, f))
    t[k, table.ZERO], t[k, table.NEGATIVE] = zero, negative
    return negative


@_kernel
def _pivots(t, k, u, f):  # type: ignore[no-untyped-def]
    """Diagonal entries, the potential included."""
    _, _, _, diagonal = table.matrix(t, k, u, f)
    potential, apart = table.potential(t, k, f), t[k, table.APART] != 0
    pivots = np.empty(len(diagonal))
    for i in range(len(diagonal)):
        pivots[i] = diagonal[i] + potential[i] if apart else diagonal[i]
    return pivots


@_kernel
def expand_rows(t, k, u, f, used, data):  # type: ignore[no-untyped-def]
    """Write the full rows of a level and, to ``data``, their values."""
    n, m = t[k, table.SIZE], t[k, table.LOWER]
    t[k, table.FULL_ROWS] = reserve(used, table.U, n + 1)
    t[k, table.FULL_COLUMNS] = reserve(used, table.U, m + m + n)
    t[k, table.FULL_SLOTS] = reserve(used, table.U, m + m + n)
    ptr, idx, _, _ = table.matrix(t, k, u, f)
    expand(
        ptr, idx, vector(t, k, f, table.VALUES, m + n), vector(t, k, u, table.FULL_ROWS, n + 1),
        vector(t, k, u, table.FULL_COLUMNS, m + m + n), vector(t, k, u, table.FULL_SLOTS, m + m + n), data,
    )  # fmt: skip


@_kernel
def full_values(t, k, u, f, data):  # type: ignore[no-untyped-def]
    """Write the values of the full rows of a level."""
    n, m = t[k, table.SIZE], t[k, table.LOWER]
    values, slots = vector(t, k, f, table.VALUES, m + n), vector(t, k, u, table.FULL_SLOTS, m + m + n)
    for s in range(len(slots)):
        data[s] = values[slots[s]]


@_kernel
def factor(t, k, u, f, used):  # type: ignore[no-untyped-def]
    """Factor the coarsest level, which nested iteration can do without; how many pivots were negative."""
    n = t[k, table.SIZE]
    if t[k, table.DENSE] == 0:
        t[k, table.DENSE] = reserve(used, table.F, n * n)
    ptr, idx, lower, _ = table.matrix(t, k, u, f)
    dense = table.dense(t, k, f)
    dense_half(ptr, idx, lower, _pivots(t, k, u, f), dense)
    zero, negative = factor_dense(dense, _TINY, NEGATIVE)
    t[k, table.ZERO] += zero
    t[k, table.NEGATIVE] += negative
    return negative


# ------------------------------------------------------------------ groups


@_kernel
def _strong(t, k, u):  # type: ignore[no-untyped-def]
    """Strong couplings: rows, places in the full rows, marks; and the group of each node."""
    n, m = t[k, table.NODES], t[k, table.STRONG]
    return (
        vector(t, k, u, table.STRONG_ROWS, n + 1),
        vector(t, k, u, table.STRONG_PLACES, m),
        as_bytes(vector(t, k, u, table.STRONG_MARKS, m // 4 + 1), m),
        as_signed(vector(t, k, u, table.GROUPS, n)),
    )


@_kernel
def _node_rows(t, k, u, f):  # type: ignore[no-untyped-def]
    """Interpolation over nodes (ptr, idx, weights of the couplings)."""
    m = t[k, table.NODE_ENTRIES]
    ptr = vector(t, k, u, table.NODE_ROWS, t[k, table.NODES] + 1)
    return ptr, vector(t, k, u, table.NODE_COLUMNS, m), vector(t, k, f, table.NODE_WEIGHTS, m)


@_kernel
def _scale(t, k, u, f, indptr, indices, data):  # type: ignore[no-untyped-def]
    """Write the weights of a matrix whose potential is not apart: a node held fast follows its neighbours less."""
    nodes = t[k, table.NODES]
    size = np.empty(nodes)
    coupling_sizes(indptr, indices, data, size)
    _, _, _, diagonal = table.matrix(t, k, u, f)
    ptr, _, plain = _node_rows(t, k, u, f)
    block = t[k, table.SIZE] // nodes
    if block == 1:
        scale_rows(ptr, plain, size, diagonal, vector(t, k, f, table.P_WEIGHTS, len(plain)))
        return
    mean = np.zeros(nodes)
    for i in range(len(diagonal)):
        mean[i // block] += diagonal[i] / block
    scaled = np.empty(len(plain))
    scale_rows(ptr, plain, size, mean, scaled)
    repeat_weights(ptr, scaled, block, vector(t, k, f, table.P_WEIGHTS, t[k, table.P_ENTRIES]))


@_kernel
def _interpolate(t, k, u, f, used, indices, data, n_groups, width, damping):  # type: ignore[no-untyped-def]
    """Write the interpolation, over nodes and over unknowns."""
    n, nodes = t[k, table.SIZE], t[k, table.NODES]
    most = nodes * width
    t[k, table.NODE_ROWS] = reserve(used, table.U, nodes + 1)
    t[k, table.NODE_COLUMNS] = reserve(used, table.U, most)
    t[k, table.NODE_WEIGHTS] = reserve(used, table.F, most)
    t[k, table.NODE_ENTRIES] = most
    ptr, idx, weights = _node_rows(t, k, u, f)
    rows, places, marks, groups = _strong(t, k, u)
    t[k, table.WIDTH] = width
    interpolate(
        rows, places, marks, indices, data, groups, n_groups, width, damping if width > 1 else 0.0, ptr, idx, weights
    )
    m = np.int64(ptr[nodes])
    t[k, table.P_COUNT] = n
    t[k, table.NODE_ENTRIES] = t[k, table.P_ENTRIES] = m
    _shrink(used, table.U, t[k, table.NODE_COLUMNS], m)
    _shrink(used, table.F, t[k, table.NODE_WEIGHTS], m)
    if n == nodes:
        t[k, table.P_ROWS], t[k, table.P_COLUMNS] = t[k, table.NODE_ROWS], t[k, table.NODE_COLUMNS]
        t[k, table.P_PLAIN] = t[k, table.NODE_WEIGHTS]
    else:
        block = n // nodes
        t[k, table.P_ENTRIES] = m * block
        t[k, table.P_ROWS] = reserve(used, table.U, n + 1)
        t[k, table.P_COLUMNS] = reserve(used, table.U, m * block)
        t[k, table.P_PLAIN] = reserve(used, table.F, m * block)
        repeat_rows(ptr, idx, block, vector(t, k, u, table.P_ROWS, n + 1), vector(t, k, u, table.P_COLUMNS, m * block))
        repeat_weights(ptr, weights, block, vector(t, k, f, table.P_PLAIN, m * block))
    t[k, table.P_WEIGHTS] = reserve(used, table.F, t[k, table.P_ENTRIES])


@_kernel
def _products(t, k, u):  # type: ignore[no-untyped-def]
    """What :func:`~evenflow.preconditioner.galerkin.multiply_out` calls so."""
    c, p, s = t[k, table.COARSE], t[k, table.P_ENTRIES], t[k, table.S_ENTRIES]
    return (
        vector(t, k, u, table.T_ROWS, c + 1),
        vector(t, k, u, table.T_NODES, p),
        vector(t, k, u, table.T_PLACES, p),
        vector(t, k, u, table.S_ROWS, c + 1),
        vector(t, k, u, table.S_COLUMNS, s),
        vector(t, k, u, table.S_SLOTS, s),
    )


@_kernel
def _next_matrix(t, k, u, f, used, size, limit):  # type: ignore[no-untyped-def]
    """Write the matrix of the next level; whether there was room for its ``limit`` of products."""
    p = t[k, table.P_ENTRIES]
    t[k, table.COARSE], t[k, table.S_ENTRIES] = size, limit
    t[k, table.T_ROWS] = reserve(used, table.U, size + 1)
    t[k, table.T_NODES] = reserve(used, table.U, p)
    t[k, table.T_PLACES] = reserve(used, table.U, p)
    t[k, table.S_ROWS] = reserve(used, table.U, size + 1)
    t[k, table.S_COLUMNS] = reserve(used, table.U, limit)
    t[k, table.COUPLINGS] = reserve(used, table.F, size)
    _new_level(t, k + 1, used, size)
    scale = vector(t, k + 1, f, table.SCALE, size)
    begin = used[table.F]
    values = window(f, begin + limit, limit)  # of the products: beyond what the new matrix may need
    ptr, idx, lower, diagonal = table.matrix(t, k, u, f)
    p_ptr, p_idx, _ = table.interpolation(t, k, u, f)
    weights = table.weights(t, k, f)
    t_rows, t_nodes, t_places, s_rows, s_columns, _ = _products(t, k, u)
    t_rows[:] = 0
    if not multiply_new(
        ptr, idx, lower, diagonal, p_ptr, p_idx, weights, t_rows, t_nodes, t_places, s_rows, s_columns, values, scale
    ):
        return False
    m = np.int64(s_rows[size])
    t[k, table.S_ENTRIES] = m
    _shrink(used, table.U, t[k, table.S_COLUMNS], m)
    t[k, table.S_SLOTS] = reserve(used, table.U, m)
    t[k + 1, table.ROWS] = reserve(used, table.U, size + 1)
    t[k + 1, table.COLUMNS] = reserve(used, table.U, m)
    lower_entries = fold_product(
        s_rows, s_columns[:m], values[:m], vector(t, k + 1, u, table.ROWS, size + 1),
        vector(t, k + 1, u, table.COLUMNS, m), vector(t, k, u, table.S_SLOTS, m), window(f, begin, m),
    )  # fmt: skip
    t[k + 1, table.LOWER] = lower_entries
    _shrink(used, table.U, t[k + 1, table.COLUMNS], np.int64(lower_entries))
    t[k + 1, table.VALUES] = reserve(used, table.F, np.int64(lower_entries) + size)
    vector(t, k, f, table.COUPLINGS, size)[:] = scale
    return True


@_kernel
def _carry(t, k, u, f):  # type: ignore[no-untyped-def]
    """Write the potential of the next level, and the weights in use."""
    _, _, _, diagonal = table.matrix(t, k, u, f)
    ptr, idx, weights = table.interpolation(t, k, u, f)
    size = t[k, table.COARSE]
    carry_potential(
        ptr, idx, table.weights(t, k, f), diagonal, table.potential(t, k, f),
        vector(t, k, f, table.COUPLINGS, size), weights, table.potential(t, k + 1, f),
        vector(t, k + 1, f, table.SCALE, size),
    )  # fmt: skip
    t[k + 1, table.APART] = 1


@_kernel
def group(t, k, u, f, used, indptr, indices, data, threshold, damping, width):  # type: ignore[no-untyped-def]
    """Find groups and interpolation of a level, given the full rows over its nodes, and the matrix of the next one.

    Where smoothed interpolation would make that dense after all (hubs), plain aggregation takes its place: there a few
    smoothing steps are enough anyway. Returns whether there are fewer groups, and how many pivots were negative.
    """
    negative = invert(t, k, u, f)
    n, nodes, room = t[k, table.SIZE], len(indptr) - 1, len(indices)
    t[k, table.NODES] = nodes
    t[k, table.STRONG_ROWS] = reserve(used, table.U, nodes + 1)
    t[k, table.STRONG_PLACES] = reserve(used, table.U, room)
    t[k, table.STRONG_MARKS] = reserve(used, table.U, room // 4 + 1)
    t[k, table.GROUPS] = reserve(used, table.U, nodes)
    t[k, table.STRONG] = room
    rows, places, marks, groups = _strong(t, k, u)
    strong, n_groups = aggregate(indptr, indices, data, threshold, rows, places, marks, groups)
    t[k, table.STRONG] = strong
    size = n_groups * (n // nodes)
    if size == 0 or size > _SHRINKS * n:
        return False, negative
    entries = 2 * t[k, table.LOWER] + n
    wide = 1 if damping == 0 else width if width > 0 else 3 if entries <= _SPARSE * n else 2
    apart = t[k, table.APART]
    before = used.copy()
    for attempt in range(2):
        used[:] = before
        _interpolate(t, k, u, f, used, indices, data, n_groups, wide if attempt == 0 else 1, damping)
        if not apart:
            _scale(t, k, u, f, indptr, indices, data)
        if _next_matrix(t, k, u, f, used, size, entries if attempt > 0 else np.int64(_DENSE * entries)):
            break
    if apart:
        _carry(t, k, u, f)
        t[k + 1, table.RECOUPLED] = 0
    t[k, table.RECOUPLED] = 0
    return True, negative


@_kernel
def refresh_potential(t, k, u, f):  # type: ignore[no-untyped-def]
    """Invert the pivots and hand the potential, which is apart, down to the next level, lumped node by node.

    All that there is to do where the couplings are what they were: a pass over the nodes. Returns how many pivots were
    negative.
    """
    negative = invert(t, k, u, f)
    _carry(t, k, u, f)
    t[k + 1, table.RECOUPLED] = 0
    return negative


@_kernel
def refresh_grouped(t, k, u, f, indptr, indices, data, damping):  # type: ignore[no-untyped-def]
    """Invert the pivots, weigh the interpolation, multiply out the matrix of the next level, hand down the potential.

    For couplings that have changed, given the full rows over nodes. Returns how many pivots were negative.
    """
    negative = invert(t, k, u, f)
    rows, places, marks, groups = _strong(t, k, u)
    ptr, idx, plain = _node_rows(t, k, u, f)
    nodes, c = t[k, table.NODES], t[k, table.COARSE]
    block = t[k, table.SIZE] // nodes
    smoothed = damping if t[k, table.WIDTH] > 1 else 0.0
    interpolation_weights(rows, places, marks, indices, data, groups, c // block, smoothed, ptr, idx, plain)
    if block > 1:
        repeat_weights(ptr, plain, block, vector(t, k, f, table.P_PLAIN, t[k, table.P_ENTRIES]))
    apart = t[k, table.APART]
    if not apart:
        _scale(t, k, u, f, indptr, indices, data)
    scale = vector(t, k, f, table.COUPLINGS, c) if apart else vector(t, k + 1, f, table.SCALE, c)
    ptr, idx, lower, diagonal = table.matrix(t, k, u, f)
    p_ptr, p_idx, _ = table.interpolation(t, k, u, f)
    values = vector(t, k + 1, f, table.VALUES, t[k + 1, table.LOWER] + c)
    weights = table.weights(t, k, f)
    multiply_out(ptr, idx, lower, diagonal, p_ptr, p_idx, weights, _products(t, k, u), values, scale)
    t[k + 1, table.APART], t[k + 1, table.RECOUPLED] = apart, 1
    if apart:
        _carry(t, k, u, f)
    return negative


# ------------------------------------------------------------------ elimination


@_kernel
def eliminate(t, k, u, f, used):  # type: ignore[no-untyped-def]
    """Find the order of elimination of nodes with at most two neighbours, and the pattern of what is left."""
    n = t[k, table.SIZE]
    ptr, idx, _, _ = table.matrix(t, k, u, f)
    order, l_ptr, l_idx, edges, fill, ends = elimination_order(ptr, idx)
    keep, c_ptr, c_idx, fold = elimination_pattern(n, order, ends)
    _put_multipliers(t, k, u, used, order, l_ptr, l_idx, edges)
    table.sequence(t, k, u)[len(order) :] = keep
    t[k, table.FILLED], t[k, table.FOLDED] = len(fill), len(fold)
    _put(t, k, u, used, table.FILL, fill)
    _put(t, k, u, used, table.FOLD, fold)
    t[k, table.COARSE] = len(keep)
    _new_level(t, k + 1, used, len(keep))
    t[k + 1, table.LOWER] = len(c_idx)
    _put(t, k + 1, u, used, table.ROWS, c_ptr)
    _put(t, k + 1, u, used, table.COLUMNS, c_idx)
    t[k + 1, table.VALUES] = reserve(used, table.F, len(c_idx) + len(keep))


@_kernel
def _put_multipliers(t, k, u, used, order, l_ptr, l_idx, edges):  # type: ignore[no-untyped-def]
    """Set the order and the rows of the multipliers, and make room for their values."""
    t[k, table.P_COUNT], t[k, table.P_ENTRIES] = len(order), len(l_idx)
    t[k, table.ORDER] = reserve(used, table.U, t[k, table.SIZE])
    table.sequence(t, k, u)[: len(order)] = order
    _put(t, k, u, used, table.P_ROWS, l_ptr)
    _put(t, k, u, used, table.P_COLUMNS, l_idx)
    _put(t, k, u, used, table.EDGES, edges)
    t[k, table.P_WEIGHTS] = reserve(used, table.F, len(l_idx))


@_kernel
def eliminate_to_the_end(t, k, u, f, used):  # type: ignore[no-untyped-def]
    """Find an order of elimination of all nodes; False if there is none that makes little new."""
    n = t[k, table.SIZE]
    ptr, idx, _, _ = table.matrix(t, k, u, f)
    order, l_ptr, l_idx, places, columns, rows, slots = minimum_degree(ptr, idx)
    if len(order) < n:
        return False
    _put_multipliers(t, k, u, used, order, l_ptr, l_idx, places)
    _put(t, k, u, used, table.L_COLUMNS, columns)
    _put(t, k, u, used, table.L_ROWS, rows)
    _put(t, k, u, used, table.L_SLOTS, slots)
    t[k, table.COARSE], t[k, table.TO_THE_END] = 0, 1
    return True


@_kernel
def refresh_eliminated(t, k, u, f):  # type: ignore[no-untyped-def]
    """Eliminate; how many pivots were negative."""
    negative = invert(t, k, u, f)
    _, _, lower, _ = table.matrix(t, k, u, f)
    m = t[k, table.P_COUNT]
    l_ptr, l_idx, l_val = table.interpolation(t, k, u, f)
    order, c = table.sequence(t, k, u), t[k, table.COARSE]
    pivots, inverse = _pivots(t, k, u, f), table.inverse_pivots(t, k, f)
    zero, below = elimination_values(
        lower, pivots, order[:m], l_ptr, l_idx, as_signed(vector(t, k, u, table.EDGES, len(l_idx))),
        as_signed(vector(t, k, u, table.FILL, t[k, table.FILLED])), order[m:],
        as_signed(vector(t, k, u, table.FOLD, t[k, table.FOLDED])), _TINY, l_val, inverse,
        vector(t, k + 1, f, table.VALUES, t[k + 1, table.LOWER] + c), vector(t, k + 1, f, table.SCALE, c),
    )  # fmt: skip
    t[k, table.ZERO] += zero
    t[k, table.NEGATIVE] += below
    t[k + 1, table.APART], t[k + 1, table.RECOUPLED] = 0, 1
    return negative + below


@_kernel
def refresh_to_the_end(t, k, u, f):  # type: ignore[no-untyped-def]
    """Factor; how many pivots were negative."""
    negative = invert(t, k, u, f)
    _, _, lower, _ = table.matrix(t, k, u, f)
    n = t[k, table.SIZE]
    l_ptr, l_idx, l_val = table.interpolation(t, k, u, f)
    m = len(l_idx)
    zero, below = factor_values(
        lower, _pivots(t, k, u, f), table.sequence(t, k, u), l_ptr, l_idx,
        vector(t, k, u, table.EDGES, t[k, table.LOWER]), vector(t, k, u, table.L_COLUMNS, n + 1),
        vector(t, k, u, table.L_ROWS, m), vector(t, k, u, table.L_SLOTS, m), _TINY, l_val,
        table.inverse_pivots(t, k, f),
    )  # fmt: skip
    t[k, table.ZERO] += zero
    t[k, table.NEGATIVE] += below
    return negative + below
