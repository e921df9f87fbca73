"""Model: what stands for the energy around a point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evenflow.energy.base import FloatArray, HessianProduct
from evenflow.minimizer.linear_algebra import IntArray, Rows, dot
from evenflow.minimizer.node_terms import NodeTerms
from evenflow.minimizer.uniform_rows import NOT_UNIFORM, UniformRows

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Model"]


@dataclass
class Model:
    """The model at a point: its Hessian, assembled or as a product, and what is known of higher order.

    Attributes
    ----------
    hessian : csr_array, optional
    rows : Rows, optional
        Its pattern.
    product : callable, optional
        v -> H v, where that is faster than the assembled Hessian, or there is none.
    diagonal : ndarray of shape (n,), optional
        That of ``hessian``, where nothing else has changed since the last model.
    terms : NodeTerms, optional
        What there is of third and fourth order, where all mixed derivatives of these orders vanish.
    """

    hessian: sp.csr_array | None = None
    rows: Rows | None = None
    product: HessianProduct | None = None
    diagonal: FloatArray | None = None
    terms: NodeTerms | None = None

    @property
    def assembled(self) -> tuple[IntArray, IntArray, FloatArray, bool] | None:
        """The Hessian as what kernels know it by, where products with it are made so."""
        if self.product is not None or self.hessian is None or self.rows is None:
            return None
        return self.rows.indptr, self.rows.indices, self.hessian.data, self.rows.scattered

    @property
    def uniform(self) -> UniformRows:
        """The Hessian as a solve of many products wants it, where products are made so and its couplings are equal."""
        if self.product is not None or self.hessian is None or self.rows is None:
            return NOT_UNIFORM
        return self.rows.uniform(self.hessian.data)

    def quadratic(self) -> Model:
        """The model up to second order."""
        return replace(self, terms=None)

    def curve(self, d: FloatArray, out: FloatArray) -> float:
        """Write H d to ``out``; return d . H d."""
        if self.product is not None:
            self.product(d, out)
            return dot(d, out)
        assert self.hessian is not None
        assert self.rows is not None
        return self.rows.product(self.hessian.data, d, out)
