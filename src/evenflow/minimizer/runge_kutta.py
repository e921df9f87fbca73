"""RungeKutta4: the gradient flow, integrated by the classical method of order four."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.linear_algebra import dot
from evenflow.minimizer.problem import Problem
from evenflow.status import Status

__all__ = ["RungeKutta4"]

_HALVINGS = 40
_ROUND_OFF = 1e-14  # relative change of the energy that is taken for none


@dataclass
class RungeKutta4(Minimizer):
    """The flow d theta / dt = -grad f(theta) by Runge-Kutta of order four [1]_.

    The default step is 2 / lambda_max, lambda_max being the largest Hessian eigenvalue in magnitude, which
    power iteration finds; the method is stable up to 2.785 / lambda_max [1]_. Curvature changes along the
    flow (a quartic bath far from its temperature is stiff at first), so lambda_max is found again every
    ``refresh`` steps. A step that raises the energy is halved until it does not, and stays so until the next
    refresh.

    Parameters
    ----------
    dt : float, optional
        Step in units of theta^2 / energy. By default 2 / lambda_max.
    refresh : int
        Steps after which dt is chosen again; 0 keeps that of the start.

    References
    ----------
    .. [1] E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II", 2nd ed., 1996, section IV.2.

    Examples
    --------
    >>> from evenflow.minimizer.runge_kutta import RungeKutta4
    >>> RungeKutta4(dt=0.1).monotone
    True
    """

    dt: float | None = None
    refresh: int = 50

    name: ClassVar[str] = "rk4"
    monotone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.dt is not None and not 0 < self.dt < math.inf:
            raise InputError(f"dt={self.dt!r}: expected a positive number")
        if self.refresh < 0:
            raise InputError(f"refresh={self.refresh!r}: expected a number of steps, 0 for never")

    def init(self, problem: Problem, theta: FloatArray) -> State:
        """Evaluate the start; the first step chooses dt."""
        state = super().init(problem, theta)
        state.memory = {"t": 0, "dt": 0.0}
        return state

    def step(self, problem: Problem, state: State) -> None:
        """Advance the flow by dt, or by the largest dt / 2^k that does not raise the energy."""
        memory = state.memory
        if memory["t"] == 0 or (self.refresh > 0 and memory["t"] % self.refresh == 0):
            memory["dt"] = self.dt or self._stable_step(problem, state)
        memory["t"] += 1
        for _ in range(_HALVINGS):
            with np.errstate(over="ignore", invalid="ignore"):  # too long a step is found out by its energy
                theta = self._advance(problem, state, memory["dt"])
                energy, gradient = problem.value_and_gradient(theta)
            if energy <= state.energy + _ROUND_OFF * abs(state.energy):
                state.theta, state.energy, state.gradient = theta, energy, np.array(gradient)
                state.gradient_norm = math.sqrt(dot(state.gradient, state.gradient))
                return
            memory["dt"] /= 2.0
        state.status = Status.LINE_SEARCH_FAILED
        state.note = "no step along the flow lowers the energy"

    @staticmethod
    def _stable_step(problem: Problem, state: State) -> float:
        """2 / lambda_max; 1 on a flat or infinitely steep spot, for the halving to correct."""
        curvature = largest_curvature(problem, state.theta, state.gradient)
        return 2.0 / curvature if 0 < curvature < math.inf else 1.0

    @staticmethod
    def _advance(problem: Problem, state: State, dt: float) -> FloatArray:
        """Theta after one step of the classical scheme."""
        theta, slope = state.theta, state.gradient
        total = slope.copy()
        for weight, reach in ((2.0, 0.5), (2.0, 0.5), (1.0, 1.0)):
            _, slope = problem.value_and_gradient(theta - reach * dt * slope)
            total += weight * slope
        return theta - dt / 6.0 * total


def largest_curvature(problem: Problem, theta: FloatArray, gradient: FloatArray, products: int = 20) -> float:
    """Largest Hessian eigenvalue in magnitude, from below, by power iteration.

    Parameters
    ----------
    problem : Problem
        Hessian products are taken from it, or from differences of gradients where it offers none.
    theta, gradient : ndarray, shape (size,)
        The point and its gradient.
    products : int
        Number of products.
    """
    product: Callable[[FloatArray], FloatArray]
    if problem.has_hvp:
        product = problem.hvp(theta)
    else:
        reach = 1e-6 * (1.0 + float(np.linalg.norm(theta)))

        def product(v: FloatArray) -> FloatArray:
            return (np.array(problem.value_and_gradient(theta + reach * v)[1]) - gradient) / reach

    v = np.random.default_rng(0).normal(size=theta.size)
    size = float(np.linalg.norm(v))
    for _ in range(products):
        v = product(v / size)
        size = float(np.linalg.norm(v))
        if not 0 < size < math.inf:
            break
    return size
