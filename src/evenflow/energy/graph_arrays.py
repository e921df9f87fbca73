"""A graph as plain arrays, for files without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evenflow.graph import Graph

__all__ = ["graph_from_arrays", "graph_to_arrays"]

_OPTIONAL = ("positions", "triangles")


def graph_to_arrays(graph: Graph) -> dict[str, Any]:
    """Everything a graph holds, as arrays, numbers and lists of strings."""
    saved: dict[str, Any] = {"n_nodes": graph.n_nodes, "edges": graph.edges, "weights": graph.weights}
    saved |= {name: getattr(graph, name) for name in _OPTIONAL}
    grid = getattr(graph, "grid", None)
    saved["grid"] = None if grid is None else list(grid)
    saved["edge_data"] = dict(graph.edge_data)
    saved["oriented"] = sorted(graph.oriented)
    return saved


def graph_from_arrays(saved: Mapping[str, Any]) -> Graph:
    """Inverse of :func:`graph_to_arrays`."""

    def array(name: str, dtype: Any) -> Any:
        return None if saved[name] is None else np.array(saved[name], dtype=dtype)

    options: dict[str, Any] = {"grid": tuple(saved["grid"])} if saved["grid"] is not None else {}
    return Graph(
        int(saved["n_nodes"]),
        np.array(saved["edges"], dtype=np.int64).reshape(-1, 2),
        np.array(saved["weights"], dtype=np.float64),
        positions=array("positions", np.float64),
        triangles=array("triangles", np.int64),
        edge_data={name: np.array(values) for name, values in saved["edge_data"].items()},
        oriented=saved["oriented"],
        **options,
    )
