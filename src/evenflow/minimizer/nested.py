"""Nested iteration as a step: from the coarsest level up, whatever the start."""

from __future__ import annotations

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.minimizer.problem import Problem
from evenflow.preconditioner.base import Preconditioner

__all__ = ["nested_step"]

_STILL = 1e-8  # of the largest change: round-off of the mean


def nested_step(problem: Problem, theta: FloatArray, preconditioner: Preconditioner) -> FloatArray | None:
    """Step to where nested iteration comes from the mean of ``theta``, fixed nodes where they are.

    A convex energy keeps nothing of its start. What is rough in it would cost as many cycles to remove as the minimum
    to find; the mean has nothing rough.

    Parameters
    ----------
    problem : Problem
        With constant couplings.
    theta : ndarray, shape (size,)
    preconditioner : Preconditioner
        Refreshed for the couplings alone.

    Returns
    -------
    ndarray of shape (size,) or None
        None where the energy may not be convex.
    """
    free = problem.energy.free_mask().ravel()
    mean = np.where(free, theta.mean(where=free), theta)
    gradient = problem.value_and_gradient(mean)[1]
    step = preconditioner.nest(gradient, problem.hessian_diagonal(mean), *problem.diagonal_series(mean))
    if step is None:
        return None
    moved = np.abs(step) > _STILL * np.abs(step).max()  # a component that nothing holds stays, and keeps its own mean
    return np.where(moved, mean + step - theta, 0.0)
