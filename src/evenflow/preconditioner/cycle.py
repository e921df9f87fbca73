"""One multigrid cycle as one compiled call.

Each level is smoothed by one forward Gauss-Seidel sweep before and one backward sweep after the coarse
correction. With the pivots all positive, and a positive definite solve on the coarsest level, the operator is
symmetric positive definite whatever the signs of the matrix.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.energy.short_loop import after
from evenflow.preconditioner import table
from evenflow.preconditioner.table import AGGREGATE, DIRECT, ELIMINATE, FINEST
from evenflow.preconditioner.window import window

__all__ = ["CycleArguments", "run_cycle"]

UintArray = npt.NDArray[np.uint32]

CycleArguments = tuple[npt.NDArray[np.int64], UintArray, FloatArray, FloatArray, FloatArray]
"""What :func:`run_cycle` takes after ``r`` and ``out``: table, indices, values, stretch, work."""

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
def run_cycle(r, out, t, u, f, stretch, work):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    """Set out to one cycle's approximation of A^-1 r.

    For a hierarchy (see :mod:`evenflow.preconditioner.table`). ``work`` has room for four vectors of each level but the
    finest, and one of that. Corrections by the groups of a level are made longer by its ``stretch``.
    """
    last = len(t) - 1
    visits = np.zeros(last + 1, np.int64)
    nothing = r[:0]
    level = FINEST
    down = True
    while True:
        kind = t[level, table.KIND]
        n = t[level, table.SIZE]
        mp, mi, mv, _ = table.matrix(t, level, u, f)
        if kind == ELIMINATE:
            mp, mi, mv = table.interpolation(t, level, u, f)
        dinv = table.inverse_pivots(t, level, f)
        begin = 4 * t[level, table.BEFORE]
        if level == 0:
            rr, xx, ss = r, out, window(work, len(work) - n, n)
        else:
            rr, xx, ss = window(work, begin, n), window(work, begin + n, n), window(work, begin + 2 * n, n)
        if level < last:
            below = 4 * t[level + 1, table.BEFORE]
            size = t[level + 1, table.SIZE]
            coarse_r = window(work, below, size)
            coarse_x = window(work, below + size, size)
            if down:
                if kind == AGGREGATE:
                    pp, pi, pv = table.interpolation(t, level, u, f)
                    _forward(mp, mi, mv, dinv, rr, xx, ss)
                    _restrict(pp, pi, pv, ss, coarse_r)
                else:
                    _eliminate(mp, mi, mv, table.sequence(t, level, u), rr, ss, coarse_r)
                level += 1
                visits[level] = 0
                continue
            if kind == AGGREGATE:
                pp, pi, pv = table.interpolation(t, level, u, f)
                _prolong(pp, pi, pv, stretch[level], coarse_x, xx, rr, ss)
                _backward(mp, mi, mv, dinv, xx, ss)
            else:
                _substitute(mp, mi, mv, dinv, table.sequence(t, level, u), coarse_x, ss, xx)
        elif kind == DIRECT:
            _solve_dense(table.dense(t, level, f), rr, xx)
        elif kind == ELIMINATE:  # to the end
            _eliminate(mp, mi, mv, table.sequence(t, level, u), rr, ss, nothing)
            _substitute(mp, mi, mv, dinv, table.sequence(t, level, u), nothing, ss, xx)
        else:
            _forward(mp, mi, mv, dinv, rr, xx, ss)
            ss[:] = rr
            _backward(mp, mi, mv, dinv, xx, ss)
        # The level is solved: visit it again, or hand its correction up.
        if level == 0:
            return
        visits[level] += 1
        total = window(work, begin + 3 * n, n)
        if visits[level] < t[level, table.VISITS]:
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
