"""GML, the graph modelling language, through NetworkX."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenflow.errors import FileFormatError, InputError
from evenflow.graph import Graph
from evenflow.graph.edge_list import Duplicates, SelfLoops, Symmetrize
from evenflow.io.source import read_lines

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["read_gml"]


def read_gml(
    path: Path,
    *,
    weight: str | None = "weight",
    duplicates: Duplicates = "error",
    self_loops: SelfLoops = "error",
    symmetrize: Symmetrize = "error",
) -> Graph:
    """Read a GML file; nodes are named by their labels where all have different ones, else by their ids.

    Parameters
    ----------
    path : Path
    weight : str or None
        Edge attribute that holds the weights; some files call it "value".
    duplicates, self_loops, symmetrize
        As in :func:`evenflow.graph.convert.from_networkx`.

    Returns
    -------
    Graph
        Positions from ``graphics [ x .. y .. ]`` of the nodes where all have it.

    Raises
    ------
    FileFormatError
        If the file is malformed (with the line where the parser tells it) or breaks a rule.
    """
    graph = parse(path, read_lines(path))
    labels = [attributes.get("label") for _, attributes in graph.nodes(data=True)]
    if None not in labels and len({str(label) for label in labels}) == len(labels):
        import networkx as nx

        graph = nx.relabel_nodes(graph, {node: str(label) for node, label in zip(graph, labels, strict=True)})
    try:
        return Graph.from_networkx(
            graph,
            weight=weight,
            positions=positions(graph),
            duplicates=duplicates,
            self_loops=self_loops,
            symmetrize=symmetrize,
        )
    except InputError as error:
        raise FileFormatError(path, str(error)) from error


def parse(path: Path, lines: list[str]) -> nx.Graph:
    """The graph as NetworkX reads it, nodes by id."""
    import networkx as nx

    try:
        return nx.parse_gml(lines, label=None)
    except Exception as error:  # on malformed input the parser of NetworkX raises almost any type
        text = str(error).strip() or type(error).__name__
        at = re.search(r"\((\d+), \d+\)", text)
        raise FileFormatError(path, f"not a GML file: {text}", int(at[1]) if at else None) from error


def positions(graph: nx.Graph) -> dict[Any, list[float]] | None:
    """Positions by node from the graphics of the nodes, if all have x and y."""
    found = {}
    for node, attributes in graph.nodes(data=True):
        graphics = attributes.get("graphics")
        if not isinstance(graphics, dict) or not {"x", "y"} <= set(graphics):
            return None
        found[node] = [graphics[axis] for axis in "xyz" if axis in graphics]
    return found or None
