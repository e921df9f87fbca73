"""Ellipse: rotations of x^2 + a^2 y^2."""

from __future__ import annotations

import torch

from evenflow.errors import InputError
from evenflow.teleport.coordinate import CoordinateSymmetry

__all__ = ["Ellipse"]


class Ellipse(CoordinateSymmetry):
    """L(x, y) = x^2 + a^2 y^2 with u = x, v = a y; |grad L|^2 = 4 u^2 + 4 a^2 v^2.

    The best point lies on the short axis, where the flow points at the minimum for ever after (Proposition 5.5 of
    "Symmetry Teleportation for Accelerated Optimization", eq. 20 to 22).

    Parameters
    ----------
    a : float
        Ratio of the axes, positive.

    Raises
    ------
    InputError
        If a is not positive.

    Examples
    --------
    >>> import torch
    >>> Ellipse(3.0).orbit([torch.tensor([3.0, 0.0])]).best()
    [tensor([0., 1.])]
    """

    def __init__(self, a: float) -> None:
        if not a > 0.0:
            raise InputError(f"a = {a!r}, expected a positive ratio of the axes")
        self.a = float(a)
        super().__init__(self._to_uv, self._to_xy, dim=2)

    def _to_uv(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[0], self.a * x[1]])

    def _to_xy(self, u: torch.Tensor) -> torch.Tensor:
        return torch.stack([u[0], u[1] / self.a])

    def best(self, u: torch.Tensor) -> torch.Tensor | None:
        """The whole radius along the steeper axis, on the side where the point is."""
        r, zero = u.norm(), torch.zeros_like(u[0])
        if self.a == 1.0:
            return u
        steep = 1 if self.a > 1.0 else 0
        end = torch.where(u[steep] < 0, -r, r)
        return torch.stack([zero, end] if steep == 1 else [end, zero])
