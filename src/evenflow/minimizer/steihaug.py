"""Conjugate gradients on the model of an energy inside a trust region, one compiled body for every operator.

The recurrences live in a short array so that the compiled loops (assembled Hessian, diagonal metric or one cycle of
multigrid) and the interpreted one (any metric, any Hessian product) run the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum

import numpy as np
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.minimizer.linear_algebra import IntArray, spmv_dot
from evenflow.minimizer.model import Model
from evenflow.minimizer.node_terms import NodeTerms, bend_along, follow, follow_secant, least_along, take_secant
from evenflow.minimizer.remainder import largest_ratio
from evenflow.preconditioner.cycle import CycleArguments, run_cycle

__all__ = ["End", "Steihaug"]


class End(IntEnum):
    """How a solve ended."""

    RUNNING = 0
    SOLVED = 1
    BOUNDARY = 2
    NEGATIVE = 3
    EXHAUSTED = 4
    BROKEN = 5
    STALE = 6


_SOLVED, _BOUNDARY, _NEGATIVE, _EXHAUSTED, _BROKEN, _STALE = (int(end) for end in list(End)[1:])
_LEVEL = len(End)  # as SOLVED, but along the direction that is next nothing changes
# Places in the array of recurrences: r.z at the start and now, |x|^2, x.d and |d|^2 in the metric, decrease of
# the model, largest Rayleigh quotient seen, last step length, last d.Hd, r.r, what is flat,
# energy at the start, share of it that is enough, ratio of what is left to gain to r.z that was known before, drift of
# the diagonal that is too much, last decrease.
_RZ0, _RZ, _XX, _XD, _DD, _DECREASE, _LARGEST, _ALPHA, _KAPPA, _RR, _FLAT = range(11)
_ENERGY, _ENOUGH, _KNOWN, _DRIFT, _GAIN, _LAST = range(11, 17)
_ROUND_OFF = 1e-13  # Rayleigh quotient, against the largest, that is zero but for rounding
# Change of a diagonal entry, beside what the preconditioner holds, at which it no longer fits; and where its own
# diagonal follows the point.
_DRIFTED, _DRIFTED_FAR = 0.5, 2.0
_FIRST = 8  # iterations in which terms of higher order are settled, faster than all that follows
_NO_DIGIT = 0.1
_NO_TERMS, _NOTHING_HELD = NodeTerms(), np.zeros(0)

_dense = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
_scalar = njit(cache=True, nogil=True, error_model="numpy")


@_dense
def _axpy2(a: float, d: FloatArray, Hd: FloatArray, x: FloatArray, r: FloatArray) -> float:
    """Advance: x += a d, r += a Hd; return r . r."""
    square = 0.0
    for i in range(d.size):
        x[i] += a * d[i]
        s = r[i] + a * Hd[i]
        r[i] = s
        square += s * s
    return square


@_dense
def _advance(
    a: float, d: FloatArray, Hd: FloatArray, inverse: FloatArray, x: FloatArray, r: FloatArray
) -> tuple[float, float]:
    """Advance in a diagonal metric: x += a d, r += a Hd; return (r . z, z . Hd) for z = inverse r."""
    rz = 0.0
    zh = 0.0
    for i in range(d.size):
        h = Hd[i]
        x[i] += a * d[i]
        s = r[i] + a * h
        r[i] = s
        z = inverse[i] * s
        rz += s * z
        zh += z * h
    return rz, zh


@_dense
def _two_dots(r: FloatArray, z: FloatArray, Hd: FloatArray) -> tuple[float, float]:
    """Return (r . z, z . Hd)."""
    rz = 0.0
    zh = 0.0
    for i in range(r.size):
        rz += r[i] * z[i]
        zh += z[i] * Hd[i]
    return rz, zh


@_dense
def _begin(g: FloatArray, z: FloatArray, x: FloatArray, r: FloatArray, d: FloatArray, c: FloatArray) -> None:
    """Start from x = 0, r = g, d = -z."""
    rz = 0.0
    rr = 0.0
    for i in range(g.size):
        x[i] = 0.0
        r[i] = g[i]
        d[i] = -z[i]
        rz += g[i] * z[i]
        rr += g[i] * g[i]
    c[:] = 0.0
    c[_RR] = rr
    c[_RZ0] = rz
    c[_RZ] = rz
    c[_DD] = rz


@_scalar
def _choose_length(
    c: FloatArray,
    kappa: float,
    radius: float,
    d: FloatArray,
    x: FloatArray,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
) -> int:
    """Go along d to the least model, or to the boundary where curvature or radius ask for it; kappa is d . H d.

    The callers keep the books of the iterations: with their arrays here, compiled code is a tenth slower.
    """
    rz, xx, xd, dd = c[_RZ], c[_XX], c[_XD], c[_DD]
    cubic, quartic = 0.0, 0.0
    if where.size > 0:
        second, cubic, quartic = bend_along(where, third, fourth, x, d)
        kappa += second
    c[_KAPPA] = kappa
    if not (rz > 0.0 and dd > 0.0 and math.isfinite(kappa) and math.isfinite(rz)):
        return _BROKEN
    quotient = kappa / dd
    c[_LARGEST] = max(c[_LARGEST], abs(quotient))
    if abs(quotient) <= c[_FLAT] * c[_LARGEST] and xx > 0.0:
        return _LEVEL
    end = 0
    a = math.inf
    if kappa <= 0.0:
        end = _NEGATIVE
    else:
        a = rz / kappa if where.size == 0 else least_along(-rz, kappa, cubic, quartic)
        if a == math.inf:
            a, end = rz / kappa, _BOUNDARY
    if end == _NEGATIVE or xx + a * (2.0 * xd + a * dd) >= radius * radius:
        end = max(end, _BOUNDARY)
        if math.isinf(radius):
            a = rz / abs(kappa) if kappa < 0.0 else 1.0
        else:
            inside = max(radius * radius - xx, 0.0)
            a = inside / (xd + math.sqrt(xd * xd + dd * inside))
    c[_GAIN] = a * (rz - a * (0.5 * kappa + a * (cubic / 6.0 + a * quartic / 24.0)))
    c[_DECREASE] += c[_GAIN]
    c[_XX] = xx + a * (2.0 * xd + a * dd)
    c[_XD] = xd + a * dd
    c[_ALPHA] = a
    return end


@_scalar
def _conjugate(c: FloatArray, rz: float, zh: float, flexible: bool) -> float:
    """Share beta of the last direction in the next one, for z . Hd = ``zh``."""
    beta = max(c[_ALPHA] * zh if flexible else rz, 0.0) / c[_RZ]
    c[_XD] *= beta
    c[_DD] = rz + beta * beta * c[_DD]
    c[_RZ] = rz
    return beta


@_dense
def _turn(beta: float, z: FloatArray, d: FloatArray) -> None:
    """Overwrite d with -z + beta d."""
    for i in range(d.size):
        d[i] = beta * d[i] - z[i]


@_dense
def _turn_diagonal(beta: float, inverse: FloatArray, r: FloatArray, d: FloatArray) -> None:
    """Overwrite d with -inverse r + beta d."""
    for i in range(d.size):
        d[i] = beta * d[i] - inverse[i] * r[i]


@_scalar
def _is_enough(c: FloatArray, rz: float, bound: float, gains: FloatArray, squares: FloatArray, count: int) -> bool:
    """Whether the residual is down to its bound, or what is left to gain is enough by the largest ratio known."""
    if rz <= bound:
        return True
    most = c[_ENOUGH] * abs(c[_ENERGY] - c[_DECREASE]) / rz
    return c[_KNOWN] <= most and largest_ratio(gains, squares, count, most) <= most


@_scalar
def _move(
    c: FloatArray,
    kappa: float,
    radius: float,
    bound: float,
    k: int,
    d: FloatArray,
    Hd: FloatArray,
    x: FloatArray,
    r: FloatArray,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
    held: FloatArray,
    gains: FloatArray,
    squares: FloatArray,
) -> int:
    """Iteration ``k`` in any metric, up to its application, and how the solve ends with it, if it does.

    The end is foreseen from r.r, with r.z / r.r as it was one iteration before.
    """
    squares[k] = c[_RZ]
    end = _choose_length(c, kappa, radius, d, x, where, third, fourth)
    if end in (_BROKEN, _LEVEL):
        return end
    gains[k] = c[_GAIN]
    drift = take_secant(c[_ALPHA], where, third, fourth, held, x, d, Hd)
    rr = _axpy2(c[_ALPHA], d, Hd, x, r)
    foreseen = c[_RZ] * rr / c[_RR]
    c[_RR] = rr
    if end == 0:
        c[_RZ] = foreseen
        if _is_enough(c, foreseen, bound, gains, squares, k + 1):
            return _SOLVED
        if drift > c[_DRIFT]:
            return _STALE
    return end


@_scalar
def _redirect(
    c: FloatArray, before: float, flexible: bool, r: FloatArray, z: FloatArray, Hd: FloatArray, d: FloatArray
) -> bool:
    """Turn d to the next direction, for z = P^-1 r and r.z as it was ``before``; False if P is not definite."""
    rz, zh = _two_dots(r, z, Hd)
    if not (math.isfinite(rz) and rz > 0.0):
        return False
    c[_RZ] = before
    _turn(_conjugate(c, rz, zh, flexible), z, d)
    return True


@_scalar
def _solve_diagonal(
    indptr: IntArray,
    indices: IntArray,
    data: FloatArray,
    inverse: FloatArray,
    work: FloatArray,
    c: FloatArray,
    radius: float,
    tolerance: float,
    first: int,
    limit: int,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
    held: FloatArray,
    gains: FloatArray,
    squares: FloatArray,
) -> tuple[int, int]:
    """The whole solve with an assembled Hessian and a diagonal metric; ``work`` holds x, r, z, d, Hd."""
    x, r, d, Hd = work[0], work[1], work[3], work[4]
    for k in range(first, limit):
        squares[k] = c[_RZ]
        end = _choose_length(c, spmv_dot(indptr, indices, data, d, Hd), radius, d, x, where, third, fourth)
        if end == _LEVEL:
            return k, _SOLVED
        if end == _BROKEN:
            return k + 1, end
        gains[k] = c[_GAIN]
        a = c[_ALPHA]
        if held.size > 0:
            follow_secant(a, where, third, fourth, held, x, d, Hd, inverse)
        else:
            take_secant(a, where, third, fourth, held, x, d, Hd)
        rz, zh = _advance(a, d, Hd, inverse, x, r)
        if end != 0:
            return k + 1, end
        if _is_enough(c, rz, tolerance * tolerance * c[_RZ0], gains, squares, k + 1):
            c[_RZ] = rz
            return k + 1, _SOLVED
        _turn_diagonal(_conjugate(c, rz, zh, where.size > 0), inverse, r, d)
    return limit, _EXHAUSTED


@_scalar
def _solve_cycles(
    indptr: IntArray,
    indices: IntArray,
    data: FloatArray,
    cycle: CycleArguments,
    pivots: FloatArray,
    work: FloatArray,
    c: FloatArray,
    radius: float,
    bound: float,
    first: int,
    limit: int,
    flexible: bool,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
    held: FloatArray,
    gains: FloatArray,
    squares: FloatArray,
) -> tuple[int, int, int]:
    """The whole solve with an assembled Hessian and multigrid, and how many cycles it took."""
    x, r, z, d, Hd = work[0], work[1], work[2], work[3], work[4]
    cycles = 0
    for k in range(first, limit):
        if k > 0:
            run_cycle(r, z, *cycle)
            cycles += 1
            if not _redirect(c, squares[k - 1], flexible, r, z, Hd, d):
                return k, _BROKEN, cycles
        kappa = spmv_dot(indptr, indices, data, d, Hd)
        end = _move(c, kappa, radius, bound, k, d, Hd, x, r, where, third, fourth, held, gains, squares)
        if end == _LEVEL:
            return k, _SOLVED, cycles
        if end != 0:
            return k + 1, end, cycles
        if pivots.size > 0:
            follow(where, third, fourth, held, x, pivots)
    return limit, _EXHAUSTED, cycles


def _digits(before: float, after: float) -> float:
    """Digits by which the root of a square has fallen, at least 0."""
    return 0.5 * math.log10(before / after) if before > after > 0.0 else 0.0


class Steihaug:
    """Truncated conjugate gradients [1]_: minimise g.x + x.H x / 2 over |x|_P <= radius, inexactly.

    Where the model has terms of third and fourth order, too, they are nonlinear conjugate gradients [2]_: all such
    terms belong to single unknowns, so that the least model along a direction and the residual there need no product
    but H d, and lengths are exact. Where the curvature along a direction changes its sign the solve ends as at the
    boundary. A diagonal P follows the point, and so does the diagonal in the sweeps of multigrid; what else there is in
    P stays as it is, and the solve ends as STALE where an entry of the diagonal has changed by twice what P holds there
    (by half, where nothing in P follows).

    Where no radius is set and the curvature is negative, the step along that direction is the one that the
    mirrored curvature would give.

    Attributes
    ----------
    x : ndarray
        The step.
    end : End
    iterations : int
    cycles : int
        Of multigrid, where ``apply`` was not asked for them.
    norm : float
        Of the step, in the norm of the metric.
    decrease : float
        Of the model.
    reduction : float
        Norm of the last residual over the first, in the norm of the inverse metric.
    direction : ndarray
        The last search direction d.
    curvature, square, largest : float
        d . H d, the square of d in the norm of the metric, the largest |d . H d| / square of the solve.
    pace : float
        Iterations for a digit of that norm, without the first few, or half of a short solve.
    digits : float
        Digits of that norm that are left until enough is gained (nan if nothing is enough).
    ratio : float
        Largest ratio of what is left to gain to r . P^-1 r, over the residuals r that the solve has left behind (nan
        unless it ended as SOLVED or EXHAUSTED).

    References
    ----------
    .. [1] T. Steihaug, "The conjugate gradient method and trust regions in large scale optimization",
       SIAM J. Numer. Anal. 20, 1983.
    .. [2] E. Polak, G. Ribiere, "Note sur la convergence de methodes de directions conjuguees", Rev. Francaise
       Informat. Recherche Operationnelle 3, 1969.
    """

    def __init__(self, size: int, max_iterations: int) -> None:
        self._work = np.empty((5, size))
        self._c = np.zeros(_LAST)
        self._gains, self._squares = np.empty(max_iterations), np.empty(max_iterations)
        self.x, self.direction = self._work[0], self._work[3]

    def solve(
        self,
        model: Model,
        g: FloatArray,
        z0: FloatArray,
        inverse: FloatArray | None,
        apply: Callable[[FloatArray, FloatArray], FloatArray],
        *,
        flexible: bool,
        radius: float,
        tolerance: float,
        limit: int,
        flat: float = _ROUND_OFF,
        energy: float = math.nan,
        enough: float = 0.0,
        known: float = 0.0,
        held: FloatArray = _NOTHING_HELD,
        cycle: CycleArguments | None = None,
        pivots: FloatArray | None = None,
    ) -> None:
        """Solve for the gradient ``g`` with ``z0 = P^-1 g``; ``inverse`` if P is diagonal, else ``apply``.

        ``cycle`` is what :func:`~evenflow.preconditioner.cycle.run_cycle` takes, if that is what ``apply`` does, and
        ``pivots`` the inverse diagonal that it has in it; it is as it was when the solve has ended.

        The solve ends at the relative residual ``tolerance``, where no more than the share ``enough`` of the energy,
        which begins at ``energy``, is left to gain by its ``ratio``, or by ``known`` if that is larger, or
        along a direction whose Rayleigh quotient is at most ``flat`` times the largest one seen. ``held`` is what P
        has on its diagonal at the unknowns of the model's terms.
        """
        c = self._c
        _begin(g, z0, self.x, self._work[1], self.direction, c)
        c[_FLAT], c[_ENERGY], c[_ENOUGH], c[_KNOWN] = flat, energy, enough, known
        c[_DRIFT] = math.inf if inverse is not None else _DRIFTED if pivots is None else _DRIFTED_FAR
        higher = model.terms or _NO_TERMS
        terms = higher.where, higher.third, higher.fourth, held
        if inverse is not None and len(higher.where) > 0:
            inverse = inverse.copy()  # it follows the point
        if pivots is None or len(held) == 0:
            pivots = _NOTHING_HELD
        self._task = model, terms, inverse, apply, cycle, pivots, flexible or len(higher.where) > 0, radius, tolerance
        self.iterations = self.cycles = 0
        self.proceed(limit)

    def proceed(self, limit: int) -> None:
        """Go on with a solve that ended as EXHAUSTED, up to ``limit`` iterations in all, if these are more."""
        if limit <= self.iterations:
            return
        model, terms, inverse, apply, cycle, pivots, flexible, radius, tolerance = self._task
        c, books, matrix = self._c, (self._gains, self._squares), model.assembled
        before = pivots.take(terms[0]) if len(pivots) else pivots
        if matrix is not None and inverse is not None:
            self.iterations, end = _solve_diagonal(
                *matrix, inverse, self._work, c, radius, tolerance, self.iterations, limit, *terms, *books
            )  # fmt: skip
        elif matrix is not None and cycle is not None:
            bound = tolerance * tolerance * c[_RZ0]
            self.iterations, end, self.cycles = _solve_cycles(
                *matrix, cycle, pivots, self._work, c, radius, bound, self.iterations, limit, flexible, *terms, *books
            )  # fmt: skip
        else:
            self.iterations, end = self._solve_general(model, terms, apply, pivots, flexible, radius, tolerance, limit)
        if len(pivots):
            pivots[terms[0]] = before
        self.end = End(end)
        self.norm, self.decrease = math.sqrt(max(c[_XX], 0.0)), float(c[_DECREASE])
        self.curvature, self.square, self.largest = float(c[_KAPPA]), float(c[_DD]), float(c[_LARGEST])
        self.reduction = math.sqrt(max(c[_RZ], 0.0) / c[_RZ0]) if c[_RZ0] > 0 else math.nan
        self.ratio = self.pace = self.digits = math.nan
        if self.end in (End.SOLVED, End.EXHAUSTED) and self.iterations > 0:
            self.ratio = largest_ratio(self._gains, self._squares, self.iterations)
            first = min(_FIRST, self.iterations // 2)
            self.pace = (self.iterations - first) / max(_digits(self._squares[first], c[_RZ]), _NO_DIGIT)
            enough = c[_ENOUGH] * abs(c[_ENERGY] - c[_DECREASE])
            if enough > 0.0:
                self.digits = _digits(max(self.ratio, c[_KNOWN]) * c[_RZ], enough)

    def _solve_general(
        self,
        model: Model,
        terms: tuple[IntArray, FloatArray, FloatArray, FloatArray],
        apply: Callable[[FloatArray, FloatArray], FloatArray],
        pivots: FloatArray,
        flexible: bool,
        radius: float,
        tolerance: float,
        limit: int,
    ) -> tuple[int, int]:
        """The loop with one application of the metric between iterations, none after the last."""
        x, r, z, d, Hd = self._work
        c, bound = self._c, tolerance * tolerance * self._c[_RZ0]
        gains, squares = self._gains, self._squares
        for k in range(self.iterations, limit):
            if k > 0:
                apply(r, z)
                if not _redirect(c, squares[k - 1], flexible, r, z, Hd, d):
                    return k, _BROKEN
            end = _move(c, model.curve(d, Hd), radius, bound, k, d, Hd, x, r, *terms, gains, squares)
            if end != 0:
                return (k, _SOLVED) if end == _LEVEL else (k + 1, end)
            if len(pivots):
                follow(*terms, x, pivots)
        return limit, _EXHAUSTED
