"""First-order minimizers with compiled updates: Adam, RMSProp, SGD, AdaGrad, gradient descent."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.minimizer import update
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.linear_algebra import dot
from evenflow.minimizer.problem import Problem

__all__ = ["SGD", "AdaGrad", "Adam", "FirstOrder", "GradientDescent", "RMSProp"]


@dataclass
class FirstOrder(Minimizer):
    """A minimizer that needs one gradient a step and scales it entry by entry.

    One step updates theta from the gradient of the state and evaluates the energy at the new theta. The
    update rules are those of ``torch.optim`` [1]_, compiled into one pass over the parameters, and follow
    its trajectories to round-off.

    Parameters
    ----------
    lr : float
        Learning rate: in the units of theta for Adam, RMSProp and AdaGrad, which move an entry by about ``lr`` a step.
    lr_decay : float
        Factor on the learning rate after every step (1 keeps it constant).
    clip_value : float, optional
        Clamp every gradient entry to [-clip_value, clip_value] before the update.

    References
    ----------
    .. [1] A. Paszke et al., "PyTorch: An Imperative Style, High-Performance Deep Learning Library", NeurIPS 2019.
    """

    lr: float = 0.02
    lr_decay: float = 1.0
    clip_value: float | None = None

    buffers: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        _require(self.lr > 0 and math.isfinite(self.lr), "lr", self.lr, "a positive number")
        _require(0 < self.lr_decay <= 1, "lr_decay", self.lr_decay, "a factor in (0, 1]")
        _require(self.clip_value is None or self.clip_value > 0, "clip_value", self.clip_value, "a positive number")

    def init(self, problem: Problem, theta: FloatArray) -> State:
        """Evaluate the start; all moments are zero."""
        state = super().init(problem, theta)
        state.memory["t"] = 0
        for name in self._needed():
            state.memory[name] = np.zeros_like(theta)
        return state

    def step(self, problem: Problem, state: State) -> None:
        """Update theta from its gradient, then evaluate the energy there."""
        t = state.memory["t"] + 1
        state.memory["t"] = t
        lr = self.lr if self.lr_decay == 1.0 else self.lr * self.lr_decay ** (t - 1)
        self._update(state, t, lr, math.inf if self.clip_value is None else self.clip_value)
        state.energy, state.gradient = problem.value_and_gradient(state.theta, state.gradient)
        state.gradient_norm = math.sqrt(dot(state.gradient, state.gradient))

    def restore(self, problem: Problem, state: State, saved: Mapping[str, Any]) -> None:
        """Take back the moments, on copies that may be written to."""
        state.memory = {
            name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in saved.items()
        }

    def _needed(self) -> tuple[str, ...]:
        """Names of the moment vectors that these options need."""
        return self.buffers

    @abstractmethod
    def _update(self, state: State, t: int, lr: float, limit: float) -> None:
        """Move ``state.theta`` in place; ``t`` counts from 1."""


@dataclass
class Adam(FirstOrder):
    """Adam [1]_ with the update rule and the defaults of ``torch.optim.Adam``, except for ``lr``.

    Parameters
    ----------
    lr : float
        0.02 is what [2]_ uses for heat diffusion, 0.01 for Kuramoto.
    lr_decay, clip_value
        See :class:`FirstOrder`.
    beta1, beta2 : float
        Decay of the running mean of the gradient and of its square.
    eps : float
        Added to the root of the second moment.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
    .. [2] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024.

    Examples
    --------
    >>> from evenflow.minimizer.first_order import Adam
    >>> Adam(lr=0.01).beta2
    0.999
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    name: ClassVar[str] = "adam"
    buffers: ClassVar[tuple[str, ...]] = ("mean", "square")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.beta1 < 1, "beta1", self.beta1, "a number in [0, 1)")
        _require(0 <= self.beta2 < 1, "beta2", self.beta2, "a number in [0, 1)")
        _require(self.eps > 0, "eps", self.eps, "a positive number")

    def _update(self, state: State, t: int, lr: float, limit: float) -> None:
        update.adam(
            state.theta,
            state.gradient,
            state.memory["mean"],
            state.memory["square"],
            lr / (1.0 - self.beta1**t),
            self.beta1,
            self.beta2,
            math.sqrt(1.0 - self.beta2**t),
            self.eps,
            limit,
        )


@dataclass
class RMSProp(FirstOrder):
    """RMSProp [1]_ with the update rule and the defaults of ``torch.optim.RMSprop``.

    Parameters
    ----------
    lr, lr_decay, clip_value
        See :class:`FirstOrder`.
    alpha : float
        Decay of the running mean of the squared gradient.
    eps : float
        Added to the root of the second moment.
    momentum : float
        Momentum on the scaled gradient.

    References
    ----------
    .. [1] T. Tieleman, G. Hinton, "Lecture 6.5: RMSProp", Neural Networks for Machine Learning, 2012.
    """

    lr: float = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0

    name: ClassVar[str] = "rmsprop"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.alpha < 1, "alpha", self.alpha, "a number in [0, 1)")
        _require(self.eps > 0, "eps", self.eps, "a positive number")
        _require(0 <= self.momentum < 1, "momentum", self.momentum, "a number in [0, 1)")

    def _needed(self) -> tuple[str, ...]:
        return ("square", "velocity") if self.momentum else ("square",)

    def _update(self, state: State, t: int, lr: float, limit: float) -> None:
        theta, gradient, square = state.theta, state.gradient, state.memory["square"]
        if self.momentum:
            velocity = state.memory["velocity"]
            update.rmsprop_momentum(theta, gradient, square, velocity, lr, self.alpha, self.eps, self.momentum, limit)
        else:
            update.rmsprop(theta, gradient, square, lr, self.alpha, self.eps, limit)


@dataclass
class SGD(FirstOrder):
    """Gradient descent with momentum, by the update rule of ``torch.optim.SGD``.

    Parameters
    ----------
    lr, lr_decay, clip_value
        See :class:`FirstOrder`; here ``lr`` is in units of theta^2 / energy.
    momentum : float
        Weight of the last displacement.
    nesterov : bool
        Whether to look ahead along the momentum.
    """

    lr: float = 0.001
    momentum: float = 0.9
    nesterov: bool = False

    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.momentum < 1, "momentum", self.momentum, "a number in [0, 1)")
        _require(
            not self.nesterov or self.momentum > 0, "momentum", self.momentum, "a positive number with nesterov=True"
        )

    def _needed(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def _update(self, state: State, t: int, lr: float, limit: float) -> None:
        if self.momentum:
            velocity, ahead = state.memory["velocity"], float(self.nesterov)
            update.momentum(state.theta, state.gradient, velocity, lr, self.momentum, ahead, limit)
        else:
            update.sgd(state.theta, state.gradient, lr, limit)


@dataclass
class GradientDescent(FirstOrder):
    """Gradient descent with a fixed step.

    Parameters
    ----------
    lr, lr_decay, clip_value
        See :class:`FirstOrder`; ``lr`` is in units of theta^2 / energy, and stable below 2 / (largest Hessian
        eigenvalue).
    """

    lr: float = 0.001

    name: ClassVar[str] = "gradient-descent"

    def _update(self, state: State, t: int, lr: float, limit: float) -> None:
        update.sgd(state.theta, state.gradient, lr, limit)


@dataclass
class AdaGrad(FirstOrder):
    """AdaGrad [1]_ with the update rule and the defaults of ``torch.optim.Adagrad``.

    Parameters
    ----------
    lr, lr_decay, clip_value
        See :class:`FirstOrder`.
    eps : float
        Added to the root of the summed squares.

    References
    ----------
    .. [1] J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
       Optimization", JMLR 12, 2011, eq. 1.
    """

    lr: float = 0.01
    eps: float = 1e-10

    name: ClassVar[str] = "adagrad"
    buffers: ClassVar[tuple[str, ...]] = ("total",)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.eps > 0, "eps", self.eps, "a positive number")

    def _update(self, state: State, t: int, lr: float, limit: float) -> None:
        update.adagrad(state.theta, state.gradient, state.memory["total"], lr, self.eps, limit)


def _require(fits: bool, name: str, value: object, expected: str) -> None:
    """Refuse an option out of its range."""
    if not fits:
        raise InputError(f"{name}={value!r}: expected {expected}")
