"""Saddle points: looking for negative curvature, and following it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.minimizer.base import State
from evenflow.minimizer.line_search import LineSearch
from evenflow.minimizer.linear_algebra import move
from evenflow.minimizer.metric import Metric
from evenflow.minimizer.problem import Problem
from evenflow.minimizer.steihaug import End, Steihaug

__all__ = ["leave_saddle"]

_LEVEL = 1e-10  # curvature, against the largest, that is neither up nor down
_TOLERANCE = 1e-3  # of the residual: conjugate gradients have met every mode that counts by then


def leave_saddle(
    problem: Problem,
    state: State,
    search: LineSearch,
    metric: Metric,
    solve: Callable[[FloatArray, FloatArray, float, float], Steihaug],
) -> bool:
    """Look for negative curvature at a point where the gradient is about zero, and follow it; whether it was left.

    Parameters
    ----------
    problem : Problem
    state : State
    search : LineSearch
    metric : Metric
        Preconditions the search for it.
    solve : callable
        ``solve(b, P^-1 b, tolerance, flat)``: conjugate gradients for H x = -b, which end at a curvature below ``flat``
        times the largest.
    """
    b = _probe(problem)
    solver = solve(b, metric.apply(problem, b, np.empty_like(b)), _TOLERANCE, _LEVEL)
    state.inner += solver.iterations
    if solver.end is not End.NEGATIVE or solver.curvature >= -_LEVEL * solver.largest * solver.square:
        return False
    return _descend(problem, state, search, solver.direction.copy(), solver.curvature)


def _probe(problem: Problem) -> FloatArray:
    """A fixed right-hand side with a part along every mode, zero where the state is fixed."""
    b = np.random.default_rng(0).standard_normal(problem.size)
    if problem.is_identity:
        b[~problem.energy.free_mask().ravel()] = 0.0
    return b


def _descend(problem: Problem, state: State, search: LineSearch, d: FloatArray, curvature: float) -> bool:
    """Follow +d or -d, whichever is lower, in growing steps while the energy falls; whether any step was taken.

    Parameters
    ----------
    problem : Problem
    state : State
        Moved to the lowest point found.
    search : LineSearch
        Whose estimate of round-off counts, and which makes the point the state.
    d : ndarray
        A direction of negative curvature.
    curvature : float
        d . H d.
    """
    base = max(abs(state.energy), search.scale)
    step = math.sqrt(1e-6 * max(base, 1e-300) / abs(curvature))
    trial = np.empty_like(state.theta)

    def energy_at(length: float) -> float:
        move(state.theta, d, length, trial)
        value = problem.value(trial)
        return value if math.isfinite(value) else math.inf

    for _ in range(30):
        ahead, back = energy_at(step), energy_at(-step)
        if min(ahead, back) < state.energy - search.noise:
            break
        step *= 0.25
    else:
        return False
    step = step if ahead <= back else -step
    lowest = min(ahead, back)
    while abs(step) < 1e12:
        further = energy_at(2.0 * step)
        if further >= lowest:
            break
        step, lowest = 2.0 * step, further
    search.accept(state, search.evaluate(problem, state, d, step)[1])
    return True
