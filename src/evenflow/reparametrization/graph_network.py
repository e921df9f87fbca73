"""GraphNetwork: node states as the output of a message-passing network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.reparametrization.network import Network, Parameters, Shapes, times_transposed
from evenflow.reparametrization.propagation import require_graph

__all__ = ["GraphNetwork"]


@dataclass
class GraphNetwork(Network):
    """Graph network block on nodes [1]_: two multilayer perceptrons and a mean over neighbours [2]_.

    H_q = psi([H_{q-1} | mean over neighbours j of phi(h_j)]), where phi and psi are linear - ReLU - linear
    without bias. Edge weights play no part; the mean over no neighbours is zero.

    Parameters
    ----------
    hidden, layers, latent, residual, output, latent_init, encode_steps, encode_tolerance, encode_lr
        See :class:`~evenflow.reparametrization.network.Network`.

    References
    ----------
    .. [1] P. W. Battaglia et al., "Relational inductive biases, deep learning, and graph networks", 2018.
    .. [2] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024.

    Examples
    --------
    >>> from evenflow.reparametrization import GraphNetwork
    >>> GraphNetwork(hidden=8).layers
    1
    """

    name: ClassVar[str] = "graph-network"

    def _layer_shapes(self, h_in: int, h_out: int) -> Shapes:
        return {
            "message1": (h_in, h_out),
            "message2": (h_out, h_out),
            "update1": (h_in + h_out, h_out),
            "update2": (h_out, h_out),
        }

    def _prepare(self, energy: BaseEnergy) -> None:
        import scipy.sparse as sp

        graph = require_graph(energy, "the graph network")
        starts, neighbours, _ = graph.rows
        size = np.diff(starts)
        share = 1.0 / np.repeat(size, size)
        self._mean = sp.csr_array((share, neighbours, starts), shape=(graph.n_nodes, graph.n_nodes))
        self._mean_transposed = self._mean.T.tocsr()

    def _layer(self, own: Parameters, features: FloatArray) -> tuple[FloatArray, Any]:
        h_in = features.shape[1]
        message = np.maximum(features @ own["message1"], 0.0)
        mean = self._mean @ (message @ own["message2"])
        update = np.maximum(features @ own["update1"][:h_in] + mean @ own["update1"][h_in:], 0.0)
        return update @ own["update2"], (message, mean, update)

    def _layer_backward(
        self, own: Parameters, features: FloatArray, tape: Any, gradient: FloatArray, out: Parameters
    ) -> FloatArray:
        message, mean, update = tape
        h_in = features.shape[1]
        np.matmul(update.T, gradient, out=out["update2"])
        g_update = times_transposed(gradient, own["update2"]) * (update > 0.0)
        np.matmul(features.T, g_update, out=out["update1"][:h_in])
        np.matmul(mean.T, g_update, out=out["update1"][h_in:])
        g_sent = self._mean_transposed @ times_transposed(g_update, own["update1"][h_in:])
        np.matmul(message.T, g_sent, out=out["message2"])
        g_message = times_transposed(g_sent, own["message2"]) * (message > 0.0)
        np.matmul(features.T, g_message, out=out["message1"])
        return times_transposed(g_update, own["update1"][:h_in]) + times_transposed(g_message, own["message1"])
