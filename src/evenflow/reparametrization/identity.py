"""Identity: optimise the node states themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.history import Counts
from evenflow.reparametrization.base import Reparametrization

__all__ = ["Identity"]


@dataclass
class Identity(Reparametrization):
    """w = theta: the baseline, and the last stage of every solve.

    Examples
    --------
    >>> import evenflow as ef
    >>> ef.Identity().name
    'identity'
    """

    name: ClassVar[str] = "identity"
    linear: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    def fresh(self) -> Identity:
        """Another one: there are no options to copy."""
        return Identity()

    def setup(self, energy: BaseEnergy, rng: np.random.Generator, counts: Counts) -> None:
        """Remember the shape of the states."""
        self._shape, self.size = energy.shape, energy.size

    def initial(self, rng: np.random.Generator) -> None:
        """Start from the energy's own draw."""
        return

    def decode(self, theta: FloatArray) -> FloatArray:
        """View theta in the shape of the states."""
        return theta.reshape(self._shape)

    def encode(self, w: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Copy w, flattened."""
        return np.array(w, dtype=np.float64).ravel()

    def pullback(self, theta: FloatArray, g_w: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Pass the gradient on, flattened."""
        if out is None:
            return g_w.reshape(-1)
        if not np.shares_memory(out, g_w):
            out[:] = g_w.reshape(-1)
        return out
