"""Level-set teleportation: to a larger gradient along a level set, without any group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from evenflow.teleport.search import SearchOptions

__all__ = ["LevelSetResult", "SmoothFunction", "climb_level_set"]

SHRINK, GROW, TRIES, CORRECTIONS = 0.5, 2.0, 25, 12
STATIONARY = 1e-6


class SmoothFunction(Protocol):
    """A function of a flat vector (NumPy or torch) with Hessian-vector products."""

    def value_and_gradient(self, x: Any) -> tuple[float, Any]:
        """Value and gradient at x."""

    def hvp(self, x: Any, v: Any) -> Any:
        """Hessian at x times v."""


@dataclass
class LevelSetResult:
    """Where the climb ended."""

    x: Any
    value: float
    gradient: Any
    steps: int
    distance: float
    evaluations: int
    reason: str


def climb_level_set(function: SmoothFunction, x0: Any, options: SearchOptions) -> LevelSetResult:
    r"""Raise log |grad f| along the level set of f through x0.

    With g = grad f the derivative of log |g| is q = H g / |g|^2, one Hessian-vector product. A step follows the part
    of q that is tangent to the level set, then Newton corrections along the gradient bring f back to f(x0) within
    ``options.loss_tol``; it is taken if |g| grew, |g|^2 stays below ``max_gain`` times its first value and the loss is
    kept, otherwise it is halved. The first step aims at log |g| growing by ``options.step``, so that no length
    scale has to be guessed; later ones double after a success. In contrast to [1]_, whose iterates may fall into the
    sub-level set, the value is kept: what is gained is gained by the gradient alone.

    Parameters
    ----------
    function : SmoothFunction
        The function.
    x0 : array or Tensor, shape (n,)
        Where to start; not changed.
    options : SearchOptions
        ``inner_steps``, ``step``, ``max_gain`` and ``loss_tol`` are used.

    References
    ----------
    .. [1] "Level Set Teleportation: An Optimization Perspective", arXiv:2403.03362, 2024.
    """
    f0, g = function.value_and_gradient(x0)
    x, f, evaluations, steps, travelled = x0, f0, 1, 0, 0.0
    first = size = float(g @ g)
    gain_wanted, reason = options.step, "all inner steps were taken"
    while steps < options.inner_steps:
        if not (math.isfinite(size) and size > 0.0):
            reason = "the gradient vanishes or is not finite"
            break
        q = function.hvp(x, g) / size
        evaluations += 1
        tangent = q - (float(q @ g) / size) * g
        slope = float(tangent @ tangent)
        if not math.isfinite(slope) or slope * size <= STATIONARY**2 * max(1.0, float(q @ q) * size):
            reason = "the gradient norm is stationary on the level set"
            break
        taken = None
        for _ in range(TRIES):
            trial, f_trial, g_trial, spent = _return(
                function, x + (gain_wanted / slope) * tangent, f0, options.loss_tol
            )
            evaluations += spent
            size_trial = float(g_trial @ g_trial)
            kept = abs(f_trial - f0) <= options.loss_tol * max(abs(f0), 1e-300)
            if kept and size < size_trial <= options.max_gain * first:
                taken = trial, f_trial, g_trial, size_trial
                break
            gain_wanted *= SHRINK
        if taken is None:
            reason = "no further step raises the gradient below the cap with the loss kept"
            break
        moved = taken[0] - x
        travelled += math.sqrt(float(moved @ moved))
        x, f, g, size = taken
        gain_wanted = min(GROW * gain_wanted, options.step)
        steps += 1
    return LevelSetResult(x, f, g, steps, travelled, evaluations, reason)


def _return(function: SmoothFunction, x: Any, target: float, tolerance: float) -> tuple[Any, float, Any, int]:
    """Newton steps along the gradient until f(x) is the target again; gives up when they stop helping."""
    f, g = function.value_and_gradient(x)
    spent, goal = 1, 0.1 * tolerance * max(abs(target), 1e-300)
    for _ in range(CORRECTIONS):
        gap, size = f - target, float(g @ g)
        if not (math.isfinite(gap) and math.isfinite(size) and size > 0.0) or abs(gap) <= goal:
            break
        x_new = x - (gap / size) * g
        f_new, g_new = function.value_and_gradient(x_new)
        spent += 1
        if not abs(f_new - target) < abs(gap):
            break
        x, f, g = x_new, f_new, g_new
    return x, f, g, spent
