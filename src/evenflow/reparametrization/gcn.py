"""GCN: node states as the output of a graph convolutional network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.reparametrization.network import Network, Parameters, Shapes, readout_gradient, times_transposed
from evenflow.reparametrization.propagation import RULES, Propagation, Rule

__all__ = ["GCN"]


@dataclass
class GCN(Network):
    """Graph convolutional network: H_q = LeakyReLU(P H_{q-1} Theta_q + b_q) [1]_ [2]_.

    Parameters
    ----------
    hidden, layers, latent, residual, output, latent_init, encode_steps, encode_tolerance, encode_lr
        See :class:`~evenflow.reparametrization.network.Network`.
    propagation : {"kipf", "sym", "sq", "none"}
        P: D^-1/2 (A + I) D^-1/2 [2]_; D^-1/2 A D^-1/2; the square of the latter; or the identity, which leaves
        the nodes without a graph ("NoGraph").
    negative_slope : float
        Slope of LeakyReLU below zero.
    bias : bool
        Whether the hidden layers have a bias b_q.

    References
    ----------
    .. [1] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024, section 4.
    .. [2] T. N. Kipf, M. Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
       ICLR 2017, eq. 2.

    Examples
    --------
    >>> from evenflow.reparametrization import GCN
    >>> GCN(hidden=32, residual=True).propagation
    'kipf'
    """

    propagation: Rule = "kipf"
    negative_slope: float = 0.2
    bias: bool = True

    name: ClassVar[str] = "gcn"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.propagation not in RULES:
            raise InputError(f"propagation={self.propagation!r}: expected one of {', '.join(map(repr, RULES))}")
        if not 0 <= self.negative_slope <= 1:
            raise InputError(f"negative_slope={self.negative_slope!r}: expected a number in [0, 1]")

    def _layer_shapes(self, h_in: int, h_out: int) -> Shapes:
        shapes: Shapes = {"weight": (h_in, h_out)}
        return shapes | {"bias": (h_out,)} if self.bias else shapes

    def _prepare(self, energy: BaseEnergy) -> None:
        self._propagate = Propagation(energy, self.propagation)

    def _layer(self, own: Parameters, features: FloatArray) -> tuple[FloatArray, Any]:
        after = self._propagate(features @ own["weight"])
        _activate(after, own["bias"] if self.bias else np.zeros(after.shape[1]), self.negative_slope)
        return after, after

    def _layer_backward(
        self, own: Parameters, features: FloatArray, tape: Any, gradient: FloatArray, out: Parameters
    ) -> FloatArray:
        _gate(gradient, tape, self.negative_slope)
        if self.bias:
            readout_gradient(gradient, np.ones((len(gradient), 1)), out["bias"][:, None])  # faster than np.sum
        mixed = self._propagate(gradient)  # P is symmetric
        np.matmul(features.T, mixed, out=out["weight"])
        return times_transposed(mixed, own["weight"])


@njit(cache=True, nogil=True, error_model="numpy")
def _activate(x: FloatArray, bias: FloatArray, slope: float) -> None:
    """LeakyReLU of x + bias, in place."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            y = x[i, c] + bias[c]
            x[i, c] = y if y > 0.0 else slope * y


@njit(cache=True, nogil=True, error_model="numpy")
def _gate(gradient: FloatArray, activated: FloatArray, slope: float) -> None:
    """Multiply a gradient by the slope of LeakyReLU, which the sign of its output tells."""
    for i in range(gradient.shape[0]):
        for c in range(gradient.shape[1]):
            gradient[i, c] *= 1.0 if activated[i, c] > 0.0 else slope
