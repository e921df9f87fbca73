"""Structure: the matrices and index arrays that follow from the edges of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError
from evenflow.graph.arrays import reals

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Structure"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Structure:
    """The part of :class:`evenflow.Graph` that is computed from its edges, at first use and once.

    Attributes
    ----------
    n_nodes : int
    edges : ndarray of int64, shape (m, 2)
    weights : ndarray of float64, shape (m,)
    edge_data : mapping of str to ndarray, shape (m, ...)
    oriented : frozenset of str
    """

    n_nodes: int
    edges: IntArray
    weights: FloatArray
    edge_data: Mapping[str, npt.NDArray[Any]]
    oriented: frozenset[str]

    @property
    def n_edges(self) -> int:
        """Number of undirected edges."""
        return len(self.edges)

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray, IntArray]:
        """Adjacency in compressed rows: (indptr (n+1,), indices (2m,), edge (2m,)), not to be written to.

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
    def signs(self) -> FloatArray:
        """Direction of each slot of :attr:`rows`, shape (2m,): +1 from lower to upper node, else -1."""
        indptr, indices, _ = self.rows
        row = np.repeat(np.arange(self.n_nodes), np.diff(indptr))
        return np.where(indices > row, 1.0, -1.0)

    def slot_data(self, name: str) -> npt.NDArray[Any]:
        """Edge data laid out along the slots of :attr:`rows`, shape (2m, ...), signs of oriented data applied."""
        if name not in self.edge_data:
            raise InputError(f"edge_data has no {name!r}: it holds {sorted(self.edge_data)}")
        value: npt.NDArray[Any] = self.edge_data[name][self.rows[2]]
        return value * self.signs.reshape(-1, *[1] * (value.ndim - 1)) if name in self.oriented else value

    @cached_property
    def adjacency(self) -> sp.csr_array:
        """Weighted adjacency A, symmetric CSR (n, n)."""
        import scipy.sparse as sp

        indptr, indices, edge = self.rows
        small = np.int32 if len(indices) < 2**31 else np.int64  # 32-bit indices are what pyamg and SuperLU take
        arrays = (self.weights[edge], indices.astype(small), indptr.astype(small))
        return sp.csr_array(arrays, shape=(self.n_nodes, self.n_nodes))

    @cached_property
    def degrees(self) -> FloatArray:
        """Weighted degrees, shape (n,)."""
        ends, value = self.edges.ravel(), np.repeat(self.weights, 2)
        return np.bincount(ends, value, minlength=self.n_nodes).astype(np.float64)

    @cached_property
    def laplacian(self) -> sp.csr_array:
        """Graph Laplacian L = D - A, CSR (n, n)."""
        import scipy.sparse as sp

        return (sp.diags_array(self.degrees) - self.adjacency).tocsr()

    def connection_laplacian(self, offsets: str | npt.ArrayLike = "offset") -> sp.csr_array:
        r"""Hermitian Laplacian of phases with edge offsets, complex CSR (n, n).

        Parameters
        ----------
        offsets : str or array_like, shape (m,)
            Name of oriented edge data, or values :math:`\delta_{ij}`, i < j, in radians.

        Returns
        -------
        csr_array of complex128
            :math:`L_c = D - W` with :math:`W_{ij} = a_{ij} e^{i \delta_{ij}}`, so that
            :math:`z^* L_c z = \sum_{i<j} a_{ij} |z_i - e^{i \delta_{ij}} z_j|^2`.

        Examples
        --------
        >>> from evenflow.graph import Graph
        >>> graph = Graph.from_edges([(0, 1)])
        >>> graph.connection_laplacian([np.pi]).toarray().real
        array([[1., 1.],
               [1., 1.]])
        """
        import scipy.sparse as sp

        delta = self.edge_data.get(offsets) if isinstance(offsets, str) else offsets
        if delta is None:
            raise InputError(f"edge_data has no {offsets!r}: it holds {sorted(self.edge_data)}")
        angle = reals(delta, "offsets", (self.n_edges,))[self.rows[2]] * self.signs
        matrix = self.adjacency.astype(np.complex128)
        matrix.data = matrix.data * np.exp(1j * angle)
        return (sp.diags_array(self.degrees.astype(np.complex128)) - matrix).tocsr()

    def normalised(self, rule: Literal["sym", "kipf"] = "kipf") -> sp.csr_array:
        """Propagation matrix of a graph network, CSR (n, n).

        Parameters
        ----------
        rule : {"sym", "kipf"}
            D^-1/2 A D^-1/2, or the same of A + I [1]_. An isolated node has a row of zeros in the first and
            a one on the diagonal in the second.

        Returns
        -------
        csr_array of float64

        Raises
        ------
        InputError
            If a node with neighbours has a degree that is not positive (negative weights).

        References
        ----------
        .. [1] T. N. Kipf, M. Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
           ICLR 2017, eq. 2.

        Examples
        --------
        >>> from evenflow.graph import Graph
        >>> Graph.from_edges([(0, 1)], n_nodes=3).normalised("kipf").toarray()
        array([[0.5, 0.5, 0. ],
               [0.5, 0.5, 0. ],
               [0. , 0. , 1. ]])
        """
        import scipy.sparse as sp

        if rule not in ("sym", "kipf"):
            raise InputError(f"rule={rule!r} is not known: use 'sym' or 'kipf'")
        matrix = self.adjacency + sp.eye_array(self.n_nodes, format="csr") if rule == "kipf" else self.adjacency
        degree = self.degrees + 1.0 if rule == "kipf" else self.degrees
        linked = np.diff(self.rows[0]) > 0
        bad = linked & ~(degree > 0.0)
        if bad.any():
            node = int(np.argmax(bad))
            raise InputError(
                f"node {node} has degree {degree[node]:g} under rule={rule!r}, which needs positive degrees: "
                "use non-negative weights (their absolute values) or another propagation rule"
            )
        scale = sp.diags_array(1.0 / np.sqrt(np.where(degree > 0.0, degree, 1.0)))
        return (scale @ matrix @ scale).tocsr()

    @cached_property
    def components(self) -> tuple[int, IntArray]:
        """Number of connected components and the component of each node."""
        if self.n_nodes == 0:
            return 0, np.zeros(0, dtype=np.int64)
        from scipy.sparse.csgraph import connected_components

        count, label = connected_components(self.adjacency, directed=False)
        return int(count), label.astype(np.int64)

    @property
    def isolated(self) -> IntArray:
        """Nodes without an edge."""
        return np.flatnonzero(np.diff(self.rows[0]) == 0)
