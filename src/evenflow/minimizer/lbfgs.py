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
from evenflow.minimizer.line_search import LineSearch
from evenflow.minimizer.linear_algebra import dot, lbfgs_direction, store_pair
from evenflow.minimizer.metric import Metric, Source
from evenflow.minimizer.problem import Problem
from evenflow.preconditioner.base import Preconditioner
from evenflow.status import Status

__all__ = ["LBFGS"]

_FLAT = 1e-14  # smallest cosine between s and y that is not taken for round-off


@dataclass
class _Pairs:
    """The last displacements s, changes of the gradient y and z = P^-1 y, in rings of m rows.

    ``Z`` is ``Y`` where nothing is preconditioned. Keeping z costs memory, and saves every application of P
    but one for each step: P^-1 (g - sum a_k y_k) = P^-1 g - sum a_k z_k.
    """

    S: FloatArray
    Y: FloatArray
    Z: FloatArray
    sy: FloatArray
    zy: FloatArray
    newest: int = -1
    count: int = 0

    @classmethod
    def empty(cls, memory: int, size: int, *, own_z: bool) -> _Pairs:
        """Room for ``memory`` pairs."""
        S, Y = np.zeros((memory, size)), np.zeros((memory, size))
        Z = np.zeros((memory, size)) if own_z else Y
        return cls(S, Y, Z, np.zeros((memory, memory)), np.zeros((memory, memory)))


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
    source : {"curvature", "hessian"}
        The matrix that the preconditioner stands for. "curvature": ``energy.curvature()``, built once.
        "hessian": the Hessian at the first step, built again when it has drifted.
    drift : float
        With "hessian": rebuild when the Hessian's diagonal has changed by more than this fraction (1-norm)
        since the last rebuild. The pairs are dropped then.
    check_every : int
        With "hessian": steps after which the drift is measured.

    References
    ----------
    .. [1] J. Nocedal, S. Wright, "Numerical Optimization", 2nd edition, 2006, algorithms 7.4 and 7.5.

    Examples
    --------
    >>> from evenflow.minimizer import LBFGS
    >>> LBFGS(memory=5)
    LBFGS(memory=5, preconditioner=None, source='curvature', drift=0.5, check_every=10)
    """

    memory: int = 10
    preconditioner: Preconditioner | None = None
    source: Source = "curvature"
    drift: float = 0.5
    check_every: int = 10

    name: ClassVar[str] = "lbfgs"
    monotone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise InputError(f"memory={self.memory}: expected at least one pair")
        if self.source not in ("curvature", "hessian"):
            raise InputError(f"source={self.source!r}: expected 'curvature' or 'hessian'")
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
        own_z = self.preconditioner is not None
        self._pairs = _Pairs.empty(self.memory, problem.size, own_z=own_z)
        self._direction = np.empty(problem.size)
        self._gamma, self._age = 0.0, 0
        self._pg = np.empty(problem.size) if own_z else state.gradient
        self._spare = np.empty(problem.size) if own_z else self._search.gradient

    def step(self, problem: Problem, state: State) -> None:
        """Search along the L-BFGS direction; on failure once more along the preconditioned gradient."""
        if state.gradient_norm == 0.0:
            state.status = Status.CONVERGED
            return
        if self._gamma == 0.0:
            self._rebuild(problem, state)
        elif self._metric.source == "hessian" and self._age >= self.check_every:
            self._check_drift(problem, state)
        length = self._search_along(problem, state)
        while length == 0.0:
            if not self._simplify(problem, state):
                state.status = Status.LINE_SEARCH_FAILED
                return
            length = self._search_along(problem, state)
        self._age += 1
        self._store(problem, state, length)

    def _search_along(self, problem: Problem, state: State) -> float:
        """Length of the step taken along the current direction, 0.0 if there is none."""
        pairs, pg = self._pairs, self._pg
        slope = lbfgs_direction(
            pairs.S, pairs.Y, pairs.Z, state.gradient, pg, pairs.sy, pairs.zy, pairs.newest, pairs.count, self._gamma,
            self._direction,
        )  # fmt: skip
        if not (slope < 0 and math.isfinite(slope)):
            return 0.0
        return self._search(problem, state, self._direction, slope, 1.0)

    def _simplify(self, problem: Problem, state: State) -> bool:
        """After a failure: drop the pairs, then the preconditioner; False if there is nothing left to drop."""
        if self._pairs.count > 0:
            self._pairs.count = 0
            state.note = "pairs dropped after a failed line search"
        elif not self._metric.is_diagonal:
            self._give_up_metric(problem, state)
        else:
            return False
        self._gamma = self._search.first_scale(problem, state, self._pg)
        return True

    def _store(self, problem: Problem, state: State, length: float) -> None:
        """Keep the pair of the step just taken, if its curvature is positive."""
        pairs, old = self._pairs, self._search.gradient
        slot = (pairs.newest + 1) % self.memory
        if self.preconditioner is None:
            new_z, old_z = state.gradient, old
        else:
            new_z, old_z = self._metric.apply(problem, state.gradient, self._spare), self._pg
        sy, ss, yy, yz = store_pair(
            self._direction, length, state.gradient, old, new_z, old_z, pairs.S[slot], pairs.Y[slot], pairs.Z[slot]
        )
        if sy > _FLAT * math.sqrt(ss * yy) and yz > 0:
            pairs.newest, pairs.count = slot, min(pairs.count + 1, self.memory)
            self._gamma = sy / yz
        elif pairs.count == self.memory:  # the slot written to was the oldest pair
            pairs.count -= 1
        self._pg, self._spare = new_z, old_z

    def _rebuild(self, problem: Problem, state: State) -> None:
        """Build the preconditioner here and begin anew."""
        if not self._metric.is_identity:
            self._metric.refresh(problem, state.theta)
            self.setup_seconds = self._metric.seconds
            self._metric.apply(problem, state.gradient, self._pg)
            state.note = self._metric.note
            if not dot(state.gradient, self._pg) > 0:
                self._give_up_metric(problem, state)
        self._pairs.count, self._age = 0, 0
        self._gamma = self._search.first_scale(problem, state, self._pg)

    def _give_up_metric(self, problem: Problem, state: State) -> None:
        """Go on with the diagonal."""
        self._metric.fall_back()
        self._metric.apply(problem, state.gradient, self._pg)
        state.note = self._metric.note

    def _check_drift(self, problem: Problem, state: State) -> None:
        """Rebuild if the Hessian is no longer the one that the preconditioner was built for."""
        self._age = 0
        if self._metric.is_identity or not problem.has_hessian:
            return
        if self._metric.drift(problem.hessian(state.theta)) > self.drift:
            self._rebuild(problem, state)

    def export(self, state: State) -> dict[str, Any]:
        """Pairs, scale and the points that the preconditioner was built at."""
        pairs = self._pairs
        saved: dict[str, Any] = {
            "S": pairs.S.copy(), "Y": pairs.Y.copy(), "sy": pairs.sy.copy(), "zy": pairs.zy.copy(),
            "newest": pairs.newest, "count": pairs.count, "gamma": self._gamma, "age": self._age,
            "noise": self._search.noise, "scale": self._search.scale, **self._metric.export(),
        }  # fmt: skip
        if self.preconditioner is not None:
            saved |= {"Z": pairs.Z.copy(), "pg": self._pg.copy()}
        return saved

    def restore(self, problem: Problem, state: State, saved: Mapping[str, Any]) -> None:
        """Take everything back and rebuild the preconditioner."""
        state.theta, state.gradient = np.array(state.theta), np.array(state.gradient)
        self._prepare(problem, state)
        for name in ("S", "Y", "sy", "zy"):
            getattr(self._pairs, name)[:] = saved[name]
        self._pairs.newest, self._pairs.count = int(saved["newest"]), int(saved["count"])
        self._gamma, self._age = float(saved["gamma"]), int(saved["age"])
        self._search.noise, self._search.scale = float(saved["noise"]), float(saved["scale"])
        if self.preconditioner is not None:
            self._pairs.Z[:], self._pg[:] = saved["Z"], saved["pg"]
            self._metric.restore(problem, saved)
