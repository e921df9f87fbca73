"""g2o pose graphs in the plane: VERTEX_SE2 and EDGE_SE2 [1]_.

References
----------
.. [1] R. Kuemmerle et al., "g2o: A general framework for graph optimization", ICRA 2011.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evenflow.errors import FileFormatError
from evenflow.graph import Graph
from evenflow.graph.edge_list import Duplicates, SelfLoops
from evenflow.io.source import build, clip, index_names, read_lines, real, whole

__all__ = ["read_g2o"]

FIELDS = {"VERTEX_SE2": 5, "EDGE_SE2": 12, "FIX": 2}


def read_g2o(path: Path, *, duplicates: Duplicates = "error", self_loops: SelfLoops = "error") -> Graph:
    r"""Read the rotations of a planar pose graph.

    Parameters
    ----------
    path : Path
    duplicates, self_loops
        As in :meth:`evenflow.Graph.from_edges`.

    Returns
    -------
    Graph
        Oriented edge data "offset": :math:`\delta_{ij} = -\Delta\theta_{ij}` in radians, so that the measured headings
        have :math:`w_i - w_j = \delta_{ij}`; weights are the information of the angle; positions those of the
        vertices, which come in the order of their numbers. ``FIX`` lines are passed over.

    Raises
    ------
    FileFormatError
        Naming the line; poses in space (SE3) are refused.
    """
    vertices: dict[int, list[float]] = {}
    edges: list[tuple[int, int]] = []
    offsets: list[float] = []
    weights: list[float] = []
    lines: list[int] = []
    for line, text in enumerate(read_lines(path), 1):
        words = text.split("#", 1)[0].split()
        if not words:
            continue
        tag = words[0]
        if tag not in FIELDS:
            known = ", ".join(FIELDS)
            raise FileFormatError(path, f"{clip(tag)} is not supported: expected one of {known}", line)
        if tag != "FIX" and len(words) != FIELDS[tag]:
            raise FileFormatError(path, f"{tag} has {len(words) - 1} fields, expected {FIELDS[tag] - 1}", line)
        if tag == "VERTEX_SE2":
            node = whole(path, words[1], line, "the vertex number")
            if node in vertices:
                raise FileFormatError(path, f"vertex {node} is given twice", line)
            vertices[node] = [real(path, word, line, "a coordinate") for word in words[2:5]][:2]
        elif tag == "EDGE_SE2":
            edges.append((whole(path, words[1], line, "a vertex"), whole(path, words[2], line, "a vertex")))
            values = [real(path, word, line, "an entry of the edge") for word in words[3:]]
            if values[8] < 0.0:
                raise FileFormatError(path, f"the information of the angle is {values[8]}, expected at least 0", line)
            offsets.append(-values[2])
            weights.append(values[8])
            lines.append(line)
    if not edges:
        raise FileFormatError(path, "holds no EDGE_SE2")
    names = sorted(vertices) if vertices else sorted({node for edge in edges for node in edge})
    number = {node: k for k, node in enumerate(names)}
    for edge, line in zip(edges, lines, strict=True):
        if edge[0] not in number or edge[1] not in number:
            raise FileFormatError(path, f"the edge {edge} names a vertex that the file does not have", line)
    return build(
        path,
        lines,
        np.array([(number[i], number[j]) for i, j in edges]),
        n_nodes=len(names),
        weights=weights,
        positions=[vertices[node] for node in names] if vertices else None,
        edge_data={"offset": offsets},
        oriented=["offset"],
        names=index_names(names),
        duplicates=duplicates,
        self_loops=self_loops,
    )
