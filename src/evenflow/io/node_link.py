"""Node-link JSON, as written by ``networkx.node_link_data`` and many web tools."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np

from evenflow.errors import FileFormatError, InputError
from evenflow.graph import Graph
from evenflow.graph.edge_list import Duplicates, SelfLoops, Symmetrize, symmetrised
from evenflow.io.source import build, clip, index_names, read_lines

__all__ = ["read_node_link"]


def read_node_link(
    path: Path,
    *,
    weight: str | None = "weight",
    duplicates: Duplicates = "error",
    self_loops: SelfLoops = "error",
    symmetrize: Symmetrize = "error",
) -> Graph:
    """Read node-link JSON: ``{"nodes": [{"id": ..}], "links": [{"source": .., "target": ..}]}``.

    Parameters
    ----------
    path : Path
    weight : str or None
        Key of the links that holds the weights; ones if no link has it.
    duplicates, self_loops
        As in :meth:`evenflow.Graph.from_edges`.
    symmetrize : {"error", "mean", "sum", "max"}
        For ``"directed": true``, as in :func:`evenflow.graph.convert.from_networkx`.

    Returns
    -------
    Graph
        ``names`` are the ids unless 0 .. n-1; positions from "pos", or from "x", "y" (and "z") of the nodes.

    Raises
    ------
    FileFormatError
        Naming the line of a syntax error, or the node or link at fault.
    """
    data = load(path)
    nodes = records(path, data, "nodes")
    key = "links" if "links" in data else "edges"
    links = records(path, data, key)
    names = [identity(path, node.get("id", k), f"nodes[{k}]") for k, node in enumerate(nodes)]
    number = {name: k for k, name in enumerate(names)}
    if len(number) != len(names):
        twice = next(k for k, name in enumerate(names) if number[name] != k)
        raise FileFormatError(path, f"nodes[{number[names[twice]]}] has the id {names[twice]!r} of nodes[{twice}]")
    pairs = np.array([ends(path, link, f"{key}[{k}]", number) for k, link in enumerate(links)], dtype=np.int64)
    pairs = pairs.reshape(-1, 2)
    weights = np.ones(len(pairs))
    if weight is not None and any(weight in link for link in links):
        weights = np.array([value(path, link.get(weight), f"{weight!r} of {key}[{k}]") for k, link in enumerate(links)])
    if data.get("directed") is True:
        try:
            pairs, weights, _ = symmetrised(pairs, len(names), weights, {}, duplicates=duplicates, rule=symmetrize)
        except InputError as error:
            raise FileFormatError(path, f"the graph is directed: {error}") from error
    return build(
        path,
        [],
        pairs,
        n_nodes=len(names),
        weights=weights,
        positions=places(path, nodes),
        names=index_names(names) if all(type(name) is int for name in names) else names,  # type: ignore[arg-type]
        duplicates=duplicates,
        self_loops=self_loops,
    )


def load(path: Path) -> dict[str, Any]:
    """The JSON object of the file."""
    try:
        data = json.loads("\n".join(read_lines(path)))
    except json.JSONDecodeError as error:
        raise FileFormatError(path, f"not JSON: {error.msg}", error.lineno) from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise FileFormatError(path, f"not JSON that can be read: {error}") from error
    if not isinstance(data, dict):
        raise FileFormatError(path, f"holds a JSON {type(data).__name__}, expected an object with nodes and links")
    return data


def records(path: Path, data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under a key."""
    rows = data.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FileFormatError(path, f"{key!r} is missing or no list of objects: expected node-link JSON")
    return rows


def identity(path: Path, name: object, what: str) -> Hashable:
    """A node id as something that can be looked up; lists become tuples, as NetworkX has it."""
    if isinstance(name, list):
        return tuple(identity(path, part, what) for part in name)
    if isinstance(name, dict) or (isinstance(name, float) and not math.isfinite(name)):
        raise FileFormatError(path, f"{what} has the id {clip(str(name))}, expected a string or a number")
    return name


def ends(path: Path, link: dict[str, Any], what: str, number: dict[Hashable, int]) -> tuple[int, int]:
    """Numbers of the two nodes of a link."""
    found = []
    for end in ("source", "target"):
        if end not in link:
            raise FileFormatError(path, f"{what} has no {end!r}")
        name = identity(path, link[end], what)
        if name not in number:
            raise FileFormatError(path, f"{what} has the {end} {clip(str(name))}, which is the id of no node")
        found.append(number[name])
    return found[0], found[1]


def value(path: Path, item: object, what: str) -> float:
    """A finite number."""
    if isinstance(item, bool) or not isinstance(item, int | float) or not abs(item) <= 1e308:
        raise FileFormatError(path, f"{what} is {clip(str(item))}, expected a finite number")
    return float(item)


def places(path: Path, nodes: list[dict[str, Any]]) -> list[list[float]] | None:
    """Positions of the nodes: all or none must have them, in 2 or 3 coordinates."""
    points = []
    for k, node in enumerate(nodes):
        point = node.get("pos", [node[axis] for axis in "xyz" if axis in node] if "x" in node else None)
        if point is None:
            continue
        if not isinstance(point, list) or len(point) not in (2, 3):
            raise FileFormatError(path, f"the position of nodes[{k}] is {clip(str(point))}, expected 2 or 3 numbers")
        points.append([value(path, part, f"the position of nodes[{k}]") for part in point])
    if not points:
        return None
    if len(points) != len(nodes) or len({len(point) for point in points}) != 1:
        raise FileFormatError(path, "positions: expected all nodes to have one of equal length, or none")
    return points
