"""Objective: the loss of a closure and the size of its gradient, at the parameters' present values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from evenflow.errors import InputError

__all__ = ["Evaluation", "Objective"]

Closure = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Parameters
    ----------
    loss : float
        Loss on the batch.
    grad_sq : float
        Squared Euclidean norm of the gradient.
    rate : float
        ``sum(eta * g**2)``; equal to ``grad_sq`` without learning rates.
    ascent : list of Tensor or None
        Half the derivative of ``rate`` by the parameters, H (eta g), and by the buffers; None if it was not asked for
        or vanishes.
    gradient, direction : list of Tensor
        The gradient g and the descent direction eta g, one tensor for each parameter.
    """

    loss: float
    grad_sq: float
    rate: float
    ascent: list[torch.Tensor] | None
    gradient: list[torch.Tensor]
    direction: list[torch.Tensor]

    @property
    def curvature(self) -> float:
        """Curvature of the loss along the descent direction, (eta g) . H (eta g) / (g . eta g); nan if not known.

        Without learning rates this is g . H g / |g|^2, and a gradient step of length eta overshoots when eta times it
        exceeds 1.
        """
        if self.ascent is None or self.rate == 0.0:
            return math.nan
        pairs = zip(self.direction, self.ascent, strict=False)  # buffers come after the parameters
        return sum(float((d * a).sum()) for d, a in pairs) / self.rate


class Objective:
    """Evaluates ``closure() -> loss`` where the parameters stand; needs no change to the model.

    Attention runs with its plain kernel meanwhile, since the fused ones have no second derivative.

    Parameters
    ----------
    closure : callable
        Returns the loss on one fixed batch, without backward.
    parameters : sequence of Tensor
        Leaves that require a gradient.
    learning_rates : sequence of Tensor or float, optional
        eta, the (diagonal) learning rates, one entry for each parameter.
    buffers : sequence of Tensor
        Further tensors that a group moves although no gradient step does.

    Examples
    --------
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> Objective(lambda: (x ** 2).sum(), [x]).evaluate().grad_sq
    36.0
    """

    def __init__(
        self,
        closure: Closure,
        parameters: Sequence[torch.Tensor],
        learning_rates: Sequence[torch.Tensor | float] | None = None,
        buffers: Sequence[torch.Tensor] = (),
    ) -> None:
        self.closure, self.parameters = closure, list(parameters)
        self.buffers = list(buffers)
        if learning_rates is not None and len(learning_rates) != len(self.parameters):
            raise InputError(
                f"learning_rates has {len(learning_rates)} entries for {len(self.parameters)} parameters; give one each"
            )
        self.learning_rates = learning_rates
        self.evaluations = 0

    def _loss(self) -> torch.Tensor:
        loss = self.closure()
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise InputError(f"the closure returned {type(loss).__name__}, expected the loss as a scalar tensor")
        if not loss.requires_grad:
            raise InputError("the loss has no gradient: the closure must not use no_grad, detach or item")
        return loss.reshape(())

    @property
    def movable(self) -> list[torch.Tensor]:
        """Parameters, then buffers."""
        return self.parameters + self.buffers

    @contextmanager
    def _differentiable(self) -> Iterator[None]:
        for buffer in self.buffers:
            buffer.requires_grad_(True)
        try:
            with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            for buffer in self.buffers:
                buffer.requires_grad_(False)

    def loss(self) -> float:
        """Loss alone."""
        with self._differentiable():
            return float(self._loss().detach())

    def evaluate(self, ascent: bool = False) -> Evaluation:
        """Loss, gradient, its squared norm, and on demand the direction in parameter space that raises it most.

        Raises
        ------
        InputError
            If the loss does not depend on the parameters, or has no second derivative.
        """
        self.evaluations += 1
        with self._differentiable():
            loss = self._loss()
            found = torch.autograd.grad(loss, self.parameters, create_graph=ascent, allow_unused=True)
            if all(g is None for g in found):
                raise InputError("the loss does not depend on the parameters being teleported; pass the right model")
            pairs = zip(found, self.parameters, strict=True)
            gradient = [torch.zeros_like(p) if g is None else g for g, p in pairs]
            grad_sq = torch.stack([g.square().sum() for g in gradient]).sum()
            steps = gradient
            if self.learning_rates is not None:
                steps = [eta * g for eta, g in zip(self.learning_rates, gradient, strict=True)]
            rate = torch.stack([(d * g).sum() for d, g in zip(steps, gradient, strict=True)]).sum()
            derivative = self._derivative(rate) if ascent and rate.requires_grad else None
        return Evaluation(
            float(loss.detach()),
            float(grad_sq.detach()),
            float(rate.detach()),
            derivative,
            [g.detach() for g in gradient],
            [d.detach() for d in steps],
        )

    def _derivative(self, rate: torch.Tensor) -> list[torch.Tensor]:
        try:
            found = torch.autograd.grad(rate, self.movable, allow_unused=True)
        except RuntimeError as error:
            raise InputError(
                "the loss cannot be differentiated twice, which teleportation needs; replace the operation that torch "
                f"names here: {error}"
            ) from error
        pairs = zip(found, self.movable, strict=True)
        return [torch.zeros_like(p) if d is None else 0.5 * d for d, p in pairs]

    def hvp(self, vector: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Hessian-vector product, one tensor for each parameter (and buffer)."""
        with self._differentiable():
            found = torch.autograd.grad(self._loss(), self.parameters, create_graph=True, allow_unused=True)
            terms = [(g * v).sum() for g, v in zip(found, vector, strict=True) if g is not None and g.requires_grad]
            if not terms:
                return [torch.zeros_like(p) for p in self.parameters]
            return [2.0 * d for d in self._derivative(torch.stack(terms).sum())]


def write(tensors: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
    """Overwrite tensors in place, so that optimizers and references keep seeing the same objects."""
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)


def distance(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> float:
    """Euclidean distance between two lists of tensors."""
    return float(torch.stack([(x - y).detach().square().sum() for x, y in zip(a, b, strict=True)]).sum().sqrt())
