"""Small energies with derivatives written out by hand, for tests that must not lean on the kernels."""

from __future__ import annotations

import numpy as np
import torch

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.graph import Graph


class QuarticDiffusion(BaseEnergy):
    """E = 1/2 w^T L w + strength/4 sum (w - target)^4, states (n,) or (n, d)."""

    name = "quartic-diffusion"

    def __init__(self, graph: Graph, d: int | None = None, *, strength: float = 1.0, unit: str = "") -> None:
        self.graph, self.strength, self.unit = graph, strength, unit
        self.shape = (graph.n_nodes,) if d is None else (graph.n_nodes, d)
        self.target = np.linspace(0.0, 1.0, self.size).reshape(self.shape)

    def value(self, w: FloatArray) -> float:
        return self.value_and_gradient(w)[0]

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        flow, away = self.graph.laplacian @ w, w - self.target
        energy = 0.5 * float((w * flow).sum()) + 0.25 * self.strength * float((away**4).sum())
        gradient = flow + self.strength * away**3
        if out is None:
            return energy, gradient
        out[...] = gradient
        return energy, out

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        return self.graph.laplacian @ v + 3.0 * self.strength * (w - self.target) ** 2 * v

    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def initial(self, rng: np.random.Generator) -> FloatArray:
        return rng.normal(size=self.shape)


def path_graph(n: int) -> Graph:
    nodes = np.arange(n)
    return Graph.from_edges(np.stack([nodes[:-1], nodes[1:]], axis=1))


def square_lattice(m: int) -> Graph:
    i = np.arange(m * m).reshape(m, m)
    right = np.stack([i[:, :-1].ravel(), i[:, 1:].ravel()], axis=1)
    down = np.stack([i[:-1].ravel(), i[1:].ravel()], axis=1)
    return Graph.from_edges(np.concatenate([right, down]))


def scattered_graph() -> Graph:
    """Three components: a triangle with a tail, an edge, and isolated nodes; unequal weights."""
    edges = [(0, 1), (1, 2), (0, 2), (2, 3), (5, 6)]
    return Graph.from_edges(np.array(edges), n_nodes=9, weights=np.array([1.0, 2.0, 0.5, 1.5, 3.0]))
