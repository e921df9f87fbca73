"""Element: a group element kept together with its inverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["Element"]


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * b if a.ndim == 1 else a @ b


@dataclass(frozen=True)
class Element:
    """A group element g and its inverse, one factor for each place of the model where the group acts.

    A factor is a matrix (d, d), or a vector (d,) that stands for a diagonal matrix. The inverse is carried along
    as exp(-T) instead of being computed: the released code of [1]_ used I - T for it, and lost the loss value.

    Parameters
    ----------
    forward, backward : tuple of Tensor
        Factors of g and of its inverse.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, section 6.1.

    Examples
    --------
    >>> import torch
    >>> g = Element.exp([torch.tensor([0.5, -1.0])])
    >>> [bool(torch.allclose(f, torch.ones(2))) for f in (g @ g.inverse()).forward]
    [True]
    """

    forward: tuple[torch.Tensor, ...]
    backward: tuple[torch.Tensor, ...]

    @classmethod
    def identity(cls, shapes: Sequence[tuple[int, ...]], like: torch.Tensor) -> Element:
        """The identity, with the dtype and the device of ``like``."""
        factors = tuple(
            torch.ones(shape, dtype=like.dtype, device=like.device)
            if len(shape) == 1
            else torch.eye(shape[0], dtype=like.dtype, device=like.device)
            for shape in shapes
        )
        return cls(factors, factors)

    @classmethod
    def exp(cls, algebra: Sequence[torch.Tensor]) -> Element:
        """exp(T) and exp(-T), elementwise for vectors."""

        def one(T: torch.Tensor) -> torch.Tensor:
            return T.exp() if T.ndim == 1 else torch.linalg.matrix_exp(T)

        return cls(tuple(one(T) for T in algebra), tuple(one(-T) for T in algebra))

    def nudged(self, algebra: Sequence[torch.Tensor]) -> Element:
        """exp(T) g to first order in T: differentiable at T = 0, where it has the derivative of exp(T) g."""
        ahead = tuple(f + _product(T, f) for T, f in zip(algebra, self.forward, strict=True))
        back = tuple(b - _product(b, T) for T, b in zip(algebra, self.backward, strict=True))
        return Element(ahead, back)

    def inverse(self) -> Element:
        """The inverse element."""
        return Element(self.backward, self.forward)

    def __matmul__(self, other: Element) -> Element:
        """``g @ h`` acts as h first and g afterwards."""
        ahead = tuple(_product(a, b) for a, b in zip(self.forward, other.forward, strict=True))
        back = tuple(_product(b, a) for a, b in zip(self.backward, other.backward, strict=True))
        return Element(ahead, back)
