"""CoordinateSymmetry: rotations in the coordinates where a function is a squared distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch

from evenflow.errors import InputError
from evenflow.teleport.element import Element
from evenflow.teleport.group import Orbit, SymmetryGroup

__all__ = ["CoordinateSymmetry"]

Map = Callable[[torch.Tensor], torch.Tensor]


class CoordinateSymmetry(SymmetryGroup):
    r"""Rotations SO(n) acting through a change of coordinates, for L(x) = |phi(x)|^2.

    The action is :math:`g \cdot x = \varphi^{-1}(R\, \varphi(x))` with R = exp(T), T skew (eq. 18 to 33 of [1]_).

    Parameters
    ----------
    forward : callable
        phi: Tensor (n,) to Tensor (n,), written with torch functions.
    inverse : callable
        Inverse of phi.
    dim : int
        n, at least 2.

    Raises
    ------
    InputError
        If ``inverse`` does not undo ``forward`` (tried at a fixed point), or ``dim`` < 2.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, appendix B.1.

    Examples
    --------
    >>> import torch
    >>> group = CoordinateSymmetry(lambda x: 3 * x, lambda u: u / 3, dim=2)
    >>> x = torch.tensor([1.0, 0.0], dtype=torch.float64)
    >>> turned = group.orbit([x]).at(group.rotation(torch.tensor(torch.pi / 2, dtype=torch.float64)))[0]
    >>> [round(float(v), 6) for v in turned]
    [0.0, 1.0]
    """

    name: ClassVar[str] = "rotation"
    compact = True

    def __init__(self, forward: Map, inverse: Map, dim: int) -> None:
        if dim < 2:
            raise InputError(f"dim = {dim}, expected at least 2: a rotation needs a plane")
        self.forward, self.inverse, self.dim = forward, inverse, dim
        self.plane = dim == 2
        probe = torch.linspace(-0.7, 1.3, dim, dtype=torch.float64)
        back = inverse(forward(probe))
        if back.shape != probe.shape or not torch.allclose(back, probe, rtol=1e-8, atol=1e-8):
            raise InputError(
                f"inverse does not undo forward: inverse(forward(x)) = {back.tolist()[:4]} for x = "
                f"{probe.tolist()[:4]}; pass the two directions of one bijection of R^{dim}"
            )

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """One matrix (dim, dim)."""
        return ((self.dim, self.dim),)

    def project(self, algebra: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Skew part."""
        return [0.5 * (T - T.T) for T in algebra]

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """The function itself, |phi(x)|^2, as a differentiable scalar."""
        return self.forward(x).square().sum()

    def rotation(self, angle: torch.Tensor) -> Element:
        """Rotation of the plane by an angle in radians (dim 2 only).

        Raises
        ------
        InputError
            If ``dim`` is not 2.
        """
        if self.dim != 2:
            raise InputError(f"rotation(angle) needs dim = 2, here dim = {self.dim}; use exp of a skew matrix")
        c, s = torch.cos(angle), torch.sin(angle)
        R = torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
        return Element((R,), (R.T,))

    def best(self, u: torch.Tensor) -> torch.Tensor | None:
        """In the coordinates u = phi(x): the point of the sphere with the largest gradient, where known."""
        return None

    def orbit(self, point: Sequence[torch.Tensor], inputs: torch.Tensor | None = None) -> Orbit:
        """Orbit of ``point = [x]``, x of shape (dim,).

        Raises
        ------
        InputError
            If the shape is wrong.
        """
        if len(point) != 1 or point[0].shape != (self.dim,):
            shapes = [tuple(p.shape) for p in point]
            raise InputError(f"the point has tensors of shapes {shapes}, expected one of shape ({self.dim},)")
        return _CoordinateOrbit(self, point[0].detach())


class _CoordinateOrbit(Orbit):
    def __init__(self, group: CoordinateSymmetry, x: torch.Tensor) -> None:
        self.group, self.u = group, group.forward(x)

    def at(self, element: Element) -> list[torch.Tensor]:
        return [self.group.inverse(element.forward[0] @ self.u)]

    def best(self) -> list[torch.Tensor] | None:
        u = self.group.best(self.u)
        return None if u is None else [self.group.inverse(u)]
