"""L-BFGS with any preconditioner as its initial inverse Hessian."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.lbfgs_kernel import advance
from evenflow.minimizer.line_search import LineSearch
from evenflow.minimizer.linear_algebra import dot
from evenflow.minimizer.metric import Metric, Source, check_source
from evenflow.minimizer.model import Model
from evenflow.minimizer.problem import Problem
from evenflow.minimizer.saddle import leave_saddle
from evenflow.minimizer.steihaug import Steihaug
from evenflow.preconditioner.base import Preconditioner
from evenflow.status import Status

__all__ = ["LBFGS"]

_NEAR = 1e-5  # of the largest gradient so far
_PROBES = 30  # iterations in search of negative curvature: more would cost as much as the descent


@dataclass
class LBFGS(Minimizer):
    """Limited-memory BFGS [1]_ with a strong Wolfe line search and an optional preconditioner.

    The initial inverse Hessian is gamma P^-1 with gamma = s.y / y.P^-1 y of the newest pair; before there is
    one, gamma comes from one extra gradient along P^-1 g. The first trial step is 1, taken without another
    evaluation if it satisfies the Wolfe conditions. A pair without positive curvature is not stored. One
    step costs one application of P and reads the pairs twice.

    Parameters
    ----------
    memory : int
        Number of pairs kept.
    preconditioner : Preconditioner, optional
    source : {"hessian", "products", "curvature"}
        The matrix that the preconditioner stands for. "hessian": the Hessian at the first step, built again when
        it has drifted. "products" (and "hessian", where there is no sparse one): the same with the curvature and a
        diagonal, fitted to a few products with the Hessian. "curvature": ``energy.curvature()``, built once.
    drift : float
        Rebuild when the diagonal of a Hessian, or of what stands for it, has changed by more than this fraction
        (1-norm) since the last rebuild, and not only by a factor. The pairs are dropped then.
    check_every : int
        Steps after which the drift is measured; twice as many after every time when there was none.
    check_saddle : bool
        When the gradient has fallen to 1e-5 of the largest so far, look for negative curvature, by at most 30
        iterations of conjugate gradients on a fixed pseudo-random right-hand side, and follow it (then again, counted
        from there): pairs know nothing of a direction that no gradient has a part along. What bends down only slightly
        beside the preconditioner may be missed.

    References
    ----------
    .. [1] J. Nocedal, S. Wright, "Numerical Optimization", 2nd edition, 2006, algorithms 7.4 and 7.5.

    Examples
    --------
    >>> from evenflow.minimizer import LBFGS
    >>> LBFGS(memory=5)
    LBFGS(memory=5, preconditioner=None, source='hessian', drift=0.5, check_every=10, check_saddle=False)
    """

    memory: int = 10
    preconditioner: Preconditioner | None = None
    source: Source = "hessian"
    drift: float = 0.5
    check_every: int = 10
    check_saddle: bool = False

    name: ClassVar[str] = "lbfgs"
    monotone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise InputError(f"memory={self.memory}: expected at least one pair")
        check_source(self.source)
        if not self.drift > 0:
            raise InputError(f"drift={self.drift}: expected a positive fraction")
        if self.check_every < 1:
            raise InputError(f"check_every={self.check_every}: expected at least 1")

    def init(self, problem: Problem, theta: FloatArray) -> State:
        """Evaluate the start; the preconditioner is built by the first step."""
        state = super().init(problem, theta)
        self._prepare(problem, state)
        return state

    def _prepare(self, problem: Problem, state: State) -> None:
        """Allocate everything."""
        self._metric = Metric(self.preconditioner, self.source)
        self._metric.check(problem)
        self.preconditioner = self._metric.preconditioner
        self._search = LineSearch()
        self._search.start(state)
        own = self.preconditioner is not None
        # z = P^-1 y is kept because it spares all applications of P but one for each step:
        # P^-1 (g - sum a_k y_k) = P^-1 g - sum a_k z_k
        self._pairs = np.zeros((3 if own else 2, self.memory, problem.size))
        self._gram = np.zeros((2, self.memory, self.memory))
        self._newest, self._count, self._gamma = -1, 0, 0.0
        self._direction, self._slope, self._age, self._due = np.zeros(problem.size), 0.0, 0, self.check_every
        self._pg = np.empty(problem.size) if own else state.gradient
        self._spare = np.empty(problem.size) if own else state.gradient
        self._peak, self._verified = 0.0, not (self.check_saddle and problem.has_hvp)

    def step(self, problem: Problem, state: State) -> None:
        """Search along the L-BFGS direction; on failure once more along the preconditioned gradient."""
        if state.gradient_norm == 0.0:
            state.status = Status.CONVERGED
            return
        if self._gamma == 0.0:
            self._rebuild(problem, state)
        elif self._age >= self._due and self.source != "curvature":
            self._check_drift(problem, state)
        length = self._search_along(problem, state)
        while length == 0.0:
            if not self._simplify(problem, state):
                state.status = Status.LINE_SEARCH_FAILED
                return
            length = self._search_along(problem, state)
        self._age += 1
        if state.gradient_norm > 0.0:
            self._advance(problem, state, length)

    def look_ahead(self, problem: Problem, state: State) -> None:
        """Make sure that it is not a saddle point which the descent is near to."""
        self._peak = max(self._peak, state.gradient_norm)
        if self._verified or state.steps == 0 or state.gradient_norm > _NEAR * self._peak:
            return
        self._verified = not self._leave_saddle(problem, state)
        if not self._verified:
            self._peak = 0.0
            self._begin_anew(problem, state)
            state.note = "left a saddle point along negative curvature"

    def _leave_saddle(self, problem: Problem, state: State) -> bool:
        """Whether there was one."""
        solver, metric = Steihaug(problem.size, _PROBES), self._metric
        if metric.is_identity:
            metric.refresh(problem, state.theta)

        def solve(b: FloatArray, z: FloatArray, tolerance: float, flat: float) -> Steihaug:
            model = Model(product=problem.hvp(state.theta))
            solver.solve(
                model, b, z, metric.inverse, lambda r, out: metric.apply(problem, r, out), flexible=metric.flexible,
                radius=math.inf, tolerance=tolerance, limit=_PROBES, flat=flat,
            )  # fmt: skip
            return solver

        return leave_saddle(problem, state, self._search, metric, solve)

    def _search_along(self, problem: Problem, state: State) -> float:
        """Length of the step taken along the current direction, 0.0 if there is none."""
        if not -math.inf < self._slope < 0.0:
            return 0.0
        return self._search(problem, state, self._direction, self._slope, 1.0)

    def _advance(self, problem: Problem, state: State, length: float) -> None:
        """Keep the pair of the step just taken, and turn to the next direction."""
        old = self._search.gradient
        if self.preconditioner is None:
            new_pg, old_pg = state.gradient, old
        else:
            new_pg, old_pg = self._metric.apply(problem, state.gradient, self._spare), self._pg
        self._slope, self._gamma, self._newest, self._count = advance(
            self._pairs, self._gram, self._direction, length, state.gradient, old, new_pg, old_pg,
            self._newest, self._count, self._gamma,
        )  # fmt: skip
        self._pg, self._spare = new_pg, old_pg

    def _simplify(self, problem: Problem, state: State) -> bool:
        """After a failure: drop the pairs, then the preconditioner; False if there is nothing left to drop."""
        if self._count > 0:
            state.note = "pairs dropped after a failed line search"
        elif not self._metric.is_diagonal:
            self._give_up_metric(problem, state)
        else:
            return False
        self._restart(problem, state)
        return True

    def _restart(self, problem: Problem, state: State) -> None:
        """Point along the preconditioned gradient, scaled to the least energy on that line."""
        self._count, self._age = 0, 0
        self._gamma = self._search.first_scale(problem, state, self._pg)
        np.multiply(self._pg, -self._gamma, out=self._direction)
        self._slope = dot(state.gradient, self._direction)

    def _rebuild(self, problem: Problem, state: State) -> None:
        """Build the preconditioner here and begin anew."""
        if not self._metric.is_identity:
            self._metric.refresh(problem, state.theta)
        self._begin_anew(problem, state)

    def _begin_anew(self, problem: Problem, state: State) -> None:
        """Drop the pairs, which belong to another preconditioner, or to another point."""
        self._due = self.check_every
        if self.preconditioner is None:
            self._pg = state.gradient
        else:
            self.setup_seconds = self._metric.seconds
            self._metric.apply(problem, state.gradient, self._pg)
            state.note = self._metric.note
            if not dot(state.gradient, self._pg) > 0:
                self._give_up_metric(problem, state)
        self._restart(problem, state)

    def _give_up_metric(self, problem: Problem, state: State) -> None:
        """Go on with the diagonal."""
        self._metric.fall_back()
        self._metric.apply(problem, state.gradient, self._pg)
        state.note = self._metric.note

    def _check_drift(self, problem: Problem, state: State) -> None:
        """Rebuild if the Hessian is no longer the one that the preconditioner was built for."""
        self._age = 0
        if self._metric.is_identity:
            return
        if self._metric.refresh_if_drifted(problem, state.theta, self.drift):
            self._begin_anew(problem, state)
        else:
            self._due *= 2

    def remark(self) -> str:
        """What preconditions it."""
        return "" if self.preconditioner is None else f"preconditioned by {self.preconditioner.name}"

    def export(self, state: State) -> dict[str, Any]:
        """Pairs, direction and the points that the preconditioner was built at."""
        saved: dict[str, Any] = {
            "pairs": self._pairs.copy(), "gram": self._gram.copy(), "newest": self._newest, "count": self._count,
            "gamma": self._gamma, "direction": self._direction.copy(), "slope": self._slope, "age": self._age,
            "due": self._due, "peak": self._peak, "verified": self._verified,
            "noise": self._search.noise, "scale": self._search.scale, **self._metric.export(),
        }  # fmt: skip
        if self.preconditioner is not None:
            saved["pg"] = self._pg.copy()
        return saved

    def restore(self, problem: Problem, state: State, saved: Mapping[str, Any]) -> None:
        """Take everything back and rebuild the preconditioner."""
        state.theta, state.gradient = np.array(state.theta), np.array(state.gradient)
        self._prepare(problem, state)
        self._pairs[:], self._gram[:], self._direction[:] = saved["pairs"], saved["gram"], saved["direction"]
        self._newest, self._count = int(saved["newest"]), int(saved["count"])
        self._age, self._due = int(saved["age"]), int(saved["due"])
        self._peak, self._verified = float(saved["peak"]), bool(saved["verified"])
        self._gamma, self._slope = float(saved["gamma"]), float(saved["slope"])
        self._search.noise, self._search.scale = float(saved["noise"]), float(saved["scale"])
        if self.preconditioner is not None:
            self._pg[:] = saved["pg"]
            self._metric.restore(problem, saved)
