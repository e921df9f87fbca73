"""GAT: node states as the output of a graph attention network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.reparametrization.network import (
    Network,
    Parameters,
    Shapes,
    add_readout,
    readout_gradient,
    times_transposed,
)
from evenflow.reparametrization.propagation import require_graph

__all__ = ["GAT"]

IntArray = npt.NDArray[np.int64]


@dataclass
class GAT(Network):
    """Graph attention network with one head and no bias [1]_ [2]_.

    With X = H_{q-1} Theta_q, node i weighs its neighbours and itself by the softmax over j of
    LeakyReLU(a_target . x_i + a_source . x_j), and H_q = LeakyReLU(sum_j alpha_ij x_j). Edge weights play no part.

    Parameters
    ----------
    hidden, layers, latent, residual, output, latent_init, encode_steps, encode_tolerance, encode_lr
        See :class:`~evenflow.reparametrization.network.Network`.
    negative_slope : float
        Slope of both LeakyReLU below zero.

    References
    ----------
    .. [1] P. Velickovic et al., "Graph Attention Networks", ICLR 2018, eqs. 1-4.
    .. [2] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024.

    Examples
    --------
    >>> from evenflow.reparametrization import GAT
    >>> GAT(hidden=8).layers
    1
    """

    negative_slope: float = 0.2

    name: ClassVar[str] = "gat"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.negative_slope <= 1:
            raise InputError(f"negative_slope={self.negative_slope!r}: expected a number in [0, 1]")

    def _layer_shapes(self, h_in: int, h_out: int) -> Shapes:
        return {"weight": (h_in, h_out), "target": (h_out, 1), "source": (h_out, 1)}

    def _prepare(self, energy: BaseEnergy) -> None:
        import scipy.sparse as sp

        graph = require_graph(energy, "the attention network")
        pattern = sp.csr_array(
            (np.ones(2 * graph.n_edges), *graph.rows[1::-1]), shape=(graph.n_nodes, graph.n_nodes)
        ) + sp.eye_array(graph.n_nodes, format="csr")
        pattern.sort_indices()
        self._starts, self._neighbours = pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64)

    def _layer(self, own: Parameters, features: FloatArray) -> tuple[FloatArray, Any]:
        x = features @ own["weight"]
        target, source = np.zeros((len(x), 1)), np.zeros((len(x), 1))
        add_readout(x, own["target"], target)
        add_readout(x, own["source"], source)
        alpha, after = np.empty(len(self._neighbours)), np.empty_like(x)
        _attend(self._starts, self._neighbours, x, target[:, 0], source[:, 0], self.negative_slope, alpha, after)
        return after, (x, target, source, alpha, after)

    def _layer_backward(
        self, own: Parameters, features: FloatArray, tape: Any, gradient: FloatArray, out: Parameters
    ) -> FloatArray:
        x, target, source, alpha, after = tape
        g_x, g_target, g_source = np.zeros_like(x), np.zeros_like(target), np.zeros_like(source)
        slope = self.negative_slope
        _attend_backward(
            self._starts,
            self._neighbours,
            x,
            target[:, 0],
            source[:, 0],
            slope,
            alpha,
            after,
            gradient,
            g_x,
            g_target[:, 0],
            g_source[:, 0],
        )
        readout_gradient(x, g_target, out["target"])
        readout_gradient(x, g_source, out["source"])
        g_x += g_target * own["target"].T + g_source * own["source"].T
        np.matmul(features.T, g_x, out=out["weight"])
        return times_transposed(g_x, own["weight"])


@njit(cache=True, nogil=True, error_model="numpy")
def _attend(
    starts: IntArray,
    neighbours: IntArray,
    x: FloatArray,
    target: FloatArray,
    source: FloatArray,
    slope: float,
    alpha: FloatArray,
    after: FloatArray,
) -> None:
    """Softmax weights of every neighbourhood, and the LeakyReLU of its weighted mean."""
    for i in range(len(starts) - 1):
        top = -np.inf
        for k in range(starts[i], starts[i + 1]):
            score = target[i] + source[neighbours[k]]
            if score < 0.0:
                score *= slope
            alpha[k] = score
            top = max(top, score)
        total = 0.0
        for k in range(starts[i], starts[i + 1]):
            alpha[k] = np.exp(alpha[k] - top)
            total += alpha[k]
        after[i] = 0.0
        for k in range(starts[i], starts[i + 1]):
            alpha[k] /= total
            j = neighbours[k]
            for c in range(x.shape[1]):
                after[i, c] += alpha[k] * x[j, c]
        for c in range(x.shape[1]):
            if after[i, c] < 0.0:
                after[i, c] *= slope


@njit(cache=True, nogil=True, error_model="numpy")
def _attend_backward(
    starts: IntArray,
    neighbours: IntArray,
    x: FloatArray,
    target: FloatArray,
    source: FloatArray,
    slope: float,
    alpha: FloatArray,
    after: FloatArray,
    gradient: FloatArray,
    g_x: FloatArray,
    g_target: FloatArray,
    g_source: FloatArray,
) -> None:
    """Add the gradients of x (through the mean only) and of the two score terms; ``gradient`` is overwritten."""
    width = x.shape[1]
    g_alpha = np.empty(len(neighbours))
    for i in range(len(starts) - 1):
        for c in range(width):
            if after[i, c] <= 0.0:
                gradient[i, c] *= slope
        mean = 0.0
        for k in range(starts[i], starts[i + 1]):
            j, total = neighbours[k], 0.0
            for c in range(width):
                total += gradient[i, c] * x[j, c]
                g_x[j, c] += alpha[k] * gradient[i, c]
            g_alpha[k] = total
            mean += alpha[k] * total
        for k in range(starts[i], starts[i + 1]):
            j = neighbours[k]
            score = alpha[k] * (g_alpha[k] - mean)
            if target[i] + source[j] < 0.0:
                score *= slope
            g_target[i] += score
            g_source[j] += score
