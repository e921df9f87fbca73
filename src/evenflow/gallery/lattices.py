"""Lattices: square, cubic, triangular, and the ring."""

from __future__ import annotations

import numpy as np

from evenflow.errors import InputError
from evenflow.gallery.checks import whole
from evenflow.graph import Graph

__all__ = ["lattice", "ring", "triangular"]


def lattice(*shape: int, periodic: bool = False) -> Graph:
    """Lattice of any dimension with unit weights.

    Parameters
    ----------
    *shape : int
        Number of nodes along each axis.
    periodic : bool
        Close every axis on itself (each then needs at least 3 nodes).

    Returns
    -------
    Graph
        Node number is the C-order index; ``grid`` is ``shape``; ``positions`` are the index coordinates (up to
        three axes).

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> lattice(50, 50)
    Graph(nodes=2500, edges=4900, components=1, degrees=2..4)
    >>> lattice(3, 4, 5, periodic=True).n_edges
    180
    """
    if not shape:
        raise InputError("lattice needs the number of nodes along each axis, such as lattice(50, 50)")
    sizes = tuple(whole(size, "shape", 3 if periodic else 1) for size in shape)
    count = whole(int(np.prod(sizes, dtype=object)), "number of lattice nodes", 1)
    number = np.arange(count).reshape(sizes)
    pairs = []
    for axis in range(len(sizes)):
        ahead = np.roll(number, -1, axis=axis)
        inner = np.s_[:] if periodic else (*[np.s_[:]] * axis, np.s_[:-1])
        pairs.append(np.stack([number[inner].ravel(), ahead[inner].ravel()], axis=1))
    positions = None
    if len(sizes) <= 3:
        positions = np.stack([k.ravel() for k in np.indices(sizes)], axis=1).astype(np.float64)
        if len(sizes) == 1:
            positions = np.hstack([positions, np.zeros((count, 1))])
    return Graph.from_edges(np.concatenate(pairs), count, positions=positions, grid=sizes, periodic=periodic)


def ring(n: int) -> Graph:
    """Ring of n nodes with unit weights, placed on the unit circle.

    Parameters
    ----------
    n : int
        At least 3.

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> ring(625)
    Graph(nodes=625, edges=625, components=1, degrees=2..2)
    """
    n = whole(n, "n", 3)
    angle = 2.0 * np.pi * np.arange(n) / n
    return lattice(n, periodic=True).replace(positions=np.stack([np.cos(angle), np.sin(angle)], axis=1))


def triangular(rows: int, columns: int) -> Graph:
    """Triangular lattice of equilateral triangles with unit sides and unit weights.

    Parameters
    ----------
    rows, columns : int
        Number of rows of triangles, and of triangles in a row [1]_.

    Returns
    -------
    Graph
        With positions and triangles; nodes are numbered row by row from the bottom.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    .. [1] ``networkx.triangular_lattice_graph(rows, columns)``, the same graph up to the numbering.

    Examples
    --------
    >>> triangular(75, 75)
    Graph(nodes=2926, edges=8550, components=1, degrees=2..6)
    """
    rows, columns = whole(rows, "rows", 1), whole(columns, "columns", 1)
    half = (columns + 1) // 2
    level = np.arange(rows + 1)
    width = np.where((level % 2 == 1) & (columns % 2 == 1), half, half + 1)
    first = np.concatenate([[0], np.cumsum(width)])
    row = np.repeat(level, width)
    column = np.arange(first[-1]) - first[row]
    here = np.arange(first[-1])
    right = column + 1 < width[row]
    upper = np.minimum(row + 1, rows)
    left_up = first[upper] + column - 1 + row % 2  # the two nodes above lie half a side to the left and to the right
    has_left = (row < rows) & (column - 1 + row % 2 >= 0)
    has_right = (row < rows) & (column + row % 2 < width[upper])
    links = ((here + 1, right), (left_up, has_left), (left_up + 1, has_right))
    pairs = [np.stack([here[there], end[there]], axis=1) for end, there in links]
    up, down = right & has_right, has_left & has_right
    triangles = np.concatenate(
        [
            np.stack([here[up], here[up] + 1, left_up[up] + 1], axis=1),
            np.stack([here[down], left_up[down] + 1, left_up[down]], axis=1),
        ]
    )
    positions = np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], axis=1)
    return Graph.from_edges(np.concatenate(pairs), int(first[-1]), positions=positions, triangles=triangles)
