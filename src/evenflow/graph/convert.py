"""Graphs from and to NetworkX, SciPy and PyTorch Geometric."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError
from evenflow.graph.arrays import integers, reals
from evenflow.graph.edge_list import Duplicates, SelfLoops, Symmetrize, symmetrised
from evenflow.graph.graph import Graph

if TYPE_CHECKING:
    import networkx as nx
    import torch_geometric.data

__all__ = ["from_networkx", "from_pyg", "from_scipy", "to_networkx", "to_pyg"]


def attribute(items: Sequence[tuple[Any, Mapping[str, Any]]], name: str, kind: str) -> list[Any] | None:
    """Values of one attribute of all nodes or edges; None if none has it, an error if only some have."""
    values = [attributes[name] for _, attributes in items if name in attributes]
    if values and len(values) < len(items):
        item = next(key for key, attributes in items if name not in attributes)
        raise InputError(f"{kind} {item!r} has no {name!r} while others have: give it to all or to none")
    return values or None


def from_networkx(
    graph: nx.Graph,
    *,
    weight: str | None = "weight",
    positions: str | Mapping[Hashable, Sequence[float]] | None = "pos",
    edge_data: Collection[str] = (),
    oriented: Collection[str] = (),
    duplicates: Duplicates = "error",
    self_loops: SelfLoops = "error",
    symmetrize: Symmetrize = "error",
) -> Graph:
    """Build a graph from a NetworkX graph; node order is kept.

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
    weight : str or None
        Edge attribute that holds the weights; all ones if no edge has it, or for None.
    positions : str, mapping or None
        Node attribute that holds the positions (used if the nodes have it), or positions by node.
    edge_data : collection of str
        Edge attributes to keep.
    oriented : collection of str
        Those that change sign with the direction; an undirected edge is read from the node that comes first.
    duplicates, self_loops
        As in :meth:`evenflow.Graph.from_edges`.
    symmetrize : {"error", "mean", "sum", "max"}
        For directed graphs: how to join a_ij and a_ji where they differ (an absent arc has weight 0).

    Returns
    -------
    Graph
        ``names`` holds the nodes, unless they are 0 .. n-1 in order.

    Raises
    ------
    InputError
        Naming the edge at fault and the argument that would change the rule.

    Examples
    --------
    >>> import networkx as nx
    >>> from_networkx(nx.path_graph(["a", "b", "c"])).names
    ('a', 'b', 'c')
    """
    nodes = list(graph.nodes)
    number = {node: k for k, node in enumerate(nodes)}
    listed = [((u, v), attributes) for u, v, attributes in graph.edges(data=True)]
    pairs = np.array([(number[u], number[v]) for (u, v), _ in listed], dtype=np.int64).reshape(-1, 2)
    value: npt.ArrayLike | None = attribute(listed, weight, "edge") if weight is not None else None
    data = {}
    for name in edge_data:
        column = attribute(listed, name, "edge")
        if column is None:
            raise InputError(f"edge_data names {name!r}, which no edge has")
        data[name] = np.array(column)
    weights = np.ones(len(pairs)) if value is None else reals(value, f"edge attribute {weight!r}", (len(pairs),))
    if graph.is_directed():
        pairs, weights, data = symmetrised(
            pairs, len(nodes), weights, data, oriented=oriented, duplicates=duplicates, rule=symmetrize
        )
    place: list[Any] | None = None
    if isinstance(positions, str):
        place = attribute(list(graph.nodes(data=True)), positions, "node")
    elif positions is not None:
        missing = [node for node in nodes if node not in positions]
        if missing:
            raise InputError(f"positions has no entry for node {missing[0]!r}")
        place = [positions[node] for node in nodes]
    return Graph.from_edges(
        pairs,
        len(nodes),
        weights,
        place,
        data,
        oriented=oriented,
        names=None if nodes == list(range(len(nodes))) else nodes,
        duplicates=duplicates,
        self_loops=self_loops,
    )


def to_networkx(graph: Graph) -> nx.Graph:
    """NetworkX graph of a Graph.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    networkx.Graph
        Nodes are the names (or numbers) in order; edges have "weight" and the edge data from the node of lower
        number to the other; nodes have "pos" where there are positions.

    Examples
    --------
    >>> to_networkx(Graph.from_edges([(0, 1)], weights=[2.0])).edges[0, 1]
    {'weight': 2.0}
    """
    import networkx as nx

    result = nx.Graph()
    names = graph.names if graph.names is not None else range(graph.n_nodes)
    result.add_nodes_from(names)
    if graph.positions is not None:
        nx.set_node_attributes(result, dict(zip(names, graph.positions.tolist(), strict=True)), "pos")
    columns = {"weight": graph.weights.tolist(), **{key: array.tolist() for key, array in graph.edge_data.items()}}
    for k, (i, j) in enumerate(graph.edges.tolist()):
        result.add_edge(names[i], names[j], **{key: column[k] for key, column in columns.items()})
    return result


def from_scipy(
    matrix: Any,
    positions: npt.ArrayLike | None = None,
    *,
    names: Sequence[Hashable] | None = None,
    symmetrize: Symmetrize = "error",
    self_loops: SelfLoops = "error",
) -> Graph:
    """Build a graph from a square adjacency matrix; every stored entry is an edge.

    Parameters
    ----------
    matrix : sparse array, sparse matrix or array_like, shape (n, n)
        Entries (i, j) stored twice are added, as SciPy does.
    positions : array_like of float, shape (n, 2) or (n, 3), optional
    names : sequence of hashable, optional
    symmetrize : {"error", "mean", "sum", "max"}
        How to join a_ij and a_ji where they differ (an absent entry is 0).
    self_loops : {"error", "drop"}
        What to do with a diagonal entry that is not 0.

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        Naming the entry at fault and the argument that would change the rule.

    Examples
    --------
    >>> from_scipy([[0.0, 2.0], [2.0, 0.0]])
    Graph(nodes=2, edges=1, components=1, degrees=1..1)
    """
    import scipy.sparse as sp

    if not sp.issparse(matrix):
        matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"matrix has shape {matrix.shape}, expected (n, n): an adjacency matrix is square")
    entries = sp.coo_array(matrix, copy=True)
    entries.sum_duplicates()
    n_nodes = entries.shape[0]
    value = reals(entries.data, "matrix.data", (None,))
    pairs = np.stack([entries.row, entries.col], axis=1).astype(np.int64)
    keep = (pairs[:, 0] != pairs[:, 1]) | (value != 0.0)
    pairs, value, _ = symmetrised(pairs[keep], n_nodes, value[keep], {}, rule=symmetrize)
    return Graph.from_edges(pairs, n_nodes, value, positions, names=names, self_loops=self_loops)


def from_pyg(
    data: torch_geometric.data.Data,
    *,
    weight: str = "edge_weight",
    edge_data: Collection[str] = (),
    oriented: Collection[str] = (),
    duplicates: Duplicates = "error",
    self_loops: SelfLoops = "error",
    symmetrize: Symmetrize = "error",
) -> Graph:
    """Build a graph from PyTorch Geometric ``Data``, which lists every undirected edge in both directions.

    Parameters
    ----------
    data : torch_geometric.data.Data
        ``edge_index`` (2, m); used where present: ``pos``, ``face`` (3, t) and the weights.
    weight : str
        Name of the weights, one for each column of ``edge_index``; ones if absent.
    edge_data : collection of str
        Edge data to keep; "offset" is read from ``data.edge_offset``.
    oriented, duplicates, self_loops
        As in :meth:`evenflow.Graph.from_edges`.
    symmetrize : {"error", "mean", "sum", "max"}
        How to join the two directions where they differ (an absent one has weight 0).

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        Naming the entry at fault and the argument that would change the rule.

    Examples
    --------
    >>> data = to_pyg(Graph.from_edges([(0, 1), (1, 2)]))
    >>> from_pyg(data).edges.tolist()
    [[0, 1], [1, 2]]
    """
    if data.edge_index is None:
        raise InputError("data has no edge_index")
    pairs = integers(data.edge_index.detach().cpu().numpy().T, "edge_index")
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InputError(f"edge_index has shape {tuple(data.edge_index.shape)}, expected (2, m)")

    def array(name: str) -> npt.NDArray[Any] | None:
        value = data.get(name)
        return None if value is None else value.detach().cpu().numpy()

    value = array(weight)
    if value is not None and value.ndim == 2 and value.shape[1] == 1:
        value = value[:, 0]
    weights = np.ones(len(pairs)) if value is None else reals(value, weight, (len(pairs),))
    columns = {}
    for name in edge_data:
        column = array(f"edge_{name}")
        if column is None:
            raise InputError(f"edge_data names {name!r}, but data has no edge_{name}")
        columns[name] = column
    n_nodes = int(data.num_nodes)
    pairs, weights, columns = symmetrised(
        pairs, n_nodes, weights, columns, oriented=oriented, duplicates=duplicates, rule=symmetrize
    )
    face = array("face")
    return Graph.from_edges(
        pairs,
        n_nodes,
        weights,
        array("pos"),
        columns,
        oriented=oriented,
        triangles=None if face is None else face.T,
        self_loops=self_loops,
    )


def to_pyg(graph: Graph) -> torch_geometric.data.Data:
    """PyTorch Geometric ``Data`` of a Graph, every edge in both directions.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    torch_geometric.data.Data
        ``edge_index`` (2, 2m), ``edge_weight``, ``num_nodes``; ``pos`` and ``face`` where there are positions
        and triangles; edge data "offset" as ``edge_offset``, with the sign of the direction where oriented.

    Examples
    --------
    >>> to_pyg(Graph.from_edges([(0, 1)])).edge_index.tolist()
    [[0, 1], [1, 0]]
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch_geometric scripts its modules on import
        from torch_geometric.data import Data

    indptr, indices, edge = graph.rows
    row = np.repeat(np.arange(graph.n_nodes), np.diff(indptr))
    result = Data(edge_index=torch.tensor(np.stack([row, indices])), num_nodes=graph.n_nodes)
    result.edge_weight = torch.tensor(graph.weights[edge])
    for name in graph.edge_data:
        result[f"edge_{name}"] = torch.tensor(graph.slot_data(name))
    if graph.positions is not None:
        result.pos = torch.tensor(graph.positions)
    if graph.triangles is not None:
        result.face = torch.tensor(graph.triangles.T.copy())
    return result
