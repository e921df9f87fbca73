"""Nested iteration: a quartic expansion is minimised on the coarsest level first, then refined level by level.

Compiled as a whole, since on a small graph a call for each step would take as long as all steps. An expansion is a pair
(r, series): x.A x / 2 - r.x plus the nodes' own terms (see :mod:`evenflow.preconditioner.quartic`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.preconditioner import quartic, table
from evenflow.preconditioner.levels import beyond_couplings
from evenflow.preconditioner.table import AGGREGATE, ELIMINATE, FINEST
from evenflow.preconditioner.window import rows_window, window

__all__ = ["nest", "room_to_nest"]

_SWEEPS = 2  # on the finest level
_CYCLES = 10  # at most, where a level is eliminated to the end
_FOREST, _LOOPS = 5e-3, 0.5  # of the largest state: a cycle that moves nothing by more was the last there

# What a level needs room for: three expansions (the one that is refined; the one that a cycle is at, and one for its
# second visit), then vectors. NumPy's integers, so that nothing is compiled for each.
_REFINED, _CYCLED, _AGAIN = np.arange(3)
_STATE, _CORRECTION, _FIRST, _RESIDUAL, _VECTORS = np.arange(12, 17)
_SPARE, _FINEST = np.arange(4, 6)  # of a finest level of groups, which only sweeps: a vector beside its expansion

_kernel = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


@_kernel
def room_to_nest(t):  # type: ignore[no-untyped-def]
    """Values that :func:`nest` needs room for."""
    finest = _FINEST if t[0, table.KIND] == AGGREGATE else _VECTORS
    return _VECTORS * _below(t) + finest * t[0, table.SIZE]


@_kernel
def _below(t):  # type: ignore[no-untyped-def]
    """Unknowns of all levels but the finest."""
    last = len(t) - 1
    return t[last, table.BEFORE] + t[last, table.SIZE] if last > 0 else 0


@_kernel
def _expansion(t, k, work, which):  # type: ignore[no-untyped-def]
    """One of the expansions of level k."""
    n = t[k, table.SIZE]
    begin = _VECTORS * (t[k, table.BEFORE] if k > 0 else _below(t)) + 4 * which * n
    return window(work, begin, n), rows_window(work, begin + n, n, 3)


@_kernel
def _vector(t, k, work, which):  # type: ignore[no-untyped-def]
    """One of the vectors of level k."""
    n = t[k, table.SIZE]
    begin = _VECTORS * (t[k, table.BEFORE] if k > 0 else _below(t)) + which * n
    return window(work, begin, n)


@_kernel
def nest(gradient, diagonal, third, fourth, t, u, f, work, x):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Write nearly the minimiser of an expansion over the finest level, given its derivatives along each unknown.

    Full multigrid [1]_ with full approximation: the terms go down the levels as quartics, nothing is linearised. On
    the way up each level makes one cycle, but a finest one of groups, which would cost as much as all others, only
    sweeps. The levels are of couplings alone: wherever the potential is mixed with them, it was zero at the last
    refresh. Returns False where the terms that the diagonal has beyond the couplings are not all convex.

    References
    ----------
    .. [1] A. Brandt, "Multi-level adaptive solutions to boundary-value problems", Math. Comp. 31, 1977, secs. 5-6.
    """
    r, series = _expansion(t, FINEST, work, _REFINED)
    if not beyond_couplings(diagonal, t, f, x) or not quartic.convex_series(x, third, fourth, diagonal, series):
        return False
    for i in range(len(r)):
        r[i] = -gradient[i]
    # down: the expansion of each level is that of the one above at zero
    last = len(t) - 1
    for k in range(last + 1):
        r, series = _expansion(t, k, work, _REFINED)
        more = t[k, table.COARSE] > 0
        coarse_r, coarse_series = _expansion(t, k + 1, work, _REFINED) if more else (r[:0], series[:0])
        if t[k, table.KIND] == AGGREGATE:
            zero = _vector(t, k, work, _STATE if k > 0 else _SPARE)
            zero[:] = 0.0
            _restrict(t, k, u, f, r, series, zero, coarse_r, coarse_series)
        elif t[k, table.KIND] == ELIMINATE:
            _copy_expansion(t, k, work, _REFINED, _AGAIN)
            gathered, terms = _expansion(t, k, work, _AGAIN)  # kept for the way up
            ptr, idx, val = table.interpolation(t, k, u, f)
            order = table.sequence(t, k, u)
            quartic.carry_elimination(ptr, idx, val, order, gathered, terms, coarse_r, coarse_series)
    # up: the state of each level is what that of the one below makes, and a cycle
    for turn in range(last + 1):
        k = last - turn
        kind = t[k, table.KIND]
        r, series = _expansion(t, k, work, _REFINED)
        ptr, idx, lower, diag = table.matrix(t, k, u, f)
        state = x if k == 0 else _vector(t, k, work, _STATE)
        if kind == AGGREGATE:
            state[:] = 0.0
            p_ptr, p_idx, _ = table.interpolation(t, k, u, f)
            quartic.prolong(p_ptr, p_idx, table.weights(t, k, f), _vector(t, k + 1, work, _STATE), state)
        elif kind == ELIMINATE:
            kept = _vector(t, k + 1, work, _STATE) if k < last else r[:0]
            _substitute(t, k, u, f, work, _AGAIN, kept, state)
        else:
            quartic.settle(ptr, idx, lower, diag, r, series, state)
            continue
        if k == 0 and kind == AGGREGATE:
            s = _vector(t, FINEST, work, _SPARE)
            for _ in range(_SWEEPS):
                s[:] = r
                quartic.backward(ptr, idx, lower, diag, series, state, s)
            continue
        # Where a level is eliminated to the end there is nothing to nest on, so cycles are repeated; they converge
        # quadratically where it is a forest.
        settled = np.inf if k < last else _FOREST if t[k, table.P_ENTRIES] < t[k, table.SIZE] else _LOOPS
        for _ in range(_CYCLES):
            _copy_expansion(t, k, work, _REFINED, _CYCLED)
            _move(t, k, u, f, work, _CYCLED, state)
            _cycle(t, k, u, f, work)
            if quartic.add(_vector(t, k, work, _CORRECTION), state) <= settled:
                break
    return True


@_kernel
def _copy_expansion(t, k, work, source, target):  # type: ignore[no-untyped-def]
    """Make one expansion of a level like another."""
    r, _ = _expansion(t, k, work, source)
    other, _ = _expansion(t, k, work, target)
    n = len(r)
    whole, copy = window(r, 0, 4 * n), window(other, 0, 4 * n)
    for i in range(4 * n):
        copy[i] = whole[i]


@_kernel
def _move(t, k, u, f, work, which, x):  # type: ignore[no-untyped-def]
    """Expand anew at x, in place."""
    ptr, idx, lower, diagonal = table.matrix(t, k, u, f)
    r, series = _expansion(t, k, work, which)
    quartic.subtract(ptr, idx, lower, diagonal, series, x, r)
    quartic.recentre(series, x)


@_kernel
def _restrict(t, k, u, f, residual, series, x, coarse_r, coarse_series):  # type: ignore[no-untyped-def]
    """The expansion of the next level, for the residual and the terms at x."""
    ptr, idx, _ = table.interpolation(t, k, u, f)
    quartic.carry(ptr, idx, table.weights(t, k, f), residual, series, x, coarse_r, coarse_series)


@_kernel
def _substitute(t, k, u, f, work, which, kept, x):  # type: ignore[no-untyped-def]
    """Write the states of all nodes, given those of the kept ones and what the others have gathered."""
    ptr, idx, val = table.interpolation(t, k, u, f)
    r, series = _expansion(t, k, work, which)
    inverse = table.inverse_pivots(t, k, f)
    quartic.substitute(ptr, idx, val, inverse, table.sequence(t, k, u), kept, r, series, x)


@_kernel
def _cycle(t, top, u, f, work):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    """Write the corrections of a level by one cycle from zero on its expansion for cycles, which is used up.

    One visit of the next level below groups, then two of each further down.
    """
    size = len(t)
    at, times, made = np.empty(size, np.int64), np.ones(size, np.int64), np.zeros(size, np.int64)
    wanted = np.ones(size, np.int64)  # visits of the next level below groups
    k = top
    at[k] = _CYCLED
    while True:
        # down
        r, series = _expansion(t, k, work, at[k])
        x = _vector(t, k, work, _CORRECTION)
        kind = t[k, table.KIND]
        if kind == ELIMINATE:
            more = t[k, table.COARSE] > 0
            coarse_r, coarse_series = _expansion(t, k + 1, work, _CYCLED) if more else (r[:0], series[:0])
            ptr, idx, val = table.interpolation(t, k, u, f)
            inverse, order = table.inverse_pivots(t, k, f), table.sequence(t, k, u)
            quartic.settle_elimination(ptr, idx, val, inverse, order, r, series, coarse_r, coarse_series)
            if more:
                times[k + 1], wanted[k + 1] = 1, wanted[k]
            else:
                _substitute(t, k, u, f, work, at[k], r[:0], x)
        elif kind == AGGREGATE:
            more = True
            ptr, idx, lower, diagonal = table.matrix(t, k, u, f)
            residual = _vector(t, k, work, _RESIDUAL)
            quartic.forward(ptr, idx, lower, diagonal, r, series, x, residual)
            coarse_r, coarse_series = _expansion(t, k + 1, work, _CYCLED)
            _restrict(t, k, u, f, residual, series, x, coarse_r, coarse_series)
            times[k + 1], wanted[k + 1] = wanted[k], 2
            if times[k + 1] > 1:
                _copy_expansion(t, k + 1, work, _CYCLED, _AGAIN)
        else:
            more = False
            ptr, idx, lower, diagonal = table.matrix(t, k, u, f)
            quartic.settle(ptr, idx, lower, diagonal, r, series, x)
        if more:
            k += 1
            at[k], made[k] = _CYCLED, 0
            continue
        # up, as far as no level is to be visited again
        while k > top:
            x, first = _vector(t, k, work, _CORRECTION), _vector(t, k, work, _FIRST)
            made[k] += 1
            if made[k] < times[k]:
                first[:] = x
                _move(t, k, u, f, work, _AGAIN, x)
                at[k] = _AGAIN
                break
            if made[k] > 1:
                x += first
            k -= 1
            above = _vector(t, k, work, _CORRECTION)
            if t[k, table.KIND] == ELIMINATE:
                _substitute(t, k, u, f, work, at[k], x, above)
            else:
                ptr, idx, lower, diagonal = table.matrix(t, k, u, f)
                r, series = _expansion(t, k, work, at[k])
                p_ptr, p_idx, _ = table.interpolation(t, k, u, f)
                quartic.prolong(p_ptr, p_idx, table.weights(t, k, f), x, above)
                quartic.backward(ptr, idx, lower, diagonal, series, above, r)
        else:
            return
