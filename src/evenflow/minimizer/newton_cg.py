"""Truncated Newton: conjugate gradients on the quadratic model, a trust region, a line search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.forcing import Forcing
from evenflow.minimizer.line_search import LineSearch
from evenflow.minimizer.linear_algebra import dot, is_diagonally_dominant
from evenflow.minimizer.metric import Metric
from evenflow.minimizer.model import Model
from evenflow.minimizer.node_terms import NodeTerms
from evenflow.minimizer.opening import opening_step
from evenflow.minimizer.problem import Problem
from evenflow.minimizer.remainder import Remainder
from evenflow.minimizer.saddle import leave_saddle
from evenflow.minimizer.steihaug import End, Steihaug
from evenflow.minimizer.watch import Watch
from evenflow.preconditioner.base import Preconditioner
from evenflow.status import Status

__all__ = ["NewtonCG"]

_SLOPE = 0.1  # of the line search: what a full Newton step along a quartic leaves (8 / 27) asks for a longer one
_LOOSE = 0.9  # the same for a step that was cut
# Entries up to which a product with an assembled matrix is faster than without, and entries a row from which it always
# is: then it is not the memory that a product waits for.
_CACHED, _DENSE = 1_000_000, 9
_SAFE, _SAFER = 1.5, 4.0  # times what is left to gain by the largest ratio; the diagonal hides slow modes for longer
_MARGIN = 0.8  # of the reduction that would do for good: what a solve foresees of its end is off by a fifth
_GROWTH = 3.0  # of the radius after a good step that it cut
_POOR, _NOISE = 0.5, 1e-10  # of the decrease that a model foretold, where it was wrong; of the energy, where that tells
_EXPECTED = {
    "patience": "0 or a number of iterations",
    "drift": "a positive fraction",
    "growth": "a factor above 1",
    "forcing": "a number in (0, 1)",
    "exponent": "a number in (1, 2]",
    "max_inner": "at least 1",
    "enough": "0 or a relative gap",
    "poor_steps": "0 or a number of steps",
}


@dataclass
class NewtonCG(Minimizer):
    """Newton's method with inexact inner solves, for energies with Hessian products.

    Each step builds the quadratic model at theta (the sparse Hessian assembled once where there is one, else
    products), minimises it by preconditioned conjugate gradients inside a trust region in the norm of the
    preconditioner [1]_, follows a direction of negative curvature to the boundary, and searches along the
    result for the Wolfe conditions beginning at length 1. The inner solve stops at a residual tolerance that
    tightens with the progress of the gradient, both in the norm of P^-1 (forcing terms [2]_, choice 2), or where
    about ``enough`` is left to gain, as estimated below.

    The first ``patience`` inner iterations, whatever the number of steps, are preconditioned by the diagonal of
    the Hessian: far from the minimum one or two a step often do, and easy problems are solved before a set-up
    would have paid. The preconditioner is built then, or as soon as the pace of a solve foretells that it will take
    that many iterations, or at once where many nodes of a graph are far from everything that holds them, or tied to
    one neighbour, and on a large forest.
    It is refreshed when the Hessian's diagonal has changed by more than ``drift`` since the last refresh (a
    hundredth of that where a refresh costs no more than an application), or the inner iterations for each digit
    have grown by ``growth``. One that shows itself indefinite is refreshed at once, then replaced by the diagonal;
    only if that fails, too, the status is BREAKDOWN.

    Where only the diagonal of the Hessian depends on theta, it alone is computed at each step once the
    preconditioner is built, and products with a large one are made without the assembled matrix. The model of such an
    energy is of fourth order, its inner solves are nonlinear conjugate gradients with exact steps, and they go as far
    as the energy that the last model foretold was right: where terms of nodes are quartics, one solve is all. If
    multigrid is built at once, the first step is another one, nested iteration [3]_ from the mean of theta, provided
    that the energy is convex as far as its expansion tells, and that the step lowers it.

    ``state.decrement`` estimates the energy left to gain at the new point by s c g . P^-1 g, with c the largest ratio
    that the recent inner solves have shown: what one gained from a residual on, beside its square in the norm of P^-1.
    The factor s is 1.5, and 4 with the diagonal, or nothing, as P: there the slowest modes show late, and a solve that
    has not met them takes too little to be left. The slowest is often that all unknowns move alike; c is no less than
    what that alone would gain. The estimate is nan while solves end at the boundary, at negative curvature, or where
    the preconditioner no longer fits.

    Parameters
    ----------
    preconditioner : Preconditioner, optional
    patience : int
        About the cost of building the preconditioner, in products with the Hessian; 0 builds it at once.
    drift : float
    growth : float
    forcing : float
        Largest relative residual of an inner solve.
    exponent : float
        Exponent of the forcing terms, in (1, 2]: the order of convergence.
    max_inner : int
        Most inner iterations of a step; between steps a solve can be interrupted, saved, or ended by a budget.
    enough : float
        Relative energy gap below which no inner solve aims: the tolerance of the whole solve, if there is one.
    check_saddle : bool
        Before convergence, make sure that the Hessian has no direction of negative curvature: by its
        diagonal dominance, else by conjugate gradients on a fixed pseudo-random right-hand side. A saddle
        point is left along the direction found.
    follow_negative_curvature : bool
        Otherwise a step that meets negative curvature is not made, and the status is NOT_CONVEX.
    poor_steps : int
        Steps on end that may gain less than half of what the model foretold, before the status is NOT_QUADRATIC: such
        steps cost more than they gain. 0: any number.

    References
    ----------
    .. [1] T. Steihaug, "The conjugate gradient method and trust regions in large scale optimization",
       SIAM J. Numer. Anal. 20, 1983.
    .. [2] S. Eisenstat, H. Walker, "Choosing the forcing terms in an inexact Newton method",
       SIAM J. Sci. Comput. 17, 1996, eq. 2.6.
    .. [3] A. Brandt, "Multi-level adaptive solutions to boundary-value problems", Math. Comp. 31, 1977, secs. 5-6.

    Examples
    --------
    >>> from evenflow.minimizer import NewtonCG
    >>> NewtonCG().needs_hvp
    True
    """

    preconditioner: Preconditioner | None = None
    patience: int = 60
    drift: float = 0.3
    growth: float = 1.25
    forcing: float = 0.3
    exponent: float = 1.5
    max_inner: int = 500
    enough: float = 0.0
    check_saddle: bool = True
    follow_negative_curvature: bool = True
    poor_steps: int = 0

    name: ClassVar[str] = "newton-cg"
    needs_hvp: ClassVar[bool] = True
    monotone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        fits = (
            self.patience >= 0, self.drift > 0, self.growth > 1, 0 < self.forcing < 1, 1 < self.exponent <= 2,
            self.max_inner >= 1, self.enough >= 0, self.poor_steps >= 0,
        )  # fmt: skip
        if not all(fits):
            name, expected = list(_EXPECTED.items())[fits.index(False)]
            raise InputError(f"{name}={getattr(self, name)}: expected {expected}")

    def init(self, problem: Problem, theta: FloatArray) -> State:
        """Evaluate the start; the preconditioner is built by the first step."""
        state = super().init(problem, theta)
        self._prepare(problem, state)
        return state

    def _prepare(self, problem: Problem, state: State) -> None:
        """Allocate everything."""
        self._metric = Metric(self.preconditioner, "hessian", waiting=self.patience > 0)
        self._metric.check(problem)
        self.preconditioner = self._metric.preconditioner
        self._search = LineSearch(curvature=_SLOPE)
        self._search.start(state)
        self._solver = Steihaug(problem.size, self.max_inner)
        self._z = np.empty(problem.size)
        mismatch = 0.0 if problem.quartic else 1.0
        self._radius, self._forcing = math.inf, Forcing(self.forcing, self.exponent, mismatch)
        self._remainder = Remainder(least=0.0 if self._metric.is_identity else 0.5)  # what it is where P is H
        self._watch = Watch(self.patience, self.growth)
        self._square = 0.0  # g . P^-1 g, zero while P^-1 g is not at hand
        self._ahead = True  # looked ahead already
        self._stale, self._verified, self._failed = True, False, False
        self._opening, self._opened = problem.constant_couplings, ""  # whether the first step is one, and what it was
        self._first_norm = state.gradient_norm
        self._indefinite = False  # whether the last solve met negative curvature
        self._poor = 0  # steps on end whose model was wrong
        self._model: Model | None = None

    # ------------------------------------------------------------------ one step

    def step(self, problem: Problem, state: State) -> None:
        """Inner solve and line search."""
        self.look_ahead(problem, state)
        state.note, state.inner = "", 0
        opening, self._opening = self._opening, False
        if opening and state.gradient_norm > 0.0 and self._open(problem, state):
            return
        model = self._model or self._build(problem, state)
        if state.gradient_norm == 0.0:
            self._finish(problem, state, model)
            return
        if not self._solve(problem, state, model):
            state.status = Status.BREAKDOWN
            return
        solver = self._solver
        if solver.end is End.NEGATIVE and not self.follow_negative_curvature:
            state.status = Status.NOT_CONVEX
            return
        slope, before = dot(state.gradient, solver.x), state.energy
        self._search.curvature = _LOOSE if solver.end in (End.BOUNDARY, End.NEGATIVE) else _SLOPE
        length = self._search(problem, state, solver.x, slope, 1.0) if slope < 0 else 0.0
        if length == 0.0:
            self._after_failure(state)
            return
        self._failed, self._ahead, self._model = False, False, None
        self._indefinite = solver.end is End.NEGATIVE
        self._remainder.ratio, self._remainder.length = solver.ratio, solver.iterations
        state.decrement = math.nan
        self._forcing.compare(before - solver.decrease if length == 1.0 else math.nan, before, state.energy)
        self._adapt_radius(length)
        tells = solver.decrease > _NOISE * abs(before)
        self._poor = self._poor + 1 if tells and before - state.energy < _POOR * solver.decrease else 0
        if 0 < self.poor_steps <= self._poor:
            state.status = Status.NOT_QUADRATIC
            return
        waited = self._metric.waiting
        self._stale |= self._watch.judge(solver, self._metric, measured=problem.has_hessian)
        state.note = self._metric.note or state.note
        if waited and not self._metric.waiting:  # what is known of P^-1 H is of another P
            self._remainder.forget()

    def look_ahead(self, problem: Problem, state: State) -> None:
        """Build the model at the new point, aim the next inner solve, make sure that a minimum is near."""
        if self._ahead:
            return
        self._ahead = True
        before = self._square
        model = self._build(problem, state)
        if state.gradient_norm > 0.0:
            self._aim(problem, state, before)
        if self.check_saddle and not self._verified and self._nearly_there(state):
            self._leave_saddle(problem, state, model)

    def _open(self, problem: Problem, state: State) -> bool:
        """The first step, where only the diagonal of the Hessian depends on theta; whether one was made."""
        model = self._linearise(problem, state, light=False)
        self._watch.survey(self._metric, model, lasting=True)
        found = opening_step(problem, state.theta, self._metric, model.hessian)
        self.setup_seconds = self._metric.seconds
        if found is not None:
            step, foretold = found
            before, energy = state.energy, self._search.evaluate(problem, state, step, 1.0)[1]
            if energy < before:
                self._search.accept(state, energy)
                if foretold is not None:
                    self._forcing.compare(foretold, before, energy)
                    self._forcing.trust()
                self._opened, state.decrement = "nested iteration", math.nan
                return True
        self._build(problem, state, model)
        return False

    def _build(self, problem: Problem, state: State, model: Model | None = None) -> Model:
        """The model at the current point, of which one up to second order may be given; refreshes what is due."""
        metric = self._metric
        if model is None:
            light = problem.constant_couplings and metric.built_at is not None and not metric.is_diagonal
            model = self._linearise(problem, state, light=light)
        self._expand(problem, state, model)
        if model.hessian is not None:
            self._watch.survey(metric, model, lasting=problem.constant_couplings)
            known = metric.refreshed_at is not None and not metric.is_diagonal
            self._stale |= not known or metric.drift(model.hessian, model.diagonal) > self.drift * metric.caution
        if self._stale:
            metric.refresh(problem, state.theta, model.hessian, model.diagonal, indefinite=self._indefinite)
            self.setup_seconds = metric.seconds
            state.note = metric.note or state.note
            self._stale, self._watch.rate = False, 0.0
        self._model, self._square = model, 0.0
        return model

    def _linearise(self, problem: Problem, state: State, *, light: bool) -> Model:
        """The model up to second order, assembled where it can be; ``light``, to fourth, with the couplings known."""
        if not problem.has_hessian:
            return Model(product=problem.hvp(state.theta))
        if light:
            hessian = self._metric.matrix
            assert hessian is not None
            diagonal, *higher = problem.diagonal_series(state.theta)
            rows = self._metric.rows_of(hessian)
            rows.put_diagonal(hessian.data, diagonal)
            thin = _CACHED < len(hessian.data) < _DENSE * problem.size
            product = problem.hvp(state.theta) if thin and problem.light_products else None
            return Model(hessian, rows, product, diagonal, NodeTerms.of(*higher))
        hessian = problem.hessian(state.theta)
        return Model(hessian, self._metric.rows_of(hessian))

    @staticmethod
    def _expand(problem: Problem, state: State, model: Model) -> None:
        """Add the third and fourth order, where single unknowns have all of them, if they are not known yet."""
        if model.terms is None and problem.constant_couplings:
            _, *higher = problem.diagonal_series(state.theta)
            model.terms = NodeTerms.of(*higher)

    def _solve(self, problem: Problem, state: State, model: Model) -> bool:
        """Inner solve; repeated after a refresh, then with the diagonal, if the preconditioner is at fault."""
        enough, known = _MARGIN * self.enough / self._care, self._remainder.known
        until = {"energy": state.energy, "enough": enough, "known": known}
        for attempt in range(3):
            if self._square == 0.0:
                self._metric.apply(problem, state.gradient, self._z)
                self._square = dot(state.gradient, self._z)
            self._run(problem, model, state.gradient, self._z, self._forcing.eta, **until)
            state.inner += self._solver.iterations
            if self._solver.end is not End.BROKEN:
                return True
            self._square = 0.0
            if self._metric.is_diagonal or attempt == 2:
                break
            if attempt == 0 and not self._metric.is_fresh(state.theta):
                self._metric.refresh(problem, state.theta, model.hessian, model.diagonal)
                state.note = self._metric.note or "preconditioner refreshed after a breakdown"
            else:
                self._metric.fall_back()
                state.note = self._metric.note
        return False

    def _run(
        self, problem: Problem, model: Model, b: FloatArray, z: FloatArray, tolerance: float, **options: float
    ) -> None:
        """Conjugate gradients for H x = -b, counted."""
        metric, watch, solver = self._metric, self._watch, self._solver
        limit = min(watch.trial, self.max_inner) if metric.waiting else self.max_inner
        solver.solve(
            model, b, z, metric.inverse, lambda r, out: metric.apply(problem, r, out), cycle=metric.cycle,
            pivots=metric.pivots, held=metric.held(model.terms), flexible=metric.flexible, radius=self._radius,
            tolerance=tolerance, limit=limit, **options,
        )  # fmt: skip
        problem.counts.preconditioner += solver.cycles
        if metric.waiting and solver.end is End.EXHAUSTED:
            solver.proceed(min(watch.grant(solver), self.max_inner))
        if model.product is None:
            problem.counts.hvp += solver.iterations

    def _adapt_radius(self, length: float) -> None:
        """Shrink after a step that was cut, grow after a full one."""
        norm = length * self._solver.norm
        if length < 1.0:
            self._radius = 2.0 * norm
        elif self._solver.end is End.NEGATIVE and math.isinf(self._radius):
            self._radius = _GROWTH * norm
        else:
            self._radius = max(self._radius, _GROWTH * norm)

    def _aim(self, problem: Problem, state: State, before: float) -> None:
        """P^-1 g at the new point: the forcing term and the estimate of the energy left."""
        self._metric.apply(problem, state.gradient, self._z)
        after = dot(state.gradient, self._z)
        if not (math.isfinite(after) and after > 0 and before > 0):
            state.decrement = math.nan
            return
        self._square = after
        self._forcing.tighten(after / before)
        if problem.constant_couplings:
            self._forcing.trust()
        if math.isnan(self._remainder.ratio):
            self._verified, state.decrement = False, math.nan
            return
        self._remainder.learn()
        if self._metric.is_diagonal:
            self._remainder.known = max(self._remainder.known, self._metric.gain_alike(state.gradient) / after)
        state.decrement = self._care * after * self._remainder.known

    @property
    def _care(self) -> float:
        """How many times what the largest ratio says is taken to be left to gain."""
        return _SAFER if self._metric.is_diagonal else _SAFE

    def _after_failure(self, state: State) -> None:
        """No step along the model's minimiser: once more with all that was learnt forgotten, or give up."""
        if self._failed:
            state.status = Status.LINE_SEARCH_FAILED
            return
        self._radius, self._stale, self._model = math.inf, True, None
        self._forcing.loosen()
        self._failed = True
        state.note = "preconditioner refreshed after a failed step"

    # ------------------------------------------------------------------ saddle points

    def _nearly_there(self, state: State) -> bool:
        """Whether a stopping rule may soon be content."""
        return (
            state.decrement <= 1e-8 * abs(state.energy)
            or state.gradient_norm <= 1e-5 * self._first_norm
            or state.gradient_norm == 0.0
        )

    def _finish(self, problem: Problem, state: State, model: Model) -> None:
        """The gradient is zero: leave if this is a saddle point, else this is the end."""
        state.decrement = 0.0
        if not self.check_saddle or not self._leave_saddle(problem, state, model):
            state.status = Status.CONVERGED

    def _leave_saddle(self, problem: Problem, state: State, model: Model) -> bool:
        """Look for negative curvature and follow it; whether the point was left."""
        self._verified = True
        inverse, diagonal, hessian = self.preconditioner, model.diagonal, model.hessian
        if inverse is not None and diagonal is not None and inverse.is_convex(diagonal):
            return False
        if hessian is not None and is_diagonally_dominant(hessian.indptr, hessian.indices, hessian.data):
            return False
        radius, self._radius = self._radius, math.inf

        def solve(b: FloatArray, z: FloatArray, tolerance: float, flat: float) -> Steihaug:
            self._run(problem, model.quadratic(), b, z, tolerance, flat=flat)
            return self._solver

        left = leave_saddle(problem, state, self._search, self._metric, solve)
        self._radius = radius
        if not left:
            return False
        self._verified, self._model, self._radius = False, None, math.inf
        self._forcing.loosen()
        state.decrement, state.note = math.nan, "left a saddle point along negative curvature"
        return True

    def remark(self) -> str:
        """How it began, whether the preconditioner was built, and when."""
        built = ""
        if self.preconditioner is not None and self.preconditioner.name != "jacobi":
            name = self.preconditioner.name
            if self._metric.waiting:
                built = f"the diagonal sufficed, no {name} was built"
            elif self._watch.spent == 0:
                built = f"{name} built at once"
            else:
                built = f"{name} built after {self._watch.spent} inner iterations with the diagonal"
        return ", ".join(filter(None, (self._opened, built)))

    # ------------------------------------------------------------------ checkpoints

    def export(self, state: State) -> dict[str, Any]:
        """Radius, forcing term, P^-1 g and the points that the preconditioner was built at."""
        return {
            "radius": self._radius, "eta": self._forcing.eta, "mismatch": self._forcing.mismatch,
            "known": self._remainder.known, "depth": self._remainder.depth,
            "ratio": self._remainder.ratio, "length": self._remainder.length,
            "rate": self._watch.rate, "spent": self._watch.spent, "surveyed": self._watch.surveyed,
            "pace": self._watch.pace,
            "square": self._square, "stale": self._stale, "verified": self._verified, "failed": self._failed,
            "indefinite": self._indefinite, "ahead": self._ahead, "opening": self._opening, "opened": self._opened,
            "poor": self._poor, "first_norm": self._first_norm, "has_model": self._model is not None,
            "light": self._model is not None and self._model.diagonal is not None, "z": self._z.copy(),
            "noise": self._search.noise, "scale": self._search.scale, **self._metric.export(),
        }  # fmt: skip

    def restore(self, problem: Problem, state: State, saved: Mapping[str, Any]) -> None:
        """Take everything back, rebuild the preconditioner and the model."""
        state.theta, state.gradient = np.array(state.theta), np.array(state.gradient)
        self._prepare(problem, state)
        self._metric.restore(problem, saved)
        self._radius = float(saved["radius"])
        self._forcing.eta, self._forcing.mismatch = float(saved["eta"]), float(saved["mismatch"])
        self._remainder.known, self._remainder.depth = float(saved["known"]), int(saved["depth"])
        self._remainder.ratio, self._remainder.length = float(saved["ratio"]), int(saved["length"])
        self._watch.rate, self._watch.spent = float(saved["rate"]), int(saved["spent"])
        self._square, self._stale = float(saved["square"]), bool(saved["stale"])
        self._verified, self._failed = bool(saved["verified"]), bool(saved["failed"])
        self._indefinite, self._poor = bool(saved["indefinite"]), int(saved["poor"])
        self._ahead = bool(saved["ahead"])
        self._opening, self._opened = bool(saved["opening"]), str(saved["opened"])
        self._watch.surveyed, self._watch.pace = bool(saved["surveyed"]), float(saved["pace"])
        self._first_norm = float(saved["first_norm"])
        self._search.noise, self._search.scale = float(saved["noise"]), float(saved["scale"])
        self._z[:] = saved["z"]
        counts = problem.counts.hessian
        model = self._linearise(problem, state, light=False)  # the couplings of a light one are taken from it
        if bool(saved["has_model"]):
            self._model = self._linearise(problem, state, light=True) if bool(saved["light"]) else model
            self._expand(problem, state, self._model)
        problem.counts.hessian = counts
