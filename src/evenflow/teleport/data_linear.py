"""DataLinear: GL(d_0) on the inputs and the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from evenflow.errors import InputError
from evenflow.teleport.data_map import DataMap
from evenflow.teleport.element import Element
from evenflow.teleport.group import Orbit
from evenflow.teleport.network_group import NetworkGroup

__all__ = ["DataLinear"]


class DataLinear(NetworkGroup):
    """x <- g x and W_1 <- W_1 g^{-1}: the group acts on the data too (Algorithm 3 of [1]_).

    Exact on all data, whatever comes after the first layer. The composed map lives in the model's
    :class:`~evenflow.teleport.DataMap`.

    Parameters
    ----------
    chain : Chain
        Layers behind a DataMap.
    update, rank_check
        Accepted for uniformity; nothing is erased or inverted.

    Raises
    ------
    InputError
        If there is no DataMap, or its size does not match the first layer.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, appendix A.2.

    Examples
    --------
    >>> from torch import nn
    >>> from evenflow.teleport import Chain
    >>> DataLinear(Chain.of(nn.Sequential(DataMap(3), nn.Linear(3, 1)))).shapes
    ((3, 3),)
    """

    name: ClassVar[str] = "data"

    def _check_layers(self) -> None:
        found, first = self.chain.data_map, self.chain.layers[0]
        if found is None:
            raise InputError(
                f"group 'data' turns the inputs and the model has no DataMap to keep the turn; put "
                f"evenflow.teleport.DataMap({first.linear.in_features}) in front of layer {first.name!r}"
            )
        if found.matrix.shape[0] != first.linear.in_features:
            raise InputError(
                f"the DataMap has {found.matrix.shape[0]} features and layer {first.name!r} takes "
                f"{first.linear.in_features}; they must agree"
            )
        self.data_map: DataMap = found

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The matrix of the data map and the first weight."""
        return [self.data_map.matrix, self.chain.layers[0].linear.weight]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """One matrix (d_0, d_0)."""
        return (tuple(self.data_map.matrix.shape),)

    def orbit(self, point: Sequence[torch.Tensor], inputs: torch.Tensor | None = None) -> Orbit:
        """Orbit of ``[matrix, W_1]``; no inputs needed."""
        return _DataOrbit(point[0].detach(), point[1].detach())


class _DataOrbit(Orbit):
    def __init__(self, matrix: torch.Tensor, W: torch.Tensor) -> None:
        self.matrix, self.W = matrix, W

    def at(self, element: Element) -> list[torch.Tensor]:
        return [element.forward[0] @ self.matrix, self.W @ element.backward[0]]
