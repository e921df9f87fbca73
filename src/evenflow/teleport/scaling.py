"""PositiveScaling: one positive factor for each hidden neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from evenflow.teleport.activation import is_homogeneous
from evenflow.teleport.element import Element
from evenflow.teleport.group import Orbit
from evenflow.teleport.network_group import NetworkGroup, NetworkOrbit, as_list

__all__ = ["PositiveScaling"]


class PositiveScaling(NetworkGroup):
    r"""W_m <- diag(s) W_m, b_m <- s b_m, W_{m+1} <- W_{m+1} diag(1/s), with s = exp(t) > 0 for each neuron.

    Exact on all data for positively homogeneous activations (ReLU, LeakyReLU, PReLU, none), with no
    pseudo-inverse: the safe default for training on mini-batches [1]_.

    Parameters
    ----------
    chain : Chain
        The layers.
    update, rank_check
        Accepted for uniformity; this action erases nothing and inverts nothing.

    Raises
    ------
    InputError
        If an activation is not positively homogeneous.

    References
    ----------
    .. [1] "Neural Teleportation", arXiv:2012.01118, 2020.

    Examples
    --------
    >>> from torch import nn
    >>> from evenflow.teleport import Chain
    >>> PositiveScaling(Chain.of(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1)))).shapes
    ((5,),)
    """

    name: ClassVar[str] = "scale"

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """One vector for each hidden layer."""
        return tuple((d,) for d in self.widths)

    def refuse_activation(self, activation: torch.nn.Module) -> str | None:
        """Anything that is not positively homogeneous is refused."""
        if is_homogeneous(activation):
            return None
        return (
            "is not positively homogeneous, so group 'scale' would change the loss; group=\"gl_out\" serves any "
            'activation on a batch no larger than the widths, group="levelset" any architecture'
        )

    def orbit(self, point: Sequence[torch.Tensor], inputs: torch.Tensor | None = None) -> Orbit:
        """Orbit of the weights; no inputs needed."""
        return _ScalingOrbit(self, point)


class _ScalingOrbit(NetworkOrbit):
    def at(self, element: Element) -> list[torch.Tensor]:
        moved: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        for m, (W, b) in enumerate(self.pairs):
            new_W, new_b = W, b
            if m > 0:
                new_W = new_W * element.backward[m - 1]
            if m < len(self.pairs) - 1:
                s = element.forward[m]
                new_W, new_b = s[:, None] * new_W, None if b is None else s * b
            moved.append((new_W, new_b))
        return as_list(moved)
