"""Reparametrization: a change of variables w = R(theta)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.history import Counts

__all__ = ["Reparametrization"]


class Reparametrization(ABC):
    """A map from flat parameters theta, float64 (size,), to node states w.

    Subclasses are frozen-style dataclasses: their fields are the user's options and nothing else. What
    depends on the energy is built by :meth:`setup` into attributes that are not fields, on a copy that the
    solve loop makes, so that one object can serve many solves.

    Attributes
    ----------
    linear : bool
        Whether w depends linearly on theta, so that Hessian products can be mapped (:meth:`push`).
    draws : bool
        Whether random numbers are drawn. If not, None stands for the generator, which costs more than a pass.
    size : int
        Number of parameters (after setup).
    encode_error : float
        Root-mean-square error of the last :meth:`encode` (0 where it is exact).
    """

    name: ClassVar[str]
    linear: ClassVar[bool] = False
    draws: ClassVar[bool] = True
    size: int
    encode_error: float = 0.0
    counts: Counts

    def fresh(self) -> Self:
        """A copy for one solve."""
        return copy.deepcopy(self)

    @abstractmethod
    def setup(self, energy: BaseEnergy, rng: np.random.Generator, counts: Counts) -> None:
        """Build everything that depends on the energy; work done is counted in ``counts``."""

    @abstractmethod
    def initial(self, rng: np.random.Generator) -> FloatArray | None:
        """Parameters as the papers draw them, or None to encode the energy's own start."""

    @abstractmethod
    def decode(self, theta: FloatArray) -> FloatArray:
        """States w(theta), of the shape of the energy; may be a view of theta."""

    @abstractmethod
    def encode(self, w: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Parameters whose states are w, exactly or fitted; sets :attr:`encode_error`."""

    @abstractmethod
    def pullback(self, theta: FloatArray, g_w: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """J(theta)^T g_w, flat, for the theta of the last :meth:`decode`."""

    def push(self, v: FloatArray) -> FloatArray:
        """J v for a linear map: the state of the direction v."""
        return self.decode(v)
