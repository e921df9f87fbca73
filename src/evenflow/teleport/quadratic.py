"""Quadratic: the orthogonal group of a positive definite quadratic form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from evenflow.errors import InputError
from evenflow.teleport.element import Element
from evenflow.teleport.group import Orbit, SymmetryGroup

__all__ = ["Quadratic"]


class Quadratic(SymmetryGroup):
    r"""L(w) = w^T A w under :math:`g \cdot w = A^{-1/2} R A^{1/2} w`, R orthogonal (eq. 18 of [1]_).

    The group is transitive on the level sets, so the best point is known: sqrt(L / lambda_max) times the top
    eigenvector, with squared gradient norm 4 lambda_max L. The gradient flow from there stays best for ever
    (Proposition 5.5), and the point is the nearest of its level set to the minimum (Proposition 5.6).

    Gradient *descent* with a step near 1 / lambda_max contracts this very direction slowest, or makes it unstable.

    Parameters
    ----------
    A : Tensor, shape (n, n)
        Symmetric positive definite.

    Raises
    ------
    InputError
        If A is not square, symmetric and positive definite.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, section 5.3.

    Examples
    --------
    >>> import torch
    >>> group = Quadratic(torch.diag(torch.tensor([1.0, 4.0])))
    >>> group.orbit([torch.tensor([2.0, 0.0])]).best()[0].abs()
    tensor([0., 1.])
    """

    name: ClassVar[str] = "orthogonal"
    compact = True

    def __init__(self, A: torch.Tensor) -> None:
        if A.ndim != 2 or A.shape[0] != A.shape[1]:
            raise InputError(f"A has shape {tuple(A.shape)}, expected a square matrix")
        if not torch.allclose(A, A.T, rtol=1e-6, atol=1e-8 * float(A.abs().max())):
            raise InputError("A is not symmetric; the quadratic form sees only (A + A.T) / 2, pass that")
        values, vectors = torch.linalg.eigh(A)
        if not float(values[0]) > 0.0:
            raise InputError(f"A has the eigenvalue {float(values[0]):.3g}, expected positive definite (all > 0)")
        self.A, self.eigenvalues, self.eigenvectors = A, values, vectors
        self.root = (vectors * values.sqrt()) @ vectors.T
        self.root_inverse = (vectors / values.sqrt()) @ vectors.T

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """One matrix (n, n)."""
        return (tuple(self.A.shape),)

    def project(self, algebra: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Skew part."""
        return [0.5 * (T - T.T) for T in algebra]

    def value(self, w: torch.Tensor) -> torch.Tensor:
        """w^T A w, a differentiable scalar."""
        return w @ (self.A @ w)

    def orbit(self, point: Sequence[torch.Tensor], inputs: torch.Tensor | None = None) -> Orbit:
        """Orbit of ``point = [w]``, w of shape (n,).

        Raises
        ------
        InputError
            If the shape is wrong.
        """
        if len(point) != 1 or point[0].shape != self.A.shape[:1]:
            shapes = [tuple(p.shape) for p in point]
            raise InputError(f"the point has tensors of shapes {shapes}, expected one of shape ({self.A.shape[0]},)")
        return _QuadraticOrbit(self, point[0].detach())


class _QuadraticOrbit(Orbit):
    def __init__(self, group: Quadratic, w: torch.Tensor) -> None:
        self.group, self.w, self.u = group, w, group.root @ w

    def at(self, element: Element) -> list[torch.Tensor]:
        return [self.group.root_inverse @ (element.forward[0] @ self.u)]

    def best(self) -> list[torch.Tensor]:
        top = self.group.eigenvectors[:, -1]
        length = (self.group.value(self.w) / self.group.eigenvalues[-1]).sqrt()
        return [torch.where(top @ self.w < 0, -length, length) * top]
