"""Activations: which are bijections, which are positively homogeneous, and two bijective extensions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import nn

from evenflow.errors import InputError

__all__ = ["ExtendedSigmoid", "ExtendedTanh", "inverse_of", "is_homogeneous", "is_linear"]

Map = Callable[[torch.Tensor], torch.Tensor]

LINEAR = (nn.Identity,)
HOMOGENEOUS = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.PReLU)


class _Extended(nn.Module, ABC):
    """A sigmoidal function continued beyond +-x0 by its tangent, which makes it a bijection of the real line."""

    def __init__(self, x0: float) -> None:
        super().__init__()
        if not 0.0 < x0 <= 8.0:
            raise InputError(f"x0 = {x0!r}, expected in (0, 8]: beyond it the tangent is too flat to be inverted")
        self.x0 = float(x0)

    @abstractmethod
    def _inner(self, z: torch.Tensor) -> torch.Tensor:
        """The function between -x0 and x0."""

    @abstractmethod
    def _inner_inverse(self, h: torch.Tensor) -> torch.Tensor:
        """Its inverse, for values that it takes there."""

    @abstractmethod
    def _edge(self) -> tuple[float, float, float]:
        """Values at -x0 and x0, and the slope there."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """The function, elementwise."""
        low, high, slope = self._edge()
        inner = self._inner(z.clamp(-self.x0, self.x0))
        outer = torch.where(z > 0, high + slope * (z - self.x0), low + slope * (z + self.x0))
        return torch.where(z.abs() <= self.x0, inner, outer)

    def inverse(self, h: torch.Tensor) -> torch.Tensor:
        """The inverse function, elementwise, for any real number."""
        low, high, slope = self._edge()
        inner = self._inner_inverse(h.clamp(low, high))
        outer = torch.where(h > high, self.x0 + (h - high) / slope, -self.x0 + (h - low) / slope)
        return torch.where((h >= low) & (h <= high), inner, outer)

    def extra_repr(self) -> str:
        return f"x0={self.x0}"


class ExtendedTanh(_Extended):
    """tanh, continued beyond +-x0 by its tangent line.

    Parameters
    ----------
    x0 : float
        Where the tangent takes over; 2 by default (slope 0.07).

    Raises
    ------
    InputError
        If x0 is not in (0, 8].

    Examples
    --------
    >>> import torch
    >>> act = ExtendedTanh()
    >>> bool(torch.allclose(act.inverse(act(torch.tensor([-5.0, 0.3, 2.0, 9.0]))), torch.tensor([-5.0, 0.3, 2.0, 9.0])))
    True
    """

    def __init__(self, x0: float = 2.0) -> None:
        super().__init__(x0)

    def _inner(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z)

    def _inner_inverse(self, h: torch.Tensor) -> torch.Tensor:
        return torch.atanh(h)

    def _edge(self) -> tuple[float, float, float]:
        t = math.tanh(self.x0)
        return -t, t, 1.0 - t * t


class ExtendedSigmoid(_Extended):
    """The logistic sigmoid, continued beyond +-x0 by its tangent line.

    Parameters
    ----------
    x0 : float
        Where the tangent takes over; 4 by default (slope 0.018).

    Raises
    ------
    InputError
        If x0 is not in (0, 8].

    Examples
    --------
    >>> import torch
    >>> act = ExtendedSigmoid()
    >>> bool(torch.allclose(act.inverse(act(torch.tensor([-7.0, 0.3, 9.0]))), torch.tensor([-7.0, 0.3, 9.0])))
    True
    """

    def __init__(self, x0: float = 4.0) -> None:
        super().__init__(x0)

    def _inner(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(z)

    def _inner_inverse(self, h: torch.Tensor) -> torch.Tensor:
        return torch.logit(h)

    def _edge(self) -> tuple[float, float, float]:
        s = 1.0 / (1.0 + math.exp(-self.x0))
        return 1.0 - s, s, s * (1.0 - s)


def is_linear(activation: nn.Module) -> bool:
    """Whether the activation is the identity.

    Examples
    --------
    >>> is_linear(nn.Identity())
    True
    """
    return isinstance(activation, LINEAR)


def is_homogeneous(activation: nn.Module) -> bool:
    """Whether sigma(s z) = s sigma(z) for every s > 0.

    Examples
    --------
    >>> is_homogeneous(nn.ReLU()), is_homogeneous(nn.Tanh())
    (True, False)
    """
    return isinstance(activation, HOMOGENEOUS) or getattr(activation, "homogeneous", False) is True


def inverse_of(activation: nn.Module) -> Map | None:
    """Inverse of a bijective activation, or None if it is not known to be a bijection of the real line.

    A module with a method ``inverse`` is taken at its word, so users can bring their own bijections.

    Examples
    --------
    >>> import torch
    >>> inverse_of(nn.LeakyReLU(0.1))(torch.tensor([-1.0, 2.0]))
    tensor([-10.,   2.])
    >>> inverse_of(nn.ReLU()) is None
    True
    """
    own = getattr(activation, "inverse", None)
    if callable(own):
        return own
    if is_linear(activation):
        return lambda h: h
    if isinstance(activation, nn.LeakyReLU) and activation.negative_slope > 0.0:
        slope = float(activation.negative_slope)
        return lambda h: torch.where(h < 0, h / slope, h)
    return None
