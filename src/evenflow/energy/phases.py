"""Phase states: where they start, their symmetries, order parameters and vortices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import BaseEnergy, FloatArray

if TYPE_CHECKING:
    from evenflow.graph import Graph

__all__ = ["PhaseStates", "bipartition", "order_parameter", "staggered_order_parameter", "vortex_count"]


class PhaseStates(BaseEnergy):
    """An energy of phases in radians on a graph, with the observables that go with them."""

    unit = "rad"
    graph: Graph

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Phases uniform in [0, 2 pi)."""
        return self.impose(rng.uniform(0.0, 2 * np.pi, self.shape))

    def report(self, w: FloatArray) -> dict[str, float]:
        """Order parameters and, on lattices and triangle meshes, the number of vortices."""
        return phase_report(self.graph, self.impose(w))

    def symmetries(self) -> Mapping[str, Any]:
        """Common rotation of all phases, and full turns of single ones."""

        def turn(w: FloatArray, rng: np.random.Generator) -> FloatArray:
            return w + 2 * np.pi * rng.integers(-2, 3, self.shape) * self.free_mask()

        def rotate(w: FloatArray, rng: np.random.Generator) -> FloatArray:
            return w + rng.uniform(0, 2 * np.pi)

        return {"full_turns": turn} | ({} if self.fixed is not None else {"rotation": rotate})


def phase_report(graph: Graph, w: FloatArray) -> dict[str, float]:
    """Order parameter, staggered order parameter of bipartite graphs, vortex count where faces are known."""
    found = {"order_parameter": order_parameter(w)}
    side = bipartition(graph)
    if side is not None:
        found["staggered_order_parameter"] = staggered_order_parameter(w, side)
    vortices = vortex_count(graph, w)
    if vortices is not None:
        found["vortices"] = float(vortices)
    return found


def order_parameter(w: FloatArray) -> float:
    """Return |mean exp(i w)|: 1 at synchrony, near 0 for scattered phases."""
    return float(abs(np.exp(1j * w).mean())) if w.size else 0.0


def bipartition(graph: Graph) -> npt.NDArray[np.int8] | None:
    """Sides of a two-colouring, 1 and -1 for each node, or None where the graph has an odd cycle."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    n = graph.n_nodes
    i, j = graph.edges[graph.weights != 0].T
    coupled = sp.csr_array((np.ones(len(i)), (i, j)), shape=(n, n))
    _, roots = np.unique(connected_components(coupled, directed=False)[1], return_index=True)
    tail = np.concatenate([i, np.full(len(roots), n)])  # node n is joined to one node of each component
    head = np.concatenate([j, roots])
    joined = sp.csr_array((np.ones(len(tail)), (tail, head)), shape=(n + 1, n + 1))
    _, parent = breadth_first_order(joined, n, directed=False)
    parent[n] = n
    depth = np.ones(n + 1, dtype=np.int64)
    depth[n] = 0
    while (parent != n).any():  # pointer doubling
        depth, parent = depth + depth[parent], parent[parent]
    side = (2 * (depth[:n] % 2) - 1).astype(np.int8)
    return side if (side[i] != side[j]).all() else None


def staggered_order_parameter(w: FloatArray, side: npt.NDArray[np.int8]) -> float:
    """Return |mean side exp(i w)|: 1 where neighbours differ by pi."""
    return float(abs((side * np.exp(1j * w)).mean())) if w.size else 0.0


def vortex_count(graph: Graph, w: FloatArray) -> int | None:
    """Number of vortices and antivortices: faces around which the phase winds.

    Faces are the squares of a two-dimensional lattice (``graph.grid``) or the triangles of a mesh; None for other
    graphs.
    """
    faces = _faces(graph)
    if faces is None:
        return None
    phases = w[faces]
    steps = np.roll(phases, -1, axis=1) - phases
    winding = (steps - 2 * np.pi * np.round(steps / (2 * np.pi))).sum(axis=1) / (2 * np.pi)
    return int(np.abs(np.round(winding)).sum())


def _faces(graph: Graph) -> npt.NDArray[np.int64] | None:
    grid = graph.grid
    if grid is not None and len(grid) == 2:
        number = np.arange(graph.n_nodes).reshape(grid)
        if graph.periodic:
            number = np.pad(number, ((0, 1), (0, 1)), mode="wrap")
        corners = [number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]]
        return np.stack([corner.ravel() for corner in corners], axis=1)
    return graph.triangles
