"""Finite-element meshes that come with pyamg, and finer versions of triangle meshes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError
from evenflow.gallery.checks import whole
from evenflow.graph import Graph

__all__ = ["airfoil", "mesh", "subdivide"]

IntArray = npt.NDArray[np.int64]

Corners = list[tuple[int, ...]]  # corner numbers of each side or face of a cell
TRIANGLE: tuple[Corners, Corners] = ([(0, 1), (1, 2), (2, 0)], [(0, 1, 2)])
QUAD: tuple[Corners, Corners] = ([(0, 1), (1, 2), (2, 3), (3, 0)], [(0, 1, 2, 3)])
TETRAHEDRON: tuple[Corners, Corners] = (list(combinations(range(4), 2)), list(combinations(range(4), 3)))
# the corners of pyamg's hexahedra are in binary order: neighbours differ in one bit
HEXAHEDRON: tuple[Corners, Corners] = (
    [(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit],
    [(base, base | a, base | a | b, base | b) for a, b, c in ((1, 2, 4), (1, 4, 2), (2, 4, 1)) for base in (0, c)],
)
# name: pyamg's name, edges and faces of a cell
MESHES = {
    "airfoil": ("airfoil", TRIANGLE),
    "knot": ("knot", TRIANGLE),
    "unit-square": ("unit_square", TRIANGLE),
    "recirculating-flow": ("recirc_flow", QUAD),
    "unit-cube": ("unit_cube", TETRAHEDRON),
    "bar": ("bar", HEXAHEDRON),
}


def mesh(name: str, subdivisions: int = 0) -> Graph:
    """Graph of the edges of a mesh of pyamg, with unit weights.

    Parameters
    ----------
    name : {"airfoil", "knot", "unit-square", "recirculating-flow", "unit-cube", "bar"}
    subdivisions : int
        How often to split every triangle in four (triangle meshes only).

    Returns
    -------
    Graph
        With positions, and the triangles of the surface.

    Raises
    ------
    InputError
        For an unknown name, listing those there are.

    Examples
    --------
    >>> mesh("unit-cube")
    Graph(nodes=125, edges=674, components=1, degrees=4..24)
    """
    from pyamg.gallery import load_example

    key = str(name).replace("_", "-")
    if key not in MESHES:
        raise InputError(f"no mesh {name!r}: there are {', '.join(MESHES)}")
    source, (sides, faces) = MESHES[key]
    example = load_example(source)
    cells = example["elements"].astype(np.int64)
    cells -= cells.min()  # some are numbered from 1
    pairs = np.concatenate([cells[:, side] for side in sides])
    graph = Graph.from_edges(
        pairs,
        positions=np.array(example["vertices"], dtype=np.float64),
        triangles=surface(np.concatenate([cells[:, face] for face in faces])),
    )
    return subdivide(graph, subdivisions)


def surface(faces: IntArray) -> IntArray:
    """Triangles of the faces that belong to one cell only."""
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    outer = faces[np.sort(first[count == 1])]
    return np.concatenate([outer[:, [0, k, k + 1]] for k in range(1, outer.shape[1] - 1)])


def airfoil(subdivisions: int = 0) -> Graph:
    """Triangle mesh around an airfoil, 322 nodes; each subdivision has about four times as many.

    Examples
    --------
    >>> airfoil()
    Graph(nodes=322, edges=904, components=1, degrees=3..8)
    >>> airfoil(2).n_nodes
    4780
    """
    return mesh("airfoil", subdivisions)


def subdivide(graph: Graph, times: int = 1) -> Graph:
    """Split every triangle of a mesh in four by the midpoints of its sides.

    Parameters
    ----------
    graph : Graph
        Triangle mesh: all edges are sides of triangles.
    times : int

    Returns
    -------
    Graph
        Unit weights. The old nodes keep their numbers; the midpoint of edge k of ``graph.edges`` is node n + k.

    Raises
    ------
    InputError
        If the graph is not a triangle mesh.

    Examples
    --------
    >>> triangle = Graph.from_edges([(0, 1), (1, 2), (0, 2)], triangles=[[0, 1, 2]])
    >>> subdivide(triangle)
    Graph(nodes=6, edges=9, components=1, degrees=2..4)
    """
    if whole(times, "times", 0) and graph.triangles is not None:
        whole(len(graph.triangles) * 4 ** min(times, 30), "number of triangles after the last split", 0)
    for _ in range(times):
        graph = split_once(graph)
    return graph


def split_once(graph: Graph) -> Graph:
    """One round of :func:`subdivide`."""
    if graph.triangles is None:
        raise InputError("subdivide needs a graph with triangles: read a mesh or pass triangles=")
    n = graph.n_nodes
    corners = graph.triangles
    sides = np.sort(np.stack([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=2)
    key = graph.edges[:, 0] * n + graph.edges[:, 1]
    wanted = sides[..., 0] * n + sides[..., 1]
    if not np.array_equal(np.unique(wanted), key):
        raise InputError("subdivide needs a triangle mesh: the sides of its triangles must be its edges, and no others")
    ab, bc, ca = n + np.searchsorted(key, wanted)
    a, b, c = corners.T
    small = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    triangles = np.concatenate([np.stack(corner, axis=1) for corner in small])
    half = n + np.arange(graph.n_edges)
    pairs = [(graph.edges[:, 0], half), (half, graph.edges[:, 1]), (ab, bc), (bc, ca), (ca, ab)]
    positions = graph.positions
    if positions is not None:
        positions = np.concatenate([positions, positions[graph.edges].mean(axis=1)])
    return Graph.from_edges(
        np.concatenate([np.stack(pair, axis=1) for pair in pairs]),
        n + graph.n_edges,
        positions=positions,
        triangles=triangles,
    )
