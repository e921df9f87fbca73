"""Sparse Hessians from a few products: columns that share no row are probed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.graph import Graph

__all__ = ["NeighbourHessian", "two_hop_coloring"]

IntArray = npt.NDArray[np.int64]


def two_hop_coloring(graph: Graph) -> IntArray:
    """Greedy colouring in which nodes at distance one or two differ [1]_.

    References
    ----------
    .. [1] Curtis, Powell, Reid, "On the estimation of sparse Jacobian matrices", 1974.
    """
    indptr, indices, _ = graph.rows
    starts, neighbours = indptr.tolist(), indices.tolist()
    color = [-1] * graph.n_nodes
    order = np.argsort(-np.diff(indptr), kind="stable").tolist()
    for i in order:
        near = neighbours[starts[i] : starts[i + 1]]
        taken = {color[j] for j in near}
        for j in near:
            taken.update(color[k] for k in neighbours[starts[j] : starts[j + 1]])
        found = 0
        while found in taken:
            found += 1
        color[i] = found
    return np.array(color, dtype=np.int64)


class NeighbourHessian:
    """The Hessian of an energy that couples neighbours only; one matrix, refreshed in place.

    Parameters
    ----------
    graph : Graph
    shape : tuple of int
        Of the states.
    fixed : tuple of ndarray or None
        Fixed nodes and values: their rows and columns hold a unit diagonal only.
    """

    def __init__(self, graph: Graph, shape: tuple[int, ...], fixed: tuple[IntArray, FloatArray] | None) -> None:
        import scipy.sparse as sp

        dim = shape[1] if len(shape) == 2 else 1
        pattern = sp.csr_array(abs(graph.adjacency) + sp.eye_array(graph.n_nodes), dtype=np.float64)
        pattern.data[:] = 1.0
        pattern = sp.kron(pattern, np.ones((dim, dim)), format="coo")
        if fixed is not None:
            free = np.ones(shape, dtype=bool)
            free[fixed[0]] = False
            flat = free.ravel()
            keep = (flat[pattern.row] & flat[pattern.col]) | (pattern.row == pattern.col)
            pattern = sp.coo_array((pattern.data[keep], (pattern.row[keep], pattern.col[keep])), shape=pattern.shape)
            self._pinned = np.flatnonzero(~flat)
        else:
            self._pinned = np.empty(0, dtype=np.int64)
        self._matrix = pattern.tocsr()
        self._matrix.sort_indices()
        self._row = np.repeat(np.arange(self._matrix.shape[0]), np.diff(self._matrix.indptr))
        self._shape = shape
        color = (two_hop_coloring(graph)[:, None] * dim + np.arange(dim)).ravel()
        self._color, self._count = color, int(color.max(initial=-1)) + 1
        self._entry_color = color[self._matrix.indices]

    def assemble(self, product: Callable[[FloatArray], FloatArray]) -> sp.csr_array:
        """Fill the matrix from ``product(seed) -> H seed``, seed shaped like the states, one call a colour."""
        for k in range(self._count):
            chosen = self._entry_color == k
            seed = (self._color == k).astype(np.float64)
            seed[self._pinned] = 0.0
            self._matrix.data[chosen] = product(seed.reshape(self._shape)).ravel()[self._row[chosen]]
        if self._pinned.size:
            here = np.isin(self._row, self._pinned)
            self._matrix.data[here] = (self._matrix.indices[here] == self._row[here]).astype(np.float64)
        return self._matrix
