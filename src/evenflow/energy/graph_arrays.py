"""A graph as plain arrays, for files without pickle."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from evenflow.graph import Graph

__all__ = ["graph_from_arrays", "graph_to_arrays"]


def graph_to_arrays(graph: Graph) -> dict[str, Any]:
    """Everything a graph holds, as arrays, numbers and lists; node names other than numbers and text become text."""
    return {
        "n_nodes": graph.n_nodes,
        "edges": graph.edges,
        "weights": graph.weights,
        "positions": graph.positions,
        "triangles": graph.triangles,
        "edge_data": dict(graph.edge_data),
        "oriented": sorted(graph.oriented),
        "names": None if graph.names is None else [_plain(name) for name in graph.names],
        "grid": None if graph.grid is None else list(graph.grid),
        "periodic": graph.periodic,
    }


def graph_from_arrays(saved: Mapping[str, Any]) -> Graph:
    """Inverse of :func:`graph_to_arrays`."""

    def array(name: str, dtype: Any) -> Any:
        return None if saved[name] is None else np.array(saved[name], dtype=dtype)

    return Graph(
        int(saved["n_nodes"]),
        np.array(saved["edges"], dtype=np.int64).reshape(-1, 2),
        np.array(saved["weights"], dtype=np.float64),
        positions=array("positions", np.float64),
        triangles=array("triangles", np.int64),
        edge_data={name: np.array(values) for name, values in saved["edge_data"].items()},
        oriented=saved["oriented"],
        names=None if saved["names"] is None else [_hashable(name) for name in saved["names"]],
        grid=saved["grid"],
        periodic=bool(saved["periodic"]),
    )


def _plain(name: Hashable) -> Any:
    if isinstance(name, tuple):
        return [_plain(part) for part in name]
    if isinstance(name, np.integer):
        return int(name)
    return name if isinstance(name, int | float | str) else str(name)


def _hashable(name: Any) -> Hashable:
    return tuple(_hashable(part) for part in name) if isinstance(name, list) else name
