"""Conjugate gradients on the model of an energy inside a trust region, one compiled body for every operator."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.minimizer.linear_algebra import IntArray
from evenflow.minimizer.model import Model
from evenflow.minimizer.node_terms import NodeTerms, follow, put
from evenflow.minimizer.remainder import largest_ratio
from evenflow.minimizer.steihaug_kernel import (
    BROKEN,
    DD,
    DECREASE,
    DRIFT,
    ENERGY,
    ENOUGH,
    EXHAUSTED,
    FLAT,
    KAPPA,
    KNOWN,
    LARGEST,
    LAST,
    LEVEL,
    RZ,
    RZ0,
    SOLVED,
    XX,
    End,
    begin,
    iterate,
    redirect,
    settle_first,
    solve_cycles,
    solve_diagonal,
)
from evenflow.minimizer.uniform_rows import NOT_UNIFORM
from evenflow.preconditioner.cycle import CycleArguments

__all__ = ["End", "Steihaug"]

_ROUND_OFF = 1e-13  # Rayleigh quotient, against the largest, that is zero but for rounding
# Change of a diagonal entry, beside what the preconditioner holds, at which it no longer fits; and where its own
# diagonal follows the point.
_DRIFTED, _DRIFTED_FAR = 0.5, 2.0
_FIRST = 8  # iterations in which terms of higher order are settled, faster than all that follows
_NO_DIGIT = 0.1
_NO_TERMS, _NOTHING_HELD = NodeTerms(), np.zeros(0)
_ENDS = tuple(End)  # looked up faster than made of a number


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
    (by half, where nothing in P follows). With a diagonal P the first direction leads each unknown that has terms to
    where it would settle alone.

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
        self._c = np.zeros(LAST)
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
        begin(g, z0, self.x, self._work[1], self.direction, c)
        c[FLAT], c[ENERGY], c[ENOUGH], c[KNOWN] = flat, energy, enough, known
        c[DRIFT] = math.inf if inverse is not None else _DRIFTED if pivots is None else _DRIFTED_FAR
        higher = model.terms or _NO_TERMS
        terms = higher.where, higher.third, higher.fourth, held
        if inverse is not None and len(higher.where) > 0:
            inverse = inverse.copy()  # it follows the point
            if len(held) > 0:
                settle_first(g, inverse, *terms, self.direction, c)
        if pivots is None or len(held) == 0:
            pivots = _NOTHING_HELD
        uniform = model.uniform if inverse is not None else NOT_UNIFORM
        flexible |= len(higher.where) > 0
        self._task = model, uniform, terms, inverse, apply, cycle, pivots, flexible, radius, tolerance
        self.iterations = self.cycles = 0
        self.proceed(limit)

    def proceed(self, limit: int) -> None:
        """Go on with a solve that ended as EXHAUSTED, up to ``limit`` iterations in all, if these are more."""
        if limit <= self.iterations:
            return
        model, uniform, terms, inverse, apply, cycle, pivots, flexible, radius, tolerance = self._task
        c, books, matrix = self._c, (self._gains, self._squares), model.assembled
        before = pivots.take(terms[0]) if len(pivots) else pivots
        if matrix is not None and inverse is not None:
            self.iterations, end = solve_diagonal(
                *matrix, uniform, inverse, self._work, c, radius, tolerance, self.iterations, limit, *terms, *books
            )  # fmt: skip
        elif matrix is not None and cycle is not None:
            bound = tolerance * tolerance * c[RZ0]
            self.iterations, end, self.cycles = solve_cycles(
                *matrix, cycle, pivots, self._work, c, radius, bound, self.iterations, limit, flexible, *terms, *books
            )  # fmt: skip
        else:
            self.iterations, end = self._solve_general(model, terms, apply, pivots, flexible, radius, tolerance, limit)
        if len(pivots):
            put(terms[0], before, pivots)
        self.end = _ENDS[end]
        self.norm, self.decrease = math.sqrt(max(c[XX], 0.0)), float(c[DECREASE])
        self.curvature, self.square, self.largest = float(c[KAPPA]), float(c[DD]), float(c[LARGEST])
        self.reduction = math.sqrt(max(c[RZ], 0.0) / c[RZ0]) if c[RZ0] > 0 else math.nan
        self.ratio = self.pace = self.digits = math.nan
        if self.end in (End.SOLVED, End.EXHAUSTED) and self.iterations > 0:
            self.ratio = largest_ratio(self._gains, self._squares, self.iterations)
            first = min(_FIRST, self.iterations // 2)
            self.pace = (self.iterations - first) / max(_digits(self._squares[first], c[RZ]), _NO_DIGIT)
            enough = c[ENOUGH] * abs(c[ENERGY] - c[DECREASE])
            if enough > 0.0:
                self.digits = _digits(max(self.ratio, c[KNOWN]) * c[RZ], enough)

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
        c, bound = self._c, tolerance * tolerance * self._c[RZ0]
        gains, squares = self._gains, self._squares
        for k in range(self.iterations, limit):
            if k > 0:
                apply(r, z)
                if not redirect(c, squares[k - 1], flexible, r, z, Hd, d):
                    return k, BROKEN
            end = iterate(c, model.curve(d, Hd), radius, bound, k, d, Hd, x, r, *terms, gains, squares)
            if end != 0:
                return (k, SOLVED) if end == LEVEL else (k + 1, end)
            if len(pivots):
                follow(*terms, x, pivots)
        return limit, EXHAUSTED
