"""OutgoingLinear: the action on the outgoing weights, for any activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from evenflow.teleport.element import Element
from evenflow.teleport.group import Orbit
from evenflow.teleport.network_group import BatchOrbit, NetworkGroup, as_list
from evenflow.teleport.pseudo_inverse import augmented, left_inverse

__all__ = ["OutgoingLinear"]


class OutgoingLinear(NetworkGroup):
    r"""Turn the pre-activations, z_m <- g_m z_m, and repair the outputs with the outgoing weights.

    .. math:: W_m \gets g_m W_m, \qquad
        W_{m+1} \gets W_{m+1} + (W_{m+1} h_m - W_{m+1} h'_m)\, h_m'^{\,+}, \quad h'_m = \sigma(g_m z_m)

    the action of [1]_ with the part of W_{m+1} outside the span of the batch kept (``update="minimal"``); no inverse
    of the activation is needed, so any will do. Outputs on the batch are exact if its size is no larger than every
    hidden width (plus one with a bias) and the turned activations are independent. Hidden activations are
    recomputed, not carried over as the released code does.

    Parameters
    ----------
    chain : Chain
        The layers.
    update : {"minimal", "paper"}
        See above.
    rank_check : bool
        Whether a batch larger than a width is refused.

    References
    ----------
    .. [1] "Improving Convergence and Generalization Using Parameter Symmetries", ICLR 2024.

    Examples
    --------
    >>> from torch import nn
    >>> from evenflow.teleport import Chain
    >>> OutgoingLinear(Chain.of(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)))).shapes
    ((5, 5),)
    """

    name: ClassVar[str] = "gl_out"
    exact_on: ClassVar[str] = "batch"

    def orbit(self, point: Sequence[torch.Tensor], inputs: torch.Tensor | None = None) -> Orbit:
        """Orbit of the weights for the batch ``inputs``, (n, d_0)."""
        return _OutgoingOrbit(self, point, self.require_inputs(inputs))


class _OutgoingOrbit(BatchOrbit):
    def __init__(self, group: OutgoingLinear, point: Sequence[torch.Tensor], inputs: torch.Tensor) -> None:
        super().__init__(group, point)
        h = inputs
        with torch.no_grad():
            for m, ((W, b), layer) in enumerate(zip(self.pairs, self.layers, strict=True)):
                if m > 0:
                    self._to_invert(m, h)
                z = torch.nn.functional.linear(h, W, b)
                h = layer.activation(z)
                self.z.append(z)

    def at(self, element: Element) -> list[torch.Tensor]:
        moved: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        h: torch.Tensor | None = None
        for m, (W, b) in enumerate(self.pairs):
            new_W, new_b = (W, b) if h is None else self._repair(m, h)
            if m < len(self.pairs) - 1:
                g = element.forward[m]
                new_W, new_b = g @ new_W, None if new_b is None else g @ new_b
                h = self.layers[m].activation(self.z[m] @ g.T)
            moved.append((new_W, new_b))
        return as_list(moved)

    def _repair(self, m: int, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weights of layer m that give back its old pre-activations from the new inputs h."""
        W, b = self._base(m)
        missing = self.z[m] - torch.nn.functional.linear(h, W, b)
        return self._changed(m, missing.T @ left_inverse(augmented(h, b is not None)))
