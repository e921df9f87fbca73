"""Random geometric graphs."""

from __future__ import annotations

import numpy as np

from evenflow.gallery.checks import generator, real, whole
from evenflow.graph import Graph

__all__ = ["rgg"]


def rgg(
    n: int, degree: float = 12.0, dim: int = 2, radius: float | None = None, seed: int | np.random.Generator = 0
) -> Graph:
    """Giant component of a random geometric graph in the unit square or cube, with unit weights.

    Parameters
    ----------
    n : int
        Number of points drawn; a few of them may lie outside the giant component.
    degree : float
        Mean degree away from the border; sets the radius.
    dim : {2, 3}
    radius : float, optional
        Points closer than this are joined; default: from ``degree``.
    seed : int or numpy.random.Generator

    Returns
    -------
    Graph
        Nodes close in space have close numbers.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> graph = rgg(2500, radius=0.04)
    >>> graph.components[0], graph.n_nodes > 2450
    (1, True)
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    n, dim = whole(n, "n", 1), whole(dim, "dim", 2)
    real(dim, "dim", 2, 3)
    if radius is None:
        ball = np.pi if dim == 2 else 4.0 * np.pi / 3.0
        radius = (real(degree, "degree", 0.0) / (ball * n)) ** (1.0 / dim)
    radius = real(radius, "radius", 0.0)
    points = generator(seed).random((n, dim))
    points = points[cKDTree(points).indices]  # leaf order: neighbours in space become neighbours in memory
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray").astype(np.int64)
    links = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, label = connected_components(links, directed=False)
    giant = label == np.argmax(np.bincount(label))
    number = np.cumsum(giant) - 1
    return Graph.from_edges(number[pairs[giant[pairs[:, 0]]]], int(giant.sum()), positions=points[giant])
