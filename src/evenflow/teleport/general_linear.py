"""GeneralLinear: GL(d) between the layers of networks with bijective activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from evenflow.teleport.activation import Map, inverse_of, is_homogeneous, is_linear
from evenflow.teleport.element import Element
from evenflow.teleport.group import Orbit
from evenflow.teleport.network_group import BatchOrbit, NetworkGroup, as_list
from evenflow.teleport.pseudo_inverse import left_inverse

__all__ = ["GeneralLinear"]


class GeneralLinear(NetworkGroup):
    r"""Turn the hidden activations, h_m <- g_m h_m, and adapt the weights on both sides.

    .. math:: W_{m+1} \gets W_{m+1} g_m^{-1}, \qquad
        W_m \gets W_m + \bigl(\sigma^{-1}(g_m \sigma(z_m)) - z_m\bigr) h_{m-1}^+

    which is eq. 11 of [1]_ except that the part of W_m outside the span of the batch is kept
    (``update="minimal"``). The printed formula (``update="paper"``) erases it, even at g = 1. Outputs on the batch
    are exact if its size is no larger than the widths of the inputs of the layers that are turned; where the
    activation is the identity, the action is exact on all data and needs no pseudo-inverse. With biases the
    pseudo-inverse is that of [h; 1], and g leaves the row of ones alone.

    Parameters
    ----------
    chain : Chain
        The layers.
    update : {"minimal", "paper"}
        See above.
    rank_check : bool
        Whether a batch larger than a width is refused.

    Raises
    ------
    InputError
        If an activation is not a bijection of the real line.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, proposition 4.3.

    Examples
    --------
    >>> from torch import nn
    >>> from evenflow.teleport import Chain
    >>> GeneralLinear(Chain.of(nn.Sequential(nn.Linear(3, 5), nn.LeakyReLU(0.1), nn.Linear(5, 1)))).shapes
    ((5, 5),)
    """

    name: ClassVar[str] = "gl"
    exact_on: ClassVar[str] = "batch"

    def refuse_activation(self, activation: torch.nn.Module) -> str | None:
        """Anything that is not a bijection is refused."""
        if inverse_of(activation) is not None:
            return None
        if is_homogeneous(activation):
            return "is not a bijection, which group 'gl' needs; group=\"scale\" serves it, exactly on all data"
        extended = {"Tanh": "ExtendedTanh", "Sigmoid": "ExtendedSigmoid"}.get(type(activation).__name__)
        instead = f"use evenflow.teleport.{extended} in its place, or " if extended else ""
        return f"is not a bijection of the real line, which group 'gl' needs; {instead}take group=\"gl_out\""

    def orbit(self, point: Sequence[torch.Tensor], inputs: torch.Tensor | None = None) -> Orbit:
        """Orbit of the weights for the batch ``inputs``, (n, d_0)."""
        return _GeneralLinearOrbit(self, point, self.require_inputs(inputs))


class _GeneralLinearOrbit(BatchOrbit):
    def __init__(self, group: GeneralLinear, point: Sequence[torch.Tensor], inputs: torch.Tensor) -> None:
        super().__init__(group, point)
        self.h: list[torch.Tensor] = []
        self.left: dict[int, torch.Tensor] = {}
        self.inverses: dict[int, Map] = {}
        h = inputs
        with torch.no_grad():
            for m, ((W, b), layer) in enumerate(zip(self.pairs, self.layers, strict=True)):
                inverse = inverse_of(layer.activation)
                if m < len(self.layers) - 1 and inverse is not None and not is_linear(layer.activation):
                    self.left[m], self.inverses[m] = left_inverse(self._to_invert(m, h)), inverse
                z = torch.nn.functional.linear(h, W, b)
                h = layer.activation(z)
                self.z.append(z)
                self.h.append(h)

    def at(self, element: Element) -> list[torch.Tensor]:
        moved: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        for m, (W, b) in enumerate(self.pairs):
            new_W, new_b = W, b
            if m < len(self.pairs) - 1:
                new_W, new_b = self._turn(m, element.forward[m])
            if m > 0:
                # a left inverse of g h is h^+ g^{-1}; with it the action composes exactly over this orbit
                new_W = new_W @ element.backward[m - 1]
            moved.append((new_W, new_b))
        return as_list(moved)

    def _turn(self, m: int, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        W, b = self.pairs[m]
        if m not in self.left:
            return g @ W, None if b is None else g @ b
        target = self.inverses[m](self.h[m] @ g.T)
        missing = target - self.z[m] if self.group.update == "minimal" else target
        return self._changed(m, missing.T @ self.left[m])
