"""Fused update rules of the first-order minimizers: one pass over the parameters for each step.

The arithmetic is that of ``torch.optim``, entry by entry. ``error_model="numpy"`` lets the compiler drop the
tests for division by zero, without which the loops are not vectorised.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from evenflow.energy.base import FloatArray

__all__ = ["adagrad", "adam", "momentum", "rmsprop", "rmsprop_momentum", "sgd"]

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _clamp(g: float, limit: float) -> float:
    """Clamp g to [-limit, limit]; nan passes."""
    if g > limit:
        return limit
    if g < -limit:
        return -limit
    return g


@_compiled
def adam(
    theta: FloatArray,
    gradient: FloatArray,
    mean: FloatArray,
    square: FloatArray,
    step_size: float,
    beta1: float,
    beta2: float,
    root_correction: float,
    eps: float,
    limit: float,
) -> None:
    """Adam: ``step_size`` is lr / (1 - beta1^t), ``root_correction`` is sqrt(1 - beta2^t)."""
    for i in range(theta.size):
        g = _clamp(gradient[i], limit)
        m = mean[i] + (1.0 - beta1) * (g - mean[i])
        v = beta2 * square[i] + (1.0 - beta2) * g * g
        mean[i] = m
        square[i] = v
        theta[i] -= step_size * m / (np.sqrt(v) / root_correction + eps)


@_compiled
def rmsprop(
    theta: FloatArray,
    gradient: FloatArray,
    square: FloatArray,
    lr: float,
    alpha: float,
    eps: float,
    limit: float,
) -> None:
    """RMSProp without momentum."""
    for i in range(theta.size):
        g = _clamp(gradient[i], limit)
        v = alpha * square[i] + (1.0 - alpha) * g * g
        square[i] = v
        theta[i] -= lr * g / (np.sqrt(v) + eps)


@_compiled
def rmsprop_momentum(
    theta: FloatArray,
    gradient: FloatArray,
    square: FloatArray,
    velocity: FloatArray,
    lr: float,
    alpha: float,
    eps: float,
    mu: float,
    limit: float,
) -> None:
    """RMSProp with momentum mu on the scaled gradient."""
    for i in range(theta.size):
        g = _clamp(gradient[i], limit)
        v = alpha * square[i] + (1.0 - alpha) * g * g
        b = mu * velocity[i] + g / (np.sqrt(v) + eps)
        square[i] = v
        velocity[i] = b
        theta[i] -= lr * b


@_compiled
def sgd(theta: FloatArray, gradient: FloatArray, lr: float, limit: float) -> None:
    """Plain gradient descent."""
    for i in range(theta.size):
        theta[i] -= lr * _clamp(gradient[i], limit)


@_compiled
def momentum(
    theta: FloatArray,
    gradient: FloatArray,
    velocity: FloatArray,
    lr: float,
    mu: float,
    ahead: float,
    limit: float,
) -> None:
    """Heavy-ball momentum; ``ahead`` is 1 for Nesterov's look-ahead and 0 without it."""
    for i in range(theta.size):
        g = _clamp(gradient[i], limit)
        b = mu * velocity[i] + g
        velocity[i] = b
        theta[i] -= lr * (ahead * (g + mu * b) + (1.0 - ahead) * b)


@_compiled
def adagrad(theta: FloatArray, gradient: FloatArray, total: FloatArray, lr: float, eps: float, limit: float) -> None:
    """AdaGrad."""
    for i in range(theta.size):
        g = _clamp(gradient[i], limit)
        s = total[i] + g * g
        total[i] = s
        theta[i] -= lr * g / (np.sqrt(s) + eps)
