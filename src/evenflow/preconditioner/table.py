"""The table of a hierarchy: a row for each level, which says where in two long arrays its vectors begin.

So compiled code takes all levels as three arrays, whatever their number: the table ``t``, indices ``u`` and values
``f``. What is built is set end to end; places are handed out by :func:`reserve`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner.window import rows_window, vector, window

__all__ = [
    "AGGREGATE",
    "DIRECT",
    "ELIMINATE",
    "SMOOTH",
    "dense",
    "interpolation",
    "inverse_pivots",
    "matrix",
    "potential",
    "reserve",
    "sequence",
    "weights",
]

# Kinds of levels.
AGGREGATE, ELIMINATE, DIRECT, SMOOTH = range(4)

# Columns. Kind, unknowns, those of the next level, visits on each visit of the level above, unknowns of the levels
# between the finest and this one.
KIND, SIZE, COARSE, VISITS, BEFORE = range(5)
# Whether the potential, the part of the diagonal beyond the couplings, is kept apart from the values; whether these
# differ from the last refresh; pivots that it replaced because they were zero, or negative.
APART, RECOUPLED, ZERO, NEGATIVE = range(5, 9)
# The matrix in half storage: rows, columns, how many entries, (lower values, diagonal); the potential, inverse pivots,
# what the diagonal is to be compared with; on the finest level the sum of the sizes of the couplings of each row, and
# where values and diagonal were given.
ROWS, COLUMNS, LOWER, VALUES, POTENTIAL, INVERSE, SCALE, REACH, PLACE, CENTRE = range(9, 19)
# Its full rows, columns, and the slots of their values in half storage.
FULL_ROWS, FULL_COLUMNS, FULL_SLOTS = range(19, 22)
# Groups: how many nodes; rows of strong couplings, places in the full rows, marks, how many; the group of each node.
NODES, STRONG_ROWS, STRONG_PLACES, STRONG_MARKS, STRONG, GROUPS = range(22, 28)
# Interpolation over nodes: most entries of a row, rows, columns, weights of the couplings, how many.
WIDTH, NODE_ROWS, NODE_COLUMNS, NODE_WEIGHTS, NODE_ENTRIES = range(28, 33)
# Over unknowns: how many rows, rows, columns, weights of the couplings alone, those in use, how many. Where nodes are
# eliminated: the multipliers, a row for each of these nodes.
P_COUNT, P_ROWS, P_COLUMNS, P_PLAIN, P_WEIGHTS, P_ENTRIES = range(33, 39)
# The product map: rows of P^T, nodes, places of their weights; rows of S, columns, slots in the next matrix, how many;
# the part of the couplings in the scale of the next level.
T_ROWS, T_NODES, T_PLACES, S_ROWS, S_COLUMNS, S_SLOTS, S_ENTRIES, COUPLINGS = range(39, 47)
# Elimination: eliminated nodes by turns, then kept ones; edges of the multipliers, new edges and how many, slots of all
# edges in the next matrix and how many. To the end: whether it is, and columns of the factor, rows, slots.
ORDER, EDGES, FILL, FILLED, FOLD, FOLDED, TO_THE_END, L_COLUMNS, L_ROWS, L_SLOTS = range(47, 57)
# The dense factor of the coarsest level.
DENSE = 57
WIDE = 58  # columns in all

ROUND = 16  # places are multiples of it
# The long arrays (of uint32, of float64) and the finest level, of a type that compiled code is not specialised on.
U, F = np.arange(2)
FINEST = np.int64(0)
ROUND = 16  # places are multiples of it

_kernel = njit(cache=True, nogil=True)


@_kernel
def reserve(used, which, count):  # type: ignore[no-untyped-def]
    """Hand out room for ``count`` entries in one of the long arrays; where it begins."""
    begin = used[which]
    used[which] = begin + (count + ROUND - 1) // ROUND * ROUND
    return begin


@_kernel
def matrix(t, k, u, f):  # type: ignore[no-untyped-def]
    """Strictly lower rows (ptr, idx, values) and diagonal."""
    n, m, begin = t[k, SIZE], t[k, LOWER], t[k, VALUES]
    return vector(t, k, u, ROWS, n + 1), vector(t, k, u, COLUMNS, m), window(f, begin, m), window(f, begin + m, n)


@_kernel
def potential(t, k, f):  # type: ignore[no-untyped-def]
    """The potential, where it is apart."""
    return vector(t, k, f, POTENTIAL, t[k, SIZE])


@_kernel
def inverse_pivots(t, k, f):  # type: ignore[no-untyped-def]
    """Inverse pivots; the first ones, by turns, where nodes are eliminated."""
    return vector(t, k, f, INVERSE, t[k, SIZE])


@_kernel
def interpolation(t, k, u, f):  # type: ignore[no-untyped-def]
    """Rows of the interpolation (ptr, idx, weights in use), or of the multipliers of an elimination."""
    n, m = t[k, P_COUNT], t[k, P_ENTRIES]
    return vector(t, k, u, P_ROWS, n + 1), vector(t, k, u, P_COLUMNS, m), vector(t, k, f, P_WEIGHTS, m)


@_kernel
def weights(t, k, f):  # type: ignore[no-untyped-def]
    """Interpolation weights of the couplings alone, where they are apart."""
    return vector(t, k, f, P_PLAIN if t[k, APART] else P_WEIGHTS, t[k, P_ENTRIES])


@_kernel
def sequence(t, k, u):  # type: ignore[no-untyped-def]
    """Eliminated nodes by turns, then the kept ones."""
    return vector(t, k, u, ORDER, t[k, SIZE])


@_kernel
def dense(t, k, f):  # type: ignore[no-untyped-def]
    """The dense factor of the coarsest level, in the lower triangle."""
    n = t[k, SIZE]
    return rows_window(f, t[k, DENSE], n, n)
