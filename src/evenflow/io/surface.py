"""Surface meshes as graphs: the one step that PLY, OBJ and OFF share."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from evenflow.errors import EvenflowWarning, FileFormatError
from evenflow.graph import Graph
from evenflow.io.source import build

__all__ = ["Surface", "surface_graph"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass
class Surface:
    """Polygons over points, as a file lists them.

    Attributes
    ----------
    vertices : ndarray of float64, shape (n, 2) or (n, 3)
    sizes : ndarray of int64, shape (f,)
        Corners of each face.
    corners : ndarray of int64, shape (sum of sizes,)
        Vertices of the faces, one face after the other.
    pairs : ndarray of int64, shape (e, 2)
        Edges that the file lists apart from faces.
    face_lines, pair_lines : ndarray of int64
        Lines of the file, where it has lines.
    """

    vertices: FloatArray
    sizes: IntArray
    corners: IntArray
    pairs: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    face_lines: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    pair_lines: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def surface_graph(
    path: Path, surface: Surface, drop_unused: bool = False, self_loops: Literal["error", "drop"] = "error"
) -> Graph:
    """Graph of the sides of the faces, with unit weights; polygons are cut into triangle fans for drawing.

    Parameters
    ----------
    path : Path
        For messages.
    surface : Surface
    drop_unused : bool
        Drop the vertices that lie in no face and no edge, instead of warning.
    self_loops : {"error", "drop"}
        Whether a face may name a vertex twice in a row.

    Returns
    -------
    Graph

    Raises
    ------
    FileFormatError
        If there are no faces, a vertex is not finite, or a face has fewer than 3 corners or one out of range.
    """
    check(path, surface)
    n, sizes, corners = len(surface.vertices), surface.sizes, surface.corners
    first = np.cumsum(sizes) - sizes
    face = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(corners))
    following = np.where(place + 1 < first[face] + sizes[face], place + 1, first[face])
    pairs = np.concatenate([np.stack([corners, corners[following]], axis=1), surface.pairs])
    by_line = len(surface.face_lines) == len(sizes)  # a binary file has no lines
    lines = np.concatenate([surface.face_lines[face], surface.pair_lines]) if by_line else surface.pair_lines
    fan = place[(place - first[face] >= 1) & (place - first[face] < sizes[face] - 1)]
    triangles = np.stack([corners[first[face[fan]]], corners[fan], corners[fan + 1]], axis=1)
    if self_loops == "drop":
        a, b, c = triangles.T
        triangles = triangles[(a != b) & (b != c) & (c != a)]
    graph = build(
        path,
        lines,
        pairs,
        n_nodes=n,
        positions=surface.vertices,
        triangles=triangles if len(triangles) else None,
        self_loops=self_loops,
    )
    used = np.zeros(n, dtype=bool)
    used[pairs.ravel()] = True
    if used.all():
        return graph
    if drop_unused:
        return graph.subgraph(used)
    warnings.warn(
        f"{path}: {n - int(used.sum())} of {n} vertices (first: {int(np.argmin(used))}) lie in no face; they stay as "
        "isolated nodes, Graph.isolated: pass drop_unused=True to drop them",
        EvenflowWarning,
        stacklevel=4,
    )
    return graph


def check(path: Path, surface: Surface) -> None:
    """Refuse what is no mesh, naming the line where there is one."""
    n = len(surface.vertices)
    if not len(surface.sizes) and not len(surface.pairs):
        raise FileFormatError(path, "holds no faces and no edges, so no graph: is it a point cloud?")
    bad = ~np.isfinite(surface.vertices).all(axis=1)
    if bad.any():
        at = int(np.argmax(bad))
        raise FileFormatError(path, f"vertex {at} is {surface.vertices[at].tolist()}, expected finite coordinates")
    for face in np.flatnonzero(surface.sizes < 3)[:1]:
        line = int(surface.face_lines[face]) if len(surface.face_lines) else None
        raise FileFormatError(path, f"face {face} has {surface.sizes[face]} corners, expected at least 3", line)
    outside = (surface.corners < 0) | (surface.corners >= n)
    if outside.any():
        at = int(np.argmax(outside))
        face = int(np.searchsorted(np.cumsum(surface.sizes), at, side="right"))
        line = int(surface.face_lines[face]) if len(surface.face_lines) else None
        raise FileFormatError(path, f"face {face} names vertex {surface.corners[at]}, but there are {n} vertices", line)
    outside_pairs = ((surface.pairs < 0) | (surface.pairs >= n)).any(axis=1)
    if outside_pairs.any():
        at = int(np.argmax(outside_pairs))
        line = int(surface.pair_lines[at]) if len(surface.pair_lines) else None
        raise FileFormatError(path, f"edge {surface.pairs[at].tolist()} is out of range: there are {n} vertices", line)
