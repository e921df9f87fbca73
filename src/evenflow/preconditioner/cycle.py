"""One multigrid cycle as one compiled call.

Each level is smoothed by one forward Gauss-Seidel sweep before and one backward sweep after the coarse
correction. With the pivots all positive, and a positive definite solve on the coarsest level, the operator is
symmetric positive definite whatever the signs of the matrix. Levels below the finest lie in packed arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from evenflow.energy.short_loop import after

__all__ = ["AGGREGATE", "DIRECT", "ELIMINATE", "SMOOTH", "CycleArguments", "run_cycle"]

CycleArguments = tuple[Any, ...]
"""What :func:`run_cycle` takes after ``r`` and ``out``."""

AGGREGATE = 0
ELIMINATE = 1
DIRECT = 2
SMOOTH = 3

# Columns of the table of levels: kind, unknowns, visits, then where its rows, entries and unknowns begin in the
# packed arrays, for the matrix (or multipliers) and for the interpolation.
KIND, SIZE, VISITS, ROWS, ENTRIES, P_ROWS, P_ENTRIES, NODES, PIVOTS = range(9)

_dense = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
_sparse = njit(cache=True, nogil=True, fastmath={"contract"})


@_sparse
def _forward(ptr, idx, val, inverse, r, x, residual):  # type: ignore[no-untyped-def]
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
                t *= inverse[i]
                x[i] = t
                residual[i] = 0.0
                k = begin
                while k < end:
                    residual[idx[k]] -= val[k] * t
                    k = after(k)


@_sparse
def _backward(ptr, idx, val, inverse, x, s):  # type: ignore[no-untyped-def]
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
                t = (s[i] - around) * inverse[i]  # s[i] comes late, from the rows just swept
                x[i] = t
                k = begin
                while k < end:
                    s[idx[k]] -= val[k] * t
                    k = after(k)


@_sparse
def _restrict(ptr, idx, val, fine, coarse):  # type: ignore[no-untyped-def]
    """Coarse = P^T fine."""
    one = np.uint64(1)
    coarse[:] = 0.0
    q = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        t = fine[i]
        end = ptr[i + one]
        while q < end:
            coarse[idx[q]] += val[q] * t
            q = after(q)


@_sparse
def _prolong(ptr, idx, val, stretch, coarse, x, r, s):  # type: ignore[no-untyped-def]
    """Add ``stretch`` P coarse to x; copy r to s."""
    one = np.uint64(1)
    q = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        t = 0.0
        end = ptr[i + one]
        while q < end:
            t += val[q] * coarse[idx[q]]
            q = after(q)
        x[i] += stretch * t
        s[i] = r[i]


@_sparse
def _eliminate(ptr, idx, val, order, r, s, coarse):  # type: ignore[no-untyped-def]
    """Forward elimination of r in s; the kept entries go to coarse. ``order`` lists eliminated, then kept nodes."""
    one = np.uint64(1)
    m = np.uint64(len(ptr)) - one
    s[:] = r
    q = np.uint64(0)
    for k in range(m):
        t = s[order[k]]
        end = ptr[k + one]
        while q < end:
            s[idx[q]] -= val[q] * t
            q = after(q)
    for c in range(np.uint64(len(coarse))):
        coarse[c] = s[order[m + c]]


@_sparse
def _substitute(ptr, idx, val, inverse, order, coarse, s, x):  # type: ignore[no-untyped-def]
    """Back substitution."""
    one = np.uint64(1)
    m = np.uint64(len(ptr)) - one
    for c in range(np.uint64(len(coarse))):
        x[order[m + c]] = coarse[c]
    for turn in range(m):
        k = m - one - turn
        i = order[k]
        t = s[i] * inverse[k]
        q, end = ptr[k], ptr[k + one]
        while q < end:
            t -= val[q] * x[idx[q]]
            q = after(q)
        x[i] = t


@_sparse
def _subtract(ptr, idx, val, inverse, x, r):  # type: ignore[no-untyped-def]
    """Replace r by r - A x."""
    one = np.uint64(1)
    k = np.uint64(0)
    for i in range(np.uint64(len(ptr)) - one):
        t = x[i]
        s = t / inverse[i]
        end = ptr[i + one]
        while k < end:
            s += val[k] * x[idx[k]]
            r[idx[k]] -= val[k] * t
            k = after(k)
        r[i] -= s


@_dense
def _solve_dense(factor, r, x):  # type: ignore[no-untyped-def]
    """Solve L L^T x = r, with L = ``factor`` lower triangular."""
    n = len(r)
    for i in range(n):
        t = r[i]
        for j in range(i):
            t -= factor[i, j] * x[j]
        x[i] = t / factor[i, i]
    for i in range(n - 1, -1, -1):
        t = x[i] / factor[i, i]
        x[i] = t
        for j in range(i):
            x[j] -= factor[i, j] * t


@njit(cache=True, nogil=True)
def run_cycle(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    r,
    out,
    spare,
    table,
    a_ptr,
    a_idx,
    a_val,
    p_ptr,
    p_idx,
    p_val,
    inverse,
    order,
    ptr,
    idx,
    val,
    pivots,
    nodes,
    dense,
    stretch,
    work,
):
    """Set out to one cycle's approximation of A^-1 r.

    The finest level has arrays of its own: matrix (or multipliers) a, interpolation p, inverse pivots, order.
    ``ptr``, ``idx``, ``val``, ``pivots``, ``nodes`` hold the others, ``work`` four vectors of each. Corrections by
    the groups of a level are made longer by its ``stretch``.
    """
    last = len(table) - 1
    visits = np.zeros(last + 1, np.int64)
    nothing = r[:0]
    level = 0
    down = True
    while True:
        kind = table[level, KIND]
        n = table[level, SIZE]
        at = table[level, NODES]
        if level == 0:
            mp, mi, mv, pp, pi, pv, dinv, seq = a_ptr, a_idx, a_val, p_ptr, p_idx, p_val, inverse, order
            rr, xx, ss = r, out, spare
        else:
            rows = n if kind != ELIMINATE else table[level, PIVOTS]
            k = table[level, ROWS]
            mp = ptr[k : k + rows + 1]
            mi = idx[table[level, ENTRIES] :]
            mv = val[table[level, ENTRIES] :]
            k = table[level, P_ROWS]
            pp = ptr[k : k + n + 1]
            pi = idx[table[level, P_ENTRIES] :]
            pv = val[table[level, P_ENTRIES] :]
            dinv = pivots[at : at + n]
            seq = nodes[at : at + n]
            rr = work[0, at : at + n]
            xx = work[1, at : at + n]
            ss = work[2, at : at + n]
        if level < last:
            below = table[level + 1, NODES]
            size = table[level + 1, SIZE]
            coarse_r = work[0, below : below + size]
            coarse_x = work[1, below : below + size]
            if down:
                if kind == AGGREGATE:
                    _forward(mp, mi, mv, dinv, rr, xx, ss)
                    _restrict(pp, pi, pv, ss, coarse_r)
                else:
                    _eliminate(mp, mi, mv, seq, rr, ss, coarse_r)
                level += 1
                visits[level] = 0
                continue
            if kind == AGGREGATE:
                _prolong(pp, pi, pv, stretch[level], coarse_x, xx, rr, ss)
                _backward(mp, mi, mv, dinv, xx, ss)
            else:
                _substitute(mp, mi, mv, dinv, seq, coarse_x, ss, xx)
        elif kind == DIRECT:
            _solve_dense(dense, rr, xx)
        elif kind == ELIMINATE:  # to the end
            _eliminate(mp, mi, mv, seq, rr, ss, nothing)
            _substitute(mp, mi, mv, dinv, seq, nothing, ss, xx)
        else:
            _forward(mp, mi, mv, dinv, rr, xx, ss)
            ss[:] = rr
            _backward(mp, mi, mv, dinv, xx, ss)
        # The level is solved: visit it again, or hand its correction up.
        if level == 0:
            return
        visits[level] += 1
        total = work[3, at : at + n]
        if visits[level] < table[level, VISITS]:
            if visits[level] == 1:
                total[:] = xx
            else:
                total += xx
            _subtract(mp, mi, mv, dinv, xx, rr)
            down = True
            continue
        if visits[level] > 1:
            xx += total
        level -= 1
        down = False
