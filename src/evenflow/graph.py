"""Graph: an immutable, undirected, weighted graph held as arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Graph"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Graph:
    """Undirected weighted graph; every edge is stored once as (i, j) with i < j.

    Build one with a ``from_*`` constructor, :func:`evenflow.read_graph` or :mod:`evenflow.gallery`.

    Attributes
    ----------
    n_nodes, n_edges : int
    edges : ndarray of int64, shape (m, 2)
        Sorted lexicographically, ``edges[:, 0] < edges[:, 1]``.
    weights : ndarray of float64, shape (m,)
    positions : ndarray of float64, shape (n, 2) or (n, 3), or None
    triangles : ndarray of int64, shape (t, 3), or None
    edge_data : dict of str to ndarray, shape (m, ...)
        Values of edge (i, j), i < j; names in ``oriented`` change sign with the direction.
    oriented : frozenset of str
    """

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
    ) -> None:
        self.n_nodes = int(n_nodes)
        self.edges = edges
        self.weights = weights
        self.positions = positions
        self.triangles = triangles
        self.edge_data = dict(edge_data or {})
        self.oriented = frozenset(oriented)
        for array in (edges, weights, positions, triangles, *self.edge_data.values()):
            if array is not None:
                array.setflags(write=False)

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
    ) -> Graph:
        """Build a graph from an (m, 2) array of node pairs."""
        pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
        count = int(n_nodes) if n_nodes is not None else int(pairs.max(initial=-1)) + 1
        if (pairs[:, 0] == pairs[:, 1]).any():
            raise InputError("edges holds a self-loop")
        lower, upper = pairs.min(axis=1), pairs.max(axis=1)
        flipped = pairs[:, 0] > pairs[:, 1]
        order = np.argsort(lower * count + upper, kind="stable")
        value = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=np.float64)
        data: dict[str, npt.NDArray[Any]] = {}
        for name, column in (edge_data or {}).items():
            array = np.array(column)
            if name in oriented:
                array[flipped] = -array[flipped]
            data[name] = array[order]
        return cls(
            count,
            np.stack([lower, upper], axis=1)[order],
            value[order],
            positions=None if positions is None else np.array(positions, dtype=np.float64),
            triangles=None if triangles is None else np.array(triangles, dtype=np.int64),
            edge_data=data,
            oriented=oriented,
        )

    @property
    def n_edges(self) -> int:
        """Number of undirected edges."""
        return len(self.edges)

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray, IntArray]:
        """Adjacency in compressed rows: (indptr (n+1,), indices (2m,), edge (2m,)).

        ``edge[k]`` is the row of :attr:`edges` behind slot k; the slot runs from the lower to the upper
        end of its edge exactly when ``indices[k]`` is greater than its row. Indices ascend within a row.
        """
        import scipy.sparse as sp

        i, j = self.edges[:, 0], self.edges[:, 1]
        number = np.arange(1, self.n_edges + 1, dtype=np.int64)
        half = sp.coo_array((number, (i, j)), shape=(self.n_nodes, self.n_nodes))
        full = (half + half.T).tocsr()
        full.sort_indices()
        return full.indptr.astype(np.int64), full.indices.astype(np.int64), full.data - 1

    @cached_property
    def adjacency(self) -> sp.csr_array:
        """Weighted adjacency A, symmetric CSR (n, n)."""
        import scipy.sparse as sp

        indptr, indices, edge = self.rows
        return sp.csr_array((self.weights[edge], indices, indptr), shape=(self.n_nodes, self.n_nodes))

    @cached_property
    def degrees(self) -> FloatArray:
        """Weighted degrees, shape (n,)."""
        return np.bincount(self.edges.ravel(), np.repeat(self.weights, 2), minlength=self.n_nodes)

    @cached_property
    def laplacian(self) -> sp.csr_array:
        """Graph Laplacian L = D - A, CSR (n, n)."""
        import scipy.sparse as sp

        return (sp.diags_array(self.degrees) - self.adjacency).tocsr()

    def normalised(self, rule: Literal["sym", "kipf"] = "kipf") -> sp.csr_array:
        """Propagation matrix D^-1/2 A D^-1/2 ("sym") or the same of A + I ("kipf")."""
        import scipy.sparse as sp

        eye = sp.eye_array(self.n_nodes, format="csr")
        matrix = self.adjacency + eye if rule == "kipf" else self.adjacency
        degree = np.asarray(matrix.sum(axis=1)).ravel()
        scale = sp.diags_array(1.0 / np.sqrt(np.where(degree > 0, degree, 1.0)))
        return (scale @ matrix @ scale).tocsr()

    @cached_property
    def components(self) -> tuple[int, IntArray]:
        """Number of connected components and the component of each node."""
        from scipy.sparse.csgraph import connected_components

        count, label = connected_components(self.adjacency, directed=False)
        return int(count), label.astype(np.int64)

    def __repr__(self) -> str:
        return f"Graph(nodes={self.n_nodes}, edges={self.n_edges})"
