"""Level-set teleportation: to a larger gradient along a level set, without any group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from evenflow.teleport.search import STUCK, SearchOptions

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

    Examples
    --------
    >>> import numpy as np
    >>> class Ellipse:
    ...     def value_and_gradient(self, x):
    ...         return 0.5 * float(x @ (x * [1.0, 9.0])), x * [1.0, 9.0]
    ...     def hvp(self, x, v):
    ...         return v * [1.0, 9.0]
    >>> options = SearchOptions(inner_steps=30, step=0.3, normalize=True, max_gain=1e6, loss_tol=1e-9)
    >>> found = climb_level_set(Ellipse(), np.array([2.998, 0.05]), options)
    >>> np.abs(found.x).round(2).tolist()  # from the long axis to the end of the short one
    [0.0, 1.0]
    """
    f0, g = function.value_and_gradient(x0)
    first = float(g @ g)
    Hg = function.hvp(x0, g)
    result = LevelSetResult(x0, f0, g, 0, 0.0, 2, "all inner steps were taken")
    if not (math.isfinite(first) and first > 0.0):
        result.reason = "the gradient vanishes or is not finite"
        return result
    ceiling = max(options.max_curvature, float(g @ Hg) / first)
    gain_wanted = options.step
    while result.steps < options.inner_steps:
        g = result.gradient
        size = float(g @ g)
        q = Hg / size
        tangent = q - (float(q @ g) / size) * g
        slope = float(tangent @ tangent)
        if not math.isfinite(slope) or slope * size <= STATIONARY**2 * max(1.0, float(q @ q) * size):
            result.reason = "the gradient norm is stationary on the level set"
            break
        for _ in range(TRIES):
            x, f, g_new, spent = _return(function, result.x + (gain_wanted / slope) * tangent, f0, options.loss_tol)
            result.evaluations += spent
            new_size = float(g_new @ g_new)
            kept = abs(f - f0) <= options.loss_tol * max(abs(f0), 1e-300)
            if kept and size < new_size <= options.max_gain * first:
                Hg_new = function.hvp(x, g_new)  # the next step needs it anyway
                result.evaluations += 1
                if not float(g_new @ Hg_new) / new_size > ceiling:
                    break
            gain_wanted *= SHRINK
        else:
            result.reason = STUCK
            break
        moved = x - result.x
        result.distance += math.sqrt(float(moved @ moved))
        result.x, result.value, result.gradient, Hg = x, f, g_new, Hg_new
        gain_wanted = min(GROW * gain_wanted, options.step)
        result.steps += 1
    return result


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
