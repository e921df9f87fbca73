"""SymmetryGroup and Orbit: what every group of loss-preserving maps owes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from evenflow.teleport.element import Element
from evenflow.teleport.report import LayerCheck

__all__ = ["Orbit", "SymmetryGroup"]


class Orbit(ABC):
    """Where the elements of a group take one fixed point.

    Everything that depends on the point alone (hidden activations, pseudo-inverses) is computed once, so that
    ``at(g @ h)`` never accumulates the error of several applications.
    """

    @abstractmethod
    def at(self, element: Element) -> list[torch.Tensor]:
        """Image of the point under the element, differentiable in the element's factors."""

    def best(self) -> list[torch.Tensor] | None:
        """The point of the orbit with the largest gradient, where a closed form is known."""
        return None

    def checks(self) -> Mapping[str, LayerCheck]:
        """Rank and condition of the matrices that the action inverts, by layer."""
        return {}


class SymmetryGroup(ABC):
    """A Lie group acting on a list of tensors without changing the loss.

    Attributes
    ----------
    name : str
        The name that :class:`~evenflow.teleport.Teleporter` knows it by.
    exact_on : str
        ``"all data"``, or ``"batch"``: outputs are kept only for the samples of the batch.
    compact : bool
        Whether orbits are bounded, so that the gradient on them is too and needs no cap.
    plane : bool
        Whether the group is the rotations of a plane, so that one angle can be searched exactly.
    """

    name: ClassVar[str]
    exact_on: ClassVar[str] = "all data"
    compact: bool = False
    plane: bool = False

    @property
    @abstractmethod
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the Lie-algebra coordinates: (d, d) for matrices, (d,) for positive scalings."""

    @abstractmethod
    def orbit(self, point: Sequence[torch.Tensor], inputs: torch.Tensor | None = None) -> Orbit:
        """Orbit of a point.

        Parameters
        ----------
        point : sequence of Tensor
            What the group acts on; for a network the tensors of ``chain.tensors``.
        inputs : Tensor, shape (n, d_0), optional
            Input of the first layer for the samples of the batch; needed when ``exact_on`` is ``"batch"``.
        """

    def project(self, algebra: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Nearest member of the Lie algebra; the default is for groups whose algebra is all matrices."""
        return list(algebra)

    def zeros(self, like: torch.Tensor) -> list[torch.Tensor]:
        """The zero of the Lie algebra, ready to be differentiated."""
        return [torch.zeros(s, dtype=like.dtype, device=like.device, requires_grad=True) for s in self.shapes]

    def identity(self, like: torch.Tensor) -> Element:
        """Identity element with the dtype and device of ``like``."""
        return Element.identity(self.shapes, like)

    def random(self, generator: torch.Generator, spread: float, like: torch.Tensor) -> Element:
        """exp(T) for normal T of standard deviation ``spread`` in every entry."""
        T = [spread * torch.randn(s, generator=generator, dtype=like.dtype, device=like.device) for s in self.shapes]
        return Element.exp(self.project(T))
