"""Opening: the first step of Newton's method where only terms of single nodes are not quadratic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.minimizer.metric import Metric
from evenflow.minimizer.problem import Problem

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["opening_step"]

_STILL = 1e-8  # of the largest change: round-off of the mean

_dense = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


def opening_step(
    problem: Problem, theta: FloatArray, metric: Metric, hessian: sp.csr_array
) -> tuple[FloatArray, float | None] | None:
    """Step to where nested iteration comes from the mean of ``theta``, fixed nodes where they are.

    A convex energy keeps nothing of its start. What is rough in it would cost as many cycles to remove as the minimum
    to find; the mean has nothing rough.

    Parameters
    ----------
    problem : Problem
        With constant couplings.
    theta : ndarray, shape (size,)
    metric : Metric
        Not built yet. If its preconditioner waits, there is nothing to nest on.
    hessian : csr_array
        At theta.

    Returns
    -------
    tuple of ndarray of shape (size,) and float or None, or None
        The step, which may lead up (a start may be better than what nested iteration finds), and the energy that the
        expansion foretells there, unless it is sure to. None where there is no such step.
    """
    preconditioner = metric.preconditioner
    if preconditioner is None or metric.waiting or not metric.build_couplings(problem, theta, hessian):
        return None
    mean = _level(problem, theta)
    energy, gradient = problem.value_and_gradient(mean)
    diagonal, third, fourth = problem.diagonal_series(mean)
    step = preconditioner.nest(gradient, diagonal, third, fourth)
    if step is None:
        return None
    foretold = None
    if not problem.quartic:
        foretold = energy + _change(gradient, problem.hvp(mean)(step), third, fourth, step)
    _begin_at(theta, mean, step)
    return step, foretold


@_dense
def _change(gradient, product, third, fourth, step):  # type: ignore[no-untyped-def]
    """Change of the energy to fourth order; ``product`` is H step."""
    total = 0.0
    for i in range(step.size):
        s = step[i]
        total += s * (gradient[i] + 0.5 * product[i] + s * s * (third[i] / 6.0 + s * fourth[i] / 24.0))
    return total


@_dense
def _spread_mean(theta, out):  # type: ignore[no-untyped-def]
    """Write the mean of theta everywhere."""
    total = 0.0
    for i in range(theta.size):
        total += theta[i]
    out[:] = total / theta.size


@_dense
def _begin_at(theta, mean, step):  # type: ignore[no-untyped-def]
    """Turn a step from the mean into one from theta.

    A component that nothing holds does not move, and keeps its own mean.
    """
    largest = 0.0
    for i in range(step.size):
        largest = max(largest, abs(step[i]))
    for i in range(step.size):
        step[i] = mean[i] + step[i] - theta[i] if abs(step[i]) > _STILL * largest else 0.0


def _level(problem: Problem, theta: FloatArray) -> FloatArray:
    """The mean everywhere but at fixed nodes."""
    if problem.energy.fixed is None:
        mean = np.empty(len(theta))
        _spread_mean(theta, mean)
        return mean
    free = problem.energy.free_mask().ravel()
    return np.where(free, theta.mean(where=free), theta)
