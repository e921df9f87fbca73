"""Graphs like road networks: nearly trees, with long chains between junctions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evenflow.gallery.checks import generator, whole
from evenflow.graph import Graph

__all__ = ["road"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NODES_PER_JUNCTION = 5
CYCLES_PER_NODE = 0.04422  # 119 666 edges on 114 599 nodes, as in the OpenStreetMap roads of Luxembourg


def road(n: int = 114_599, seed: int | np.random.Generator = 0) -> Graph:
    """Connected planar-like graph that is nearly a tree, with unit weights and positions.

    Parameters
    ----------
    n : int
        Number of nodes, at least 25.
    seed : int or numpy.random.Generator

    Returns
    -------
    Graph
        One node in five is a junction; the others lie on the roads between them. The default has as many nodes
        and edges as the road network of Luxembourg.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> graph = road(1000)
    >>> graph.n_nodes, graph.n_edges, graph.components[0]
    (1000, 1043, 1)
    """
    n = whole(n, "n", 25)
    rng = generator(seed)
    junctions = rng.random((n // NODES_PER_JUNCTION, 2))
    roads = skeleton(junctions, round(CYCLES_PER_NODE * n), rng)
    length = np.linalg.norm(junctions[roads[:, 0]] - junctions[roads[:, 1]], axis=1)
    share = np.cumsum(length) / length.sum() * (n - len(junctions))
    share[-1] = n - len(junctions)
    inner = np.diff(np.floor(share).astype(np.int64), prepend=0)  # nodes inside each road, by its length
    which = np.repeat(np.arange(len(roads)), inner)
    step = np.arange(len(which)) - (np.cumsum(inner) - inner)[which]
    node = len(junctions) + np.arange(len(which))
    before = np.where(step == 0, roads[which, 0], node - 1)
    last = np.where(inner > 0, len(junctions) + np.cumsum(inner) - 1, roads[:, 0])
    pairs = np.concatenate([np.stack([before, node], axis=1), np.stack([last, roads[:, 1]], axis=1)])
    along = ((step + 1) / (inner[which] + 1))[:, None]
    between = (1.0 - along) * junctions[roads[which, 0]] + along * junctions[roads[which, 1]]
    return Graph.from_edges(pairs, n, positions=np.concatenate([junctions, between]))


def skeleton(points: FloatArray, cycles: int, rng: np.random.Generator) -> IntArray:
    """Spanning tree of the Delaunay edges, short ones first up to chance, and the next ``cycles`` edges."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import Delaunay

    corners = Delaunay(points).simplices.astype(np.int64)
    sides = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
    sides = np.unique(sides, axis=0)
    cost = np.linalg.norm(points[sides[:, 0]] - points[sides[:, 1]], axis=1) * rng.uniform(0.5, 2.0, len(sides))
    matrix = coo_array((cost, (sides[:, 0], sides[:, 1])), shape=(len(points), len(points)))
    tree = minimum_spanning_tree(matrix.tocsr()).tocoo()
    key = sides[:, 0] * len(points) + sides[:, 1]
    rest = np.flatnonzero(~np.isin(key, tree.row.astype(np.int64) * len(points) + tree.col))
    extra = rest[np.argsort(cost[rest], kind="stable")[:cycles]]
    return np.concatenate([np.stack([tree.row, tree.col], axis=1).astype(np.int64), sides[extra]])
