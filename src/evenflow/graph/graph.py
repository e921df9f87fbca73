"""Graph: building one, and what it holds."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError
from evenflow.graph.arrays import as_array, integers, name_tuple, position_array, reals, triangle_array
from evenflow.graph.edge_list import Duplicates, SelfLoops, canonical, check_canonical, node_count, pair_array
from evenflow.graph.structure import Structure

if TYPE_CHECKING:
    import networkx as nx
    import scipy.sparse as sp
    import torch_geometric.data

__all__ = ["Graph"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Graph(Structure):
    """Undirected weighted graph; every edge is stored once as (i, j) with i < j.

    Build one with a ``from_*`` constructor, :func:`evenflow.read_graph` or :mod:`evenflow.gallery`. The
    arrays given here are taken over as they are (and made read-only); they must already be in order.
    Weights may be negative or zero; what cannot work with such weights refuses them itself.
    All arrays are read-only; ``torch.tensor(graph.edges)`` copies, where indexing a tensor by them would warn.

    Attributes
    ----------
    n_nodes, n_edges : int
    edges : ndarray of int64, shape (m, 2)
        Sorted lexicographically, ``edges[:, 0] < edges[:, 1]``.
    weights : ndarray of float64, shape (m,)
    positions : ndarray of float64, shape (n, 2) or (n, 3), or None
    triangles : ndarray of int64, shape (t, 3), or None
        Faces to draw; polygons are cut into fans.
    edge_data : mapping of str to ndarray, shape (m, ...)
        Values of edge (i, j), i < j; names in ``oriented`` change sign with the direction.
    oriented : frozenset of str
    names : tuple or None
        Name of each node where it is not its number.
    grid : tuple of int or None
        Shape of a lattice whose node number is the C-order index into that shape.
    periodic : bool
        Whether that lattice is closed on itself in every direction.

    Examples
    --------
    >>> graph = Graph.from_edges([(0, 1), (2, 1)])
    >>> graph
    Graph(nodes=3, edges=2, components=1, degrees=1..2)
    >>> graph.laplacian.toarray()
    array([[ 1., -1.,  0.],
           [-1.,  2., -1.],
           [ 0., -1.,  1.]])
    """

    positions: FloatArray | None
    triangles: IntArray | None
    names: tuple[Hashable, ...] | None
    grid: tuple[int, ...] | None
    periodic: bool

    def __init__(
        self,
        n_nodes: int,
        edges: IntArray,
        weights: FloatArray,
        *,
        positions: FloatArray | None = None,
        triangles: IntArray | None = None,
        edge_data: Mapping[str, npt.NDArray[Any]] | None = None,
        oriented: Collection[str] = (),
        names: Sequence[Hashable] | None = None,
        grid: Sequence[int] | None = None,
        periodic: bool = False,
    ) -> None:
        check_canonical(n_nodes, edges, weights)
        data = dict(edge_data or {})
        unknown = sorted(set(oriented) - set(data))
        if unknown:
            raise InputError(f"oriented names {unknown}, which edge_data lacks: it holds {sorted(data)}")
        for name, array in data.items():
            if array.shape[:1] != (len(edges),):
                raise InputError(f"edge_data[{name!r}] has shape {array.shape}, expected one row for each edge")
        if grid is not None and int(np.prod(grid)) != n_nodes:
            raise InputError(f"grid = {tuple(grid)} has {int(np.prod(grid))} points, expected n_nodes = {n_nodes}")
        for owned in (edges, weights, positions, triangles, *data.values()):
            if owned is not None:
                owned.setflags(write=False)
        self.__dict__.update(
            n_nodes=int(n_nodes),
            edges=edges,
            weights=weights,
            positions=position_array(positions, n_nodes),
            triangles=triangle_array(triangles, n_nodes),
            edge_data=MappingProxyType(data),
            oriented=frozenset(oriented),
            names=name_tuple(names, n_nodes),
            grid=None if grid is None else tuple(int(k) for k in grid),
            periodic=bool(periodic),
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable: {name} cannot be set; Graph.replace makes a changed copy")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.n_nodes, self.edges, self.weights, self._extras())

    def _extras(self) -> dict[str, Any]:
        names = ("positions", "triangles", "oriented", "names", "grid", "periodic")
        return {"edge_data": dict(self.edge_data)} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_edges(
        cls,
        edges: npt.ArrayLike,
        n_nodes: int | None = None,
        weights: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
        edge_data: Mapping[str, npt.ArrayLike] | None = None,
        *,
        oriented: Collection[str] = (),
        triangles: npt.ArrayLike | None = None,
        names: Sequence[Hashable] | None = None,
        grid: Sequence[int] | None = None,
        periodic: bool = False,
        duplicates: Duplicates = "error",
        self_loops: SelfLoops = "error",
    ) -> Graph:
        """Build a graph from an (m, 2) array of node pairs in any order and direction.

        Parameters
        ----------
        edges : array_like of int, shape (m, 2)
        n_nodes : int, optional
            Default: one row of ``positions`` or ``names`` each, or the largest index plus one.
        weights : array_like of float, shape (m,), optional
            Default: ones.
        positions : array_like of float, shape (n, 2) or (n, 3), optional
        edge_data : mapping of str to array_like, shape (m, ...), optional
            Values of edge (i, j) as listed.
        oriented : collection of str
            Names in ``edge_data`` whose values change sign when an edge is turned round to i < j.
        triangles : array_like of int, shape (t, 3), optional
        names : sequence of hashable, optional
        grid : sequence of int, optional
        periodic : bool
        duplicates : {"error", "sum", "first"}
            What to do with an edge listed more than once, in either direction. "error": an edge whose
            repetitions agree in weight and edge data (as when both directions are listed) counts once, any
            other is refused. "sum": weights are added, edge data are those listed first. "first": the first
            listed counts.
        self_loops : {"error", "drop"}

        Returns
        -------
        Graph

        Raises
        ------
        InputError
            Naming the entry at fault and the argument that would change the rule.

        Examples
        --------
        >>> Graph.from_edges([(1, 0), (1, 2)], weights=[2.0, 3.0]).adjacency.toarray()
        array([[0., 2., 0.],
               [2., 0., 3.],
               [0., 3., 0.]])
        >>> Graph.from_edges([(0, 1), (1, 0)], weights=[1.0, 2.0], duplicates="sum").weights
        array([3.])
        """
        pairs = pair_array(edges)
        others = {
            "positions": None if positions is None else len(np.atleast_1d(as_array(positions, "positions"))),
            "names": None if names is None else len(names),
        }
        count = node_count(n_nodes, pairs, others)
        value = np.ones(len(pairs)) if weights is None else reals(weights, "weights", (len(pairs),))
        edge_list, value, data = canonical(
            pairs, count, value, edge_data or {}, oriented=oriented, duplicates=duplicates, self_loops=self_loops
        )
        return cls(
            count,
            edge_list,
            value,
            positions=None if positions is None else reals(positions, "positions", (count, None)),
            triangles=None if triangles is None else integers(triangles, "triangles"),
            edge_data=data,
            oriented=oriented,
            names=names,
            grid=grid,
            periodic=periodic,
        )

    @classmethod
    def from_mesh(cls, path: str | Path, drop_unused: bool = False) -> Graph:
        """Graph of the edges of a surface mesh; the same as :func:`evenflow.io.read_mesh`."""
        from evenflow.io import read_mesh

        return read_mesh(path, drop_unused=drop_unused)

    @classmethod
    def from_networkx(cls, graph: nx.Graph, **options: Any) -> Graph:
        """Graph of a NetworkX graph; the options are those of :func:`evenflow.graph.convert.from_networkx`."""
        from evenflow.graph.convert import from_networkx

        return from_networkx(graph, **options)

    @classmethod
    def from_scipy(cls, matrix: Any, positions: npt.ArrayLike | None = None, **options: Any) -> Graph:
        """Graph of a square adjacency matrix; the options are those of :func:`evenflow.graph.convert.from_scipy`."""
        from evenflow.graph.convert import from_scipy

        return from_scipy(matrix, positions, **options)

    @classmethod
    def from_pyg(cls, data: torch_geometric.data.Data, **options: Any) -> Graph:
        """Graph of PyTorch Geometric ``Data``; the options are those of :func:`evenflow.graph.convert.from_pyg`."""
        from evenflow.graph.convert import from_pyg

        return from_pyg(data, **options)

    def to_networkx(self) -> nx.Graph:
        """NetworkX graph with "weight", the edge data, and "pos" of the nodes."""
        from evenflow.graph.convert import to_networkx

        return to_networkx(self)

    def to_scipy(self) -> sp.csr_array:
        """Weighted adjacency as a CSR array of its own, (n, n)."""
        return self.adjacency.copy()

    def to_pyg(self) -> torch_geometric.data.Data:
        """PyTorch Geometric ``Data``; see :func:`evenflow.graph.convert.to_pyg`."""
        from evenflow.graph.convert import to_pyg

        return to_pyg(self)

    def replace(self, **changes: Any) -> Graph:
        """Return a copy in which some of the attributes are others.

        Parameters
        ----------
        **changes
            ``weights``, ``positions``, ``triangles``, ``edge_data``, ``oriented``, ``names``, ``grid``,
            ``periodic``; edge values in the order of :attr:`edges`.

        Returns
        -------
        Graph

        Raises
        ------
        InputError
            For another name, or a value of the wrong shape.

        Examples
        --------
        >>> Graph.from_edges([(0, 1)]).replace(weights=[5.0]).weights
        array([5.])
        """
        extras = self._extras()
        unknown = sorted(set(changes) - set(extras) - {"weights"})
        if unknown:
            raise InputError(f"replace got {unknown}: expected some of {['weights', *sorted(extras)]}")
        if "edge_data" in changes and "oriented" not in changes:
            extras["oriented"] = self.oriented & set(changes["edge_data"])
        return Graph.from_edges(self.edges, self.n_nodes, **{"weights": self.weights, **extras, **changes})

    def subgraph(self, nodes: npt.ArrayLike) -> Graph:
        """Return the graph on some nodes, numbered in the order given; ``names`` keep where they came from.

        Parameters
        ----------
        nodes : array_like of int, shape (k,), or of bool, shape (n,)

        Returns
        -------
        Graph

        Raises
        ------
        InputError
            If a node is out of range or given twice.

        Examples
        --------
        >>> part = Graph.from_edges([(0, 1), (1, 2), (2, 3)]).subgraph([3, 2])
        >>> part.edges, part.names
        (array([[0, 1]]), (3, 2))
        """
        chosen = np.asarray(nodes)
        if chosen.dtype == np.bool_ and chosen.shape == (self.n_nodes,):
            chosen = np.flatnonzero(chosen)
        chosen = integers(chosen, "nodes")
        bad = (chosen < 0) | (chosen >= self.n_nodes)
        if chosen.ndim != 1 or bad.any():
            what = f"nodes[{int(np.argmax(bad))}] = {chosen[bad][0]}" if bad.any() else f"nodes of shape {chosen.shape}"
            raise InputError(f"{what}: expected a list of node numbers from 0 to {self.n_nodes - 1}")
        number = np.full(self.n_nodes, -1, dtype=np.int64)
        number[chosen] = np.arange(len(chosen))
        if (number[chosen] != np.arange(len(chosen))).any():
            at = int(np.argmax(number[chosen] != np.arange(len(chosen))))
            raise InputError(f"nodes[{at}] = {chosen[at]} is given twice: name each node once")
        inside = (number[self.edges] >= 0).all(axis=1)
        triangles = None
        if self.triangles is not None:
            triangles = number[self.triangles[(number[self.triangles] >= 0).all(axis=1)]]
        return Graph.from_edges(
            number[self.edges[inside]],
            len(chosen),
            self.weights[inside],
            None if self.positions is None else self.positions[chosen],
            {name: array[inside] for name, array in self.edge_data.items()},
            oriented=self.oriented,
            triangles=triangles,
            names=chosen.tolist() if self.names is None else [self.names[k] for k in chosen],
        )

    def largest_component(self) -> Graph:
        """Return the largest connected component (the first of equals); itself when the graph is connected."""
        count, label = self.components
        return self if count <= 1 else self.subgraph(label == np.argmax(np.bincount(label)))

    def _summary(self) -> dict[str, str]:
        neighbours = np.diff(self.rows[0])
        low, high = (int(neighbours.min()), int(neighbours.max())) if self.n_nodes else (0, 0)
        return {
            "nodes": str(self.n_nodes),
            "edges": str(self.n_edges),
            "components": str(self.components[0]),
            "degrees": f"{low}..{high}",
        }

    def __repr__(self) -> str:
        return f"Graph({', '.join(f'{key}={value}' for key, value in self._summary().items())})"

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><th>{key}</th><td>{value}</td></tr>" for key, value in self._summary().items())
        return f"<table><caption>Graph</caption>{cells}</table>"


def _rebuild(n_nodes: int, edges: IntArray, weights: FloatArray, extras: dict[str, Any]) -> Graph:
    return Graph(n_nodes, edges, weights, **extras)
