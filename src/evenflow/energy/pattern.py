"""HessianPattern: where the entries of a sparse Hessian stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from evenflow.energy.potential import Potential

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.graph import Graph

__all__ = ["HessianPattern"]


@njit(cache=True, nogil=True)
def _insert_diagonal(indptr, indices, new_ptr, new_indices):  # type: ignore[no-untyped-def]
    """Rows of ascending indices with the diagonal entry in its place."""
    t = 0
    new_ptr[0] = 0
    for i in range(len(indptr) - 1):
        waiting = True
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if waiting and j > i:
                new_indices[t] = i
                t += 1
                waiting = False
            new_indices[t] = j
            t += 1
        if waiting:
            new_indices[t] = i
            t += 1
        new_ptr[i + 1] = t


class HessianPattern:
    """Adjacency and diagonal, in d x d blocks for d components, or two hops for neighbourhood sums.

    Attributes
    ----------
    indptr1, indices1 : ndarray
        Compressed rows of adjacency and diagonal, indices ascending.
    """

    def __init__(self, potential: Potential, graph: Graph) -> None:
        import scipy.sparse as sp

        indptr, indices, _ = graph.rows
        n = graph.n_nodes
        kind = np.int32 if len(indices) + n < 2**31 else np.int64
        self.indptr1, self.indices1 = np.empty(n + 1, kind), np.empty(len(indices) + n, kind)
        _insert_diagonal(indptr, indices, self.indptr1, self.indices1)
        self._indptr, self._indices, self._shape = self.indptr1, self.indices1, (n, n)
        if potential.sums or potential.dim > 1:
            one = sp.csr_array((np.ones(len(self.indices1)), self.indices1, self.indptr1), shape=(n, n))
            size = potential.dim
            full = (one @ one).tocsr() if potential.sums else sp.kron(one, np.ones((size, size)), format="csr")
            full.sort_indices()
            self._indptr, self._indices, self._shape = full.indptr, full.indices, full.shape

    def matrix(self) -> sp.csr_array:
        """Return a matrix of this pattern with values still to come."""
        import scipy.sparse as sp

        matrix = sp.csr_array((np.empty(len(self._indices)), self._indices, self._indptr), shape=self._shape)
        matrix.has_canonical_format = True  # or scipy would look again
        return matrix
