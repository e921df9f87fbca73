"""Diagnostics of teleports: rates of decay, and the gradient against Newton's direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from evenflow.errors import InputError
from evenflow.teleport.objective import Objective

__all__ = ["decay_rate", "hessian_cosine", "improvement_horizon", "newton_cosine"]

Closure = Callable[[], torch.Tensor]
DENSE_LIMIT = 2000


def decay_rate(
    closure: Closure,
    parameters: Sequence[torch.Tensor],
    learning_rates: Sequence[torch.Tensor | float] | None = None,
) -> float:
    """-dL/dt = sum(eta g^2) along the gradient flow, eta = 1 if not given (eq. 12 of [1]_).

    Parameters
    ----------
    closure : callable
        Computes the loss, differentiable.
    parameters : sequence of Tensor
        Leaves that require a gradient.
    learning_rates : sequence of Tensor or float, optional
        eta, one for each parameter: a number, or a tensor of its shape.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022.

    Examples
    --------
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> decay_rate(lambda: (x ** 2).sum(), [x])
    36.0
    """
    return Objective(closure, parameters, learning_rates).evaluate().rate


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


def hessian_cosine(closure: Closure, parameters: Sequence[torch.Tensor]) -> float:
    """Cosine between g and H g: +-1 exactly where g is an eigenvector of H, the condition of Proposition 5.7 of [1]_.

    One Hessian-vector product, so it serves networks of any size. nan where the loss is linear.

    Parameters
    ----------
    closure : callable
        Computes the loss, differentiable.
    parameters : sequence of Tensor
        Leaves that require a gradient.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, lemma C.4.

    Examples
    --------
    >>> x = torch.tensor([0.0, 1.0], requires_grad=True)
    >>> round(hessian_cosine(lambda: x[0] ** 2 + 9 * x[1] ** 2, [x]), 6)
    1.0
    """
    found = Objective(closure, parameters).evaluate(ascent=True)
    if found.ascent is None:
        return float("nan")
    g, Hg = _flat(found.gradient), _flat(found.ascent)
    return float(g @ Hg / (g.norm() * Hg.norm()).clamp_min(1e-300))


def newton_cosine(closure: Closure, parameters: Sequence[torch.Tensor]) -> float:
    """Cosine between the gradient and Newton's direction H^{-1} g (Proposition 5.7 of [1]_: 1 at the best point).

    The Hessian is built column by column and solved densely, so at most 2 000 parameters.

    Parameters
    ----------
    closure : callable
        Computes the loss, differentiable.
    parameters : sequence of Tensor
        Leaves that require a gradient.

    Raises
    ------
    InputError
        If there are more; use :func:`hessian_cosine`.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022.

    Examples
    --------
    >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> round(newton_cosine(lambda: x[0] ** 2 + 9 * x[1] ** 2, [x]), 3)
    0.781
    """
    size = sum(p.numel() for p in parameters)
    if size > DENSE_LIMIT:
        raise InputError(f"{size} parameters, expected at most {DENSE_LIMIT} for a dense Hessian; use hessian_cosine")
    objective = Objective(closure, parameters)
    g = _flat(objective.evaluate().gradient)
    H = torch.stack([_flat(objective.hvp(_unflatten(e, parameters))) for e in torch.eye(size).to(g)])
    newton = torch.linalg.lstsq(H, g[:, None]).solution[:, 0]
    return float(g @ newton / (g.norm() * newton.norm()).clamp_min(1e-300))


def _unflatten(x: torch.Tensor, parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    pieces = torch.split(x, [p.numel() for p in parameters])
    return [piece.view_as(p) for piece, p in zip(pieces, parameters, strict=True)]


def improvement_horizon(gain: float, learning_rate: float, lipschitz: float) -> float:
    """Number of gradient-descent steps for which a teleport is certain to keep the larger gradient.

    The largest T with ``sqrt(gain) >= ((1 + eta l) / (1 - eta l))**T``, where ``gain`` is the growth of the squared
    norm, eta the learning rate and l the Lipschitz constant of the gradient (Proposition 5.4 of [1]_).

    Parameters
    ----------
    gain : float
    learning_rate : float
    lipschitz : float
        In units of 1 / learning_rate.

    Raises
    ------
    InputError
        If eta l is not between 0 and 1, where the proposition says nothing.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022.

    Examples
    --------
    >>> round(improvement_horizon(4.0, 0.01, 1.0), 1)
    34.7
    """
    product = learning_rate * lipschitz
    if not 0.0 < product < 1.0:
        raise InputError(f"learning_rate * lipschitz = {product:.3g}, expected between 0 and 1")
    ratio = torch.log(torch.tensor((1.0 + product) / (1.0 - product), dtype=torch.float64))
    return float(0.5 * torch.log(torch.tensor(gain, dtype=torch.float64)) / ratio)
