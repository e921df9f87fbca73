"""Opening: the first step of Newton's method where only terms of single nodes are not quadratic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.minimizer.metric import Metric
from evenflow.minimizer.problem import Problem
from evenflow.preconditioner.base import Preconditioner

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["opening_step"]

_STILL = 1e-8  # of the largest change: round-off of the mean


def opening_step(
    problem: Problem, theta: FloatArray, metric: Metric, hessian: sp.csr_array, sweeps: int
) -> tuple[FloatArray, str] | None:
    """A step that may lead far down, and what it is: nested iteration, or relaxation.

    Parameters
    ----------
    problem : Problem
        With constant couplings.
    theta : ndarray, shape (size,)
    metric : Metric
        Not built yet. If its preconditioner waits, there is nothing to nest on.
    hessian : csr_array
        At theta.
    sweeps : int
        Of relaxation; 0 for none.

    Returns
    -------
    tuple of ndarray of shape (size,) and str, or None
        The step may lead up: a start may be better than what nested iteration finds. None where there is no such step.
    """
    if metric.waiting or metric.preconditioner is None:
        if not (sweeps and problem.can_relax):
            return None
        return problem.relax(theta, sweeps) - theta, f"{sweeps} sweeps of relaxation"
    if not metric.build_couplings(problem, theta, hessian):
        return None
    step = _nest(problem, theta, metric.preconditioner)
    return None if step is None else (step, "nested iteration")


def _nest(problem: Problem, theta: FloatArray, preconditioner: Preconditioner) -> FloatArray | None:
    """Step to where nested iteration comes from the mean of ``theta``, fixed nodes where they are.

    A convex energy keeps nothing of its start. What is rough in it would cost as many cycles to remove as the minimum
    to find; the mean has nothing rough.
    """
    if problem.energy.fixed is None:
        mean = np.full_like(theta, theta.mean())
    else:
        free = problem.energy.free_mask().ravel()
        mean = np.where(free, theta.mean(where=free), theta)
    gradient = problem.value_and_gradient(mean)[1]
    step = preconditioner.nest(gradient, problem.hessian_diagonal(mean), *problem.diagonal_series(mean))
    if step is None:
        return None
    moved = np.abs(step) > _STILL * np.abs(step).max()  # a component that nothing holds stays, and keeps its own mean
    return np.where(moved, mean + step - theta, 0.0)
