"""Rosenbrock: rotations of 100 (x^2 - y)^2 + (x - 1)^2, in any number of independent pairs."""

from __future__ import annotations

import torch

from evenflow.errors import InputError
from evenflow.teleport.coordinate import CoordinateSymmetry

__all__ = ["Rosenbrock"]


class Rosenbrock(CoordinateSymmetry):
    """Sum over pairs of 100 (x^2 - y)^2 + (x - 1)^2, with u = 10 (x^2 - y), v = x - 1 for each pair.

    For one pair the group is SO(2) and the best angle is searched; for N pairs SO(2N) mixes them all
    ("Symmetry Teleportation for Accelerated Optimization", eq. 23 to 28). The minimum is at (1, 1, 1, 1, ...).

    Parameters
    ----------
    pairs : int
        N; the point is (x_1, y_1, ..., x_N, y_N).

    Raises
    ------
    InputError
        If ``pairs`` is less than 1.

    Examples
    --------
    >>> import torch
    >>> float(Rosenbrock().value(torch.tensor([-1.0, -1.0])))
    404.0
    """

    def __init__(self, pairs: int = 1) -> None:
        if pairs < 1:
            raise InputError(f"pairs = {pairs!r}, expected at least 1")
        self.pairs = pairs
        super().__init__(self._to_uv, self._to_xy, dim=2 * pairs)

    @staticmethod
    def _to_uv(point: torch.Tensor) -> torch.Tensor:
        x, y = point[0::2], point[1::2]
        return torch.stack([10.0 * (x * x - y), x - 1.0], dim=1).reshape(-1)

    @staticmethod
    def _to_xy(w: torch.Tensor) -> torch.Tensor:
        u, v = w[0::2], w[1::2]
        x = v + 1.0
        return torch.stack([x, x * x - u / 10.0], dim=1).reshape(-1)
