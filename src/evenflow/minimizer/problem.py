"""Problem: an energy seen through a change of variables, every evaluation counted."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from evenflow.energy.base import BaseEnergy, FloatArray, HessianProduct
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.reparametrization.base import Reparametrization

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Problem"]


class Problem:
    """What a minimizer sees: f(theta) = E(R(theta)) over flat float64 vectors.

    Parameters
    ----------
    energy : BaseEnergy
    reparametrization : Reparametrization
        Already set up for ``energy``.
    counts : Counts
        Shared by the whole solve.
    """

    def __init__(self, energy: BaseEnergy, reparametrization: Reparametrization, counts: Counts) -> None:
        self.energy = energy
        self.map = reparametrization
        self.counts = counts
        self.size = reparametrization.size
        self.is_identity = reparametrization.name == "identity"

    def value(self, theta: FloatArray) -> float:
        """Energy at theta."""
        self.counts.value += 1
        return self.energy.value(self.map.decode(theta))

    def value_and_gradient(self, theta: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        """Energy and its gradient in theta, written to ``out`` (flat) if given."""
        self.counts.gradient += 1
        if self.is_identity:
            shape = self.energy.shape
            energy, gradient = self.energy.value_and_gradient(
                theta.reshape(shape), None if out is None else out.reshape(shape)
            )
            return energy, gradient.reshape(-1)
        energy, g_w = self.energy.value_and_gradient(self.map.decode(theta))
        return energy, self.map.pullback(theta, g_w, out)

    @property
    def has_hvp(self) -> bool:
        """Whether Hessian products can be had (the map is linear)."""
        return self.map.linear

    @cached_property
    def has_hessian(self) -> bool:
        """Whether the sparse Hessian in theta can be assembled."""
        return self.is_identity and self.energy.sparse_hessian

    def hessian(self, theta: FloatArray) -> sp.csr_array:
        """Sparse Hessian at theta (identity map only); refreshed in place by the next call."""
        if not self.has_hessian:
            raise InputError("this problem has no sparse Hessian: check problem.has_hessian first")
        self.counts.hessian += 1
        return self.energy.hessian(theta.reshape(self.energy.shape))

    def hessian_diagonal(self, theta: FloatArray) -> FloatArray:
        """Diagonal of the sparse Hessian at theta, counted like the whole."""
        self.counts.hessian += 1
        return self.energy.hessian_diagonal(theta.reshape(self.energy.shape))

    def diagonal_series(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Second to fourth derivatives along each unknown, where :attr:`constant_couplings`; counted as a Hessian."""
        self.counts.hessian += 1
        return self.energy.diagonal_series(theta.reshape(self.energy.shape))

    def hvp(self, theta: FloatArray) -> HessianProduct:
        """Return v -> H(theta) v, flat, without assembling H; each product is counted."""
        if not self.has_hvp:
            raise InputError(
                f"the {self.map.name} reparametrization is not linear, so it offers no Hessian products; "
                "drive it with a first-order minimizer"
            )
        hvp = self.energy.linearise(self.map.decode(theta))  # which copies it

        def product(v: FloatArray, out: FloatArray | None = None) -> FloatArray:
            self.counts.hvp += 1
            if self.is_identity:
                shape = self.energy.shape
                return hvp(v.reshape(shape), None if out is None else out.reshape(shape)).reshape(-1)
            return self.map.pullback(theta, hvp(self.map.push(v)), out)

        return product

    @cached_property
    def constant_couplings(self) -> bool:
        """Whether only the diagonal of the Hessian depends on theta (identity map only)."""
        return self.is_identity and self.energy.constant_couplings

    @cached_property
    def light_products(self) -> bool:
        """Whether products without the assembled Hessian read less memory than with it (identity map only)."""
        return self.is_identity and self.energy.light_products

    @cached_property
    def quartic(self) -> bool:
        """Whether its fourth-order expansion is the energy (identity map only)."""
        return self.is_identity and self.energy.quartic

    def curvature(self) -> sp.csr_array:
        """The energy's early-stage Hessian, in theta for the identity map."""
        return self.energy.curvature()
