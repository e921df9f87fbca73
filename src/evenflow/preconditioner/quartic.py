"""Kernels of nested iteration on quartic expansions: x.A x/2 - r.x plus, at each node, c2 x^2/2 + c3 x^3/6 + c4 x^4/24.

A is a matrix of couplings in half storage (see :mod:`evenflow.preconditioner.half`), a row of ``series`` holds c2, c3
and c4. Every term of a node is convex, so that each sweep lowers the expansion.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.energy.short_loop import after

__all__ = [
    "add",
    "backward",
    "carry",
    "carry_elimination",
    "convex_series",
    "forward",
    "prolong",
    "recentre",
    "settle",
    "settle_elimination",
    "substitute",
    "subtract",
]

_ROUND_OFF = 1e-12  # of the diagonal
_SWEEPS = 40  # on the coarsest level
_TRIALS = 12
# A node's step that is no longer than this share of its state is its last: in elimination, which settles it once; in a
# sweep, where the next one moves it, too.
_CLOSE, _ROUGH = 0.02, 0.3
_SETTLED = 0.1  # of the states: sweeps of the coarsest level that change less are the last
_SIXTH = 1.0 / 6.0

_scalar = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


@_scalar
def convex_series(potential, third, fourth, diagonal, series):  # type: ignore[no-untyped-def]
    """Write the series of every node's term; whether all are convex, c2 + c3 x + c4 x^2 / 2 >= 0 for all x.

    What c2 lacks by no more than the round-off of the matrix's diagonal, which it is a difference of, is added to it.
    """
    convex = True
    for i in range(len(series)):
        c2, c3, c4 = potential[i], third[i], fourth[i]
        lowest = 0.5 * c3 * c3 / (c4 if c4 > 0.0 else 1.0)
        least = lowest if c4 > 0.0 or c3 == 0.0 else np.inf
        convex &= (c4 >= 0.0) & (c2 >= least - _ROUND_OFF * (least + abs(diagonal[i])))
        series[i, 0] = max(c2, least)
        series[i, 1] = c3
        series[i, 2] = c4
    return convex


@_scalar
def _solve_node(d, c2, c3, c4, t, x, close):  # type: ignore[no-untyped-def]
    """Root of d x + c2 x + c3 x^2/2 + c4 x^3/6 = t, which grows with x, by Halley's method from x.

    The step that is at most ``close`` times the root is the last.
    """
    if c4 == 0.0:
        return t / (d + c2) if d + c2 > 0.0 else x
    for _ in range(_TRIALS):
        slope = d + c2 + x * (c3 + 0.5 * c4 * x)
        if not slope > 0.0:
            break
        lack = t - x * (d + c2 + x * (0.5 * c3 + c4 * _SIXTH * x))
        whole = slope * slope + 0.5 * lack * (c3 + c4 * x)
        step = lack * slope / whole if whole > 0.0 else lack / slope
        x += step
        if abs(step) <= close * abs(x):
            break
    return x


@_scalar
def forward(ptr, idx, val, diagonal, r, series, x, residual):  # type: ignore[no-untyped-def]
    """Gauss-Seidel forward from zero, and the residual it leaves: minus the upper triangle times x."""
    one = np.uint64(1)
    n = np.uint64(len(ptr)) - one
    half = (n + one) // np.uint64(2)
    for m in range(half):
        for i in (m, m + half):
            if i < n:
                t = r[i]
                begin, end = ptr[i], ptr[i + one]
                k = begin
                while k < end:
                    t -= val[k] * x[idx[k]]
                    k = after(k)
                t = _solve_node(diagonal[i], series[i, 0], series[i, 1], series[i, 2], t, 0.0, _ROUGH)
                x[i] = t
                residual[i] = 0.0
                k = begin
                while k < end:
                    residual[idx[k]] -= val[k] * t
                    k = after(k)


@_scalar
def backward(ptr, idx, val, diagonal, series, x, s):  # type: ignore[no-untyped-def]
    """Gauss-Seidel backward from x; ``s`` holds the right-hand side and is used up."""
    one = np.uint64(1)
    n = np.uint64(len(ptr)) - one
    half = (n + one) // np.uint64(2)
    for q in range(half):
        m = half - one - q
        for i in (m + half, m):
            if i < n:
                around = 0.0
                begin, end = ptr[i], ptr[i + one]
                k = begin
                while k < end:
                    around += val[k] * x[idx[k]]
                    k = after(k)
                t = _solve_node(diagonal[i], series[i, 0], series[i, 1], series[i, 2], s[i] - around, x[i], _ROUGH)
                x[i] = t
                k = begin
                while k < end:
                    s[idx[k]] -= val[k] * t
                    k = after(k)


@_scalar
def subtract(ptr, idx, val, diagonal, series, x, r):  # type: ignore[no-untyped-def]
    """Replace r by the residual at x."""
    one = np.uint64(1)
    k = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        t = x[i]
        s = t * (diagonal[i] + series[i, 0] + t * (0.5 * series[i, 1] + series[i, 2] * (t * _SIXTH)))
        end = ptr[i + one]
        while k < end:
            s += val[k] * x[idx[k]]
            r[idx[k]] -= val[k] * t
            k = after(k)
        r[i] -= s


@_scalar
def add(change, x):  # type: ignore[no-untyped-def]
    """Add a change to x; return how large it is beside what comes out, entries of largest size."""
    largest = 0.0
    size = 0.0
    for i in range(len(x)):
        x[i] += change[i]
        largest = max(largest, abs(change[i]))
        size = max(size, abs(x[i]))
    return largest / size if size > 0.0 else 0.0


@_scalar
def settle(ptr, idx, val, diagonal, r, series, x):  # type: ignore[no-untyped-def]
    """Symmetric Gauss-Seidel sweeps from zero until they move nothing much, for a small level."""
    x[:] = 0.0
    s = np.empty_like(r)
    residual, change = np.empty_like(r), np.empty_like(r)
    moved = np.empty_like(series)
    for _ in range(_SWEEPS):
        s[:] = r
        moved[:] = series
        subtract(ptr, idx, val, diagonal, moved, x, s)
        recentre(moved, x)
        forward(ptr, idx, val, diagonal, s, moved, change, residual)
        backward(ptr, idx, val, diagonal, moved, change, s)
        if add(change, x) <= _SETTLED:
            break


@_scalar
def recentre(series, x):  # type: ignore[no-untyped-def]
    """Expand every node's term anew at x."""
    for i in range(len(x)):
        t = x[i]
        series[i, 0] += t * (series[i, 1] + 0.5 * series[i, 2] * t)
        series[i, 1] += series[i, 2] * t


@_scalar
def carry(ptr, idx, val, residual, series, x, coarse_r, coarse_series):  # type: ignore[no-untyped-def]
    """Restrict the residual by the interpolation, and hand the nodes' terms, expanded at x, down by its weights.

    For convex terms and weights that sum to at most one, the sum of the terms so handed down is an upper bound of
    the terms of interpolated states.
    """
    coarse_r[:] = 0.0
    coarse_series[:] = 0.0
    one = np.uint64(1)
    q = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        t = x[i]
        c4 = series[i, 2]
        c3 = series[i, 1] + c4 * t
        c2 = series[i, 0] + t * (series[i, 1] + 0.5 * c4 * t)
        r = residual[i]
        end = ptr[i + one]
        while q < end:
            c, p = idx[q], val[q]
            coarse_r[c] += p * r
            coarse_series[c, 0] += p * c2
            coarse_series[c, 1] += p * c3
            coarse_series[c, 2] += p * c4
            q = after(q)


@_scalar
def prolong(ptr, idx, val, coarse, x):  # type: ignore[no-untyped-def]
    """Add the interpolated coarse states to x."""
    one = np.uint64(1)
    q = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        t = x[i]
        end = ptr[i + one]
        while q < end:
            t += val[q] * coarse[idx[q]]
            q = after(q)
        x[i] = t


@_scalar
def _keep(kept, s, gathered, coarse_r, coarse_series):  # type: ignore[no-untyped-def]
    """Take over what the kept nodes have gathered."""
    for at in range(len(kept)):
        i = kept[at]
        coarse_r[at] = s[i]
        for c in range(3):
            coarse_series[at, c] = gathered[i, c]


@_scalar
def carry_elimination(ptr, idx, val, order, s, gathered, coarse_r, coarse_series):  # type: ignore[no-untyped-def]
    """Hand right-hand side and terms of eliminated nodes on to their neighbours, at last to the kept nodes.

    ``s`` and ``gathered`` hold those of the level, and then, of each eliminated node, what it had at its turn. The
    multipliers ``val`` are minus the weights by which a node follows its neighbours.
    """
    one = np.uint64(1)
    m = np.uint64(len(ptr)) - one
    q = np.uint64(0)
    for k in range(m):
        i = order[k]
        end = ptr[k + one]
        while q < end:
            j, p = idx[q], -val[q]
            s[j] += p * s[i]
            for c in range(3):
                gathered[j, c] += p * gathered[i, c]
            q = after(q)
    _keep(order[m:], s, gathered, coarse_r, coarse_series)


@_scalar
def settle_elimination(ptr, idx, val, inverse, order, s, gathered, coarse_r, coarse_series):  # type: ignore[no-untyped-def]
    """As :func:`carry_elimination`, but each node settles first, and its neighbours feel what it then resists.

    A node with couplings d that has settled with curvature c2 follows by sigma = d / (d + c2); the second derivative
    of what its neighbours feel is sigma c2, the third sigma^3 c3, the fourth at most sigma^4 c4 [1]_.

    References
    ----------
    .. [1] J.-J. Moreau, "Proximite et dualite dans un espace hilbertien", Bull. Soc. Math. France 93, 1965.
    """
    one = np.uint64(1)
    m = np.uint64(len(ptr)) - one
    for k in range(m):
        i = order[k]
        q, end = ptr[k], ptr[k + one]
        if q == end:
            continue
        d, t = 1.0 / inverse[k], s[i]
        c2, c3, c4 = gathered[i, 0], gathered[i, 1], gathered[i, 2]
        if c4 == 0.0:
            whole = 1.0 / (d + c2)
            x, follow = t * whole, d * whole
        else:
            x = _solve_node(d, c2, c3, c4, t, 0.0, _CLOSE)
            c2 += x * (c3 + 0.5 * c4 * x)
            c3 += c4 * x
            follow = d / (d + c2)
        cube = follow * follow * follow
        force, second, third, fourth = d * x, follow * c2, cube * c3, cube * follow * c4
        while q < end:
            j, p = idx[q], -val[q]
            s[j] += p * force
            gathered[j, 0] += p * second
            gathered[j, 1] += p * third
            gathered[j, 2] += p * fourth
            q = after(q)
    _keep(order[m:], s, gathered, coarse_r, coarse_series)


@_scalar
def substitute(ptr, idx, val, inverse, order, coarse, s, gathered, x):  # type: ignore[no-untyped-def]
    """Back substitution: each eliminated node settles between its neighbours and what it had gathered."""
    one = np.uint64(1)
    m = np.uint64(len(ptr)) - one
    for at in range(np.uint64(len(coarse))):
        x[order[m + at]] = coarse[at]
    for turn in range(m):
        k = m - one - turn
        i = order[k]
        begin, end = ptr[k], ptr[k + one]
        follow = 0.0
        q = begin
        while q < end:
            follow -= val[q] * x[idx[q]]
            q = after(q)
        d = 1.0 / inverse[k] if end > begin else 0.0
        settled = s[i] + d * follow
        x[i] = _solve_node(d, gathered[i, 0], gathered[i, 1], gathered[i, 2], settled, follow, _CLOSE)
