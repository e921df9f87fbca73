"""Preconditioned nonlinear conjugate gradients."""

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
from evenflow.minimizer.linear_algebra import cg_direction, change_products, dot, slopes
from evenflow.minimizer.metric import Metric, Source, check_source
from evenflow.minimizer.problem import Problem
from evenflow.preconditioner.base import Preconditioner
from evenflow.status import Status

__all__ = ["NonlinearCG"]

_ETA = 0.4  # the truncation of beta in [2]_


@dataclass
class NonlinearCG(Minimizer):
    """Nonlinear conjugate gradients with the update of Hager and Zhang [1]_, [2]_ and any preconditioner.

    Keeps three vectors besides the state (five with a preconditioner), whatever the number of steps. Starts
    anew from the preconditioned gradient where the direction is not one of descent.

    Parameters
    ----------
    preconditioner : Preconditioner, optional
    source : {"hessian", "products", "curvature"}
        The matrix that the preconditioner stands for: the Hessian at the first step, the curvature and a diagonal
        fitted to a few products with it (so does "hessian", where there is no sparse one), or ``energy.curvature()``.
    curvature : float
        Constant of the slope condition of the line search: the smaller, the more exact.

    References
    ----------
    .. [1] W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line
       search", SIAM J. Optim. 16, 2005, eq. 1.3.
    .. [2] W. Hager, H. Zhang, "The limited memory conjugate gradient method", SIAM J. Optim. 23, 2013, eq. 2.7.

    Examples
    --------
    >>> from evenflow.minimizer import NonlinearCG
    >>> NonlinearCG()
    NonlinearCG(preconditioner=None, source='hessian', curvature=0.1)
    """

    preconditioner: Preconditioner | None = None
    source: Source = "hessian"
    curvature: float = 0.1

    name: ClassVar[str] = "ncg"
    monotone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_source(self.source)
        if not 1e-4 < self.curvature < 1:
            raise InputError(f"curvature={self.curvature}: expected a number in (1e-4, 1)")

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
        self._search = LineSearch(curvature=self.curvature)
        self._search.start(state)
        self._d = np.zeros(problem.size)
        self._length, self._slope = 0.0, 0.0
        own = self.preconditioner is not None
        self._z = np.empty(problem.size) if own else state.gradient
        self._z_old = np.empty(problem.size) if own else self._search.gradient
        self._Pd = np.zeros(problem.size) if own else self._d

    def step(self, problem: Problem, state: State) -> None:
        """Search along the conjugate direction; on failure once more along the preconditioned gradient."""
        if state.gradient_norm == 0.0:
            state.status = Status.CONVERGED
            return
        if self._length == 0.0:
            if not self._metric.is_identity:
                self._metric.refresh(problem, state.theta)
                self.setup_seconds, state.note = self._metric.seconds, self._metric.note
                self._metric.apply(problem, state.gradient, self._z)
            self._restart(problem, state)
        if not self._search_along(problem, state):
            if not self._metric.is_diagonal:
                self._metric.fall_back()
                self._metric.apply(problem, state.gradient, self._z)
                state.note = self._metric.note
            self._restart(problem, state)
            if not self._search_along(problem, state):
                state.status = Status.LINE_SEARCH_FAILED
                return
        if state.gradient_norm > 0.0:
            self._turn(problem, state)

    def _restart(self, problem: Problem, state: State) -> None:
        """Point along the preconditioned gradient, the first trial at the least energy on that line."""
        cg_direction(self._z, 0.0, self._d)
        if self._Pd is not self._d:
            cg_direction(state.gradient, 0.0, self._Pd)
        self._slope = slopes(state.gradient, self._d)[0]
        self._length = self._search.first_scale(problem, state, self._z)

    def _search_along(self, problem: Problem, state: State) -> bool:
        """Take a step along the direction, if there is one."""
        if not self._slope < 0:
            return False
        length = self._search(problem, state, self._d, self._slope, self._length)
        if length > 0:
            self._length = length
        return length > 0

    def _turn(self, problem: Problem, state: State) -> None:
        """Next direction and first trial step."""
        old = self._search.gradient
        if self.preconditioner is None:
            z, z_old = state.gradient, old
        else:
            z, z_old = self._metric.apply(problem, state.gradient, self._z_old), self._z
        dy, yz, ypy, dg = change_products(state.gradient, old, z, z_old, self._d)
        self._z, self._z_old = z, z_old
        before = self._slope
        beta = 0.0
        if dy > 0:
            beta = max((yz - 2.0 * ypy * dg / dy) / dy, _ETA * before / dot(self._d, self._Pd))
        cg_direction(z, beta, self._d)
        if self._Pd is not self._d:
            cg_direction(state.gradient, beta, self._Pd)
        self._slope = slopes(state.gradient, self._d)[0]
        if not (self._slope < 0 and math.isfinite(self._slope)):
            self._restart(problem, state)
        else:
            self._length *= min(max(before / self._slope, 0.1), 10.0)

    def export(self, state: State) -> dict[str, Any]:
        """Direction, step length and the point that the preconditioner was built at."""
        saved: dict[str, Any] = {
            "d": self._d.copy(), "length": self._length, "slope": self._slope,
            "noise": self._search.noise, "scale": self._search.scale, **self._metric.export(),
        }  # fmt: skip
        if self.preconditioner is not None:
            saved |= {"z": self._z.copy(), "Pd": self._Pd.copy()}
        return saved

    def restore(self, problem: Problem, state: State, saved: Mapping[str, Any]) -> None:
        """Take everything back and rebuild the preconditioner."""
        state.theta, state.gradient = np.array(state.theta), np.array(state.gradient)
        self._prepare(problem, state)
        self._d[:] = saved["d"]
        self._length, self._slope = float(saved["length"]), float(saved["slope"])
        self._search.noise, self._search.scale = float(saved["noise"]), float(saved["scale"])
        if self.preconditioner is not None:
            self._z[:], self._Pd[:] = saved["z"], saved["Pd"]
            self._metric.restore(problem, saved)
