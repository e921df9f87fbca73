"""Booth: rotations of (x + 2y - 7)^2 + (2x + y - 5)^2."""

from __future__ import annotations

import torch

from evenflow.teleport.coordinate import CoordinateSymmetry

__all__ = ["Booth"]


class Booth(CoordinateSymmetry):
    """L(x, y) = u^2 + v^2 with u = x + 2y - 7, v = 2x + y - 5; |grad L|^2 = 20 (u^2 + v^2) + 32 u v.

    The gradient is largest, 36 L, at u = v, the top eigendirection of the Hessian ("Symmetry Teleportation for
    Accelerated Optimization", eq. 29 to 33). The minimum is at (1, 3).

    Examples
    --------
    >>> import torch
    >>> float(Booth().value(torch.tensor([5.0, -5.0])))
    144.0
    """

    def __init__(self) -> None:
        super().__init__(self._to_uv, self._to_xy, dim=2)

    @staticmethod
    def _to_uv(p: torch.Tensor) -> torch.Tensor:
        return torch.stack([p[0] + 2.0 * p[1] - 7.0, 2.0 * p[0] + p[1] - 5.0])

    @staticmethod
    def _to_xy(w: torch.Tensor) -> torch.Tensor:
        return torch.stack([(2.0 * w[1] - w[0]) / 3.0 + 1.0, (2.0 * w[0] - w[1]) / 3.0 + 3.0])

    def best(self, u: torch.Tensor) -> torch.Tensor | None:
        """The end of the diagonal u = v that is nearer."""
        end = u.norm() / 2.0**0.5
        end = torch.where(u.sum() < 0, -end, end)
        return torch.stack([end, end])
