"""Surrogate: a sparse matrix that stands for a Hessian of which only products are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.minimizer.linear_algebra import Rows
from evenflow.minimizer.problem import Problem

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Surrogate"]


class Surrogate:
    """a C + D: the curvature C that an energy has early on, scaled, and a diagonal D, for the Hessian H at a point.

    The product of H with a vector of ones gives D = (H - a C) 1, exactly if H is such a sum. The curvature along one
    vector s of random signs gives a [1]_: s.H s = a s.C s + sum_i D_i. Where states have several components, each has
    its own vector of ones. Negative entries of D are left out, so that the sum is positive semi-definite as C is.

    Parameters
    ----------
    problem : Problem
        Whose energy has a curvature, and whose map is the identity.

    References
    ----------
    .. [1] M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing
       splines", Comm. Statist. Simulation Comput. 18, 1989.

    Examples
    --------
    >>> import numpy as np, torch, evenflow as ef
    >>> from evenflow.history import Counts
    >>> from evenflow.minimizer.problem import Problem
    >>> from evenflow.minimizer.surrogate import Surrogate
    >>> from evenflow.reparametrization import Identity
    >>> graph = ef.gallery.lattice(4, 4)
    >>> i, j = torch.tensor(graph.edges.T)
    >>> energy = ef.TorchEnergy(lambda w: 3 * ((w[i] - w[j]) ** 2).sum() + (w**2).sum(), shape=16, graph=graph)
    >>> identity, w, counts = Identity(), np.zeros(16), Counts()
    >>> identity.setup(energy, None, counts)
    >>> problem = Problem(energy, identity, counts)
    >>> matrix = Surrogate(problem).at(problem, w)  # two products; here it is the Hessian, 6 L + 2
    >>> bool(np.allclose(matrix @ np.arange(16.0), energy.hvp(w, np.arange(16.0))))
    True
    """

    def __init__(self, problem: Problem) -> None:
        import scipy.sparse as sp

        curvature = problem.curvature()
        self._free = problem.energy.free_mask().ravel()
        self._components = problem.energy.components
        self._signs = np.where(np.random.default_rng(0).random(problem.size) < 0.5, -1.0, 1.0) * self._free
        self._row_sums = self._apply_to_ones(lambda v: curvature @ v)
        self._bend = float(self._signs @ (curvature @ self._signs)) - float(self._row_sums.sum())
        self._diagonal = curvature.diagonal()
        self._matrix = sp.csr_array(curvature + sp.eye_array(problem.size))  # which makes room for every diagonal entry
        self._matrix.sum_duplicates()
        self._rows = Rows(self._matrix)
        self._rows.put_diagonal(self._matrix.data, self._diagonal)
        self._couplings = self._matrix.data.copy()

    def _apply_to_ones(self, product: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Sums of rows over the free states of the same component, zero at fixed ones."""
        sums = np.zeros(self._free.size)
        for component in range(self._components):
            ones = np.zeros(self._free.size)
            ones[component :: self._components] = 1.0
            ones *= self._free
            sums += ones * product(ones)
        return sums

    def at(self, problem: Problem, theta: FloatArray) -> sp.csr_array:
        """Return the matrix for the Hessian at ``theta``, CSR (size, size); the next call refreshes it in place.

        Where products are not finite, or the couplings have the wrong sign in the mean, C itself keeps its place.
        """
        product = problem.hvp(theta)
        row_sums = self._apply_to_ones(product)
        bend = float(self._signs @ product(self._signs)) - float(row_sums.sum())
        scale = bend / self._bend if self._bend > 0.0 else 0.0
        if not 0.0 < scale < math.inf:
            scale = 1.0
        beyond = row_sums - scale * self._row_sums
        np.multiply(self._couplings, scale, out=self._matrix.data)
        diagonal = scale * self._diagonal + np.where(np.isfinite(beyond), np.maximum(beyond, 0.0), 0.0)
        self._rows.put_diagonal(self._matrix.data, diagonal)
        return self._matrix
