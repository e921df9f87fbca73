"""Trees: the balanced tree and the star."""

from __future__ import annotations

import numpy as np

from evenflow.gallery.checks import whole
from evenflow.graph import Graph

__all__ = ["star", "tree"]


def tree(branching: int, height: int) -> Graph:
    """Balanced tree with unit weights, numbered level by level from the root.

    Parameters
    ----------
    branching : int
        Children of every inner node.
    height : int
        Number of levels below the root.

    Returns
    -------
    Graph
        Levels are placed on concentric circles.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> tree(2, 8)
    Graph(nodes=511, edges=510, components=1, degrees=1..3)
    """
    branching, height = whole(branching, "branching", 1), whole(height, "height", 0)
    if branching > 1:  # refused before the sizes below outgrow 64 bits
        whole(branching ** min(height, 64), "number of leaves", 1)
    sizes = np.array([branching**level for level in range(height + 1)], dtype=np.int64)
    count = whole(int(sizes.sum()), "number of tree nodes", 1)
    child = np.arange(1, count)
    level = np.repeat(np.arange(height + 1), sizes)
    within = np.arange(count) - (np.cumsum(sizes) - sizes)[level]
    angle = 2.0 * np.pi * (within + 0.5) / sizes[level]
    positions = level[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Graph.from_edges(np.stack([(child - 1) // branching, child], axis=1), count, positions=positions)


def star(n: int) -> Graph:
    """Star: node 0 joined to n - 1 others with unit weights, the extreme of a hub.

    Parameters
    ----------
    n : int
        Number of nodes, at least 2.

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> star(1000)
    Graph(nodes=1000, edges=999, components=1, degrees=1..999)
    """
    return tree(whole(n, "n", 2) - 1, 1)
