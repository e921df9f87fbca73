"""What becomes of an optimizer's memory when its parameters are teleported."""

from __future__ import annotations

import math
from typing import Any

import torch

from evenflow.errors import InputError

__all__ = ["carry_over", "curvature_limit", "learning_rates"]

# directions, which a teleport makes meaningless
DIRECTIONS = frozenset({"momentum_buffer", "exp_avg", "grad_avg"})
# sizes and counters, which stay meaningful in order of magnitude
SIZES = frozenset({"step", "sum", "square_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "acc_delta", "mu_product"})


def carry_over(optimizer: torch.optim.Optimizer, policy: str) -> None:
    """Apply the policy ``"keep"``, ``"reset"`` or ``"auto"`` to the optimizer's state.

    ``"auto"`` zeroes directions (momentum buffers, first moments) and keeps sizes (accumulated squares, counters).

    Raises
    ------
    InputError
        If ``"auto"`` meets a state that it does not know.

    Examples
    --------
    >>> w = torch.ones(2, requires_grad=True)
    >>> sgd = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> w.sum().backward(); sgd.step(); carry_over(sgd, "auto")
    >>> sgd.state[w]["momentum_buffer"]
    tensor([0., 0.])
    """
    if policy == "keep":
        return
    if policy == "reset" or isinstance(optimizer, torch.optim.LBFGS):  # curvature pairs are directions throughout
        _rebuild(optimizer)
        return
    for state in optimizer.state.values():
        for key, value in state.items():
            if key in DIRECTIONS:
                if isinstance(value, torch.Tensor):
                    value.zero_()
            elif key not in SIZES:
                raise InputError(
                    f"{type(optimizer).__name__} keeps {key!r} and it is not known whether a teleport makes it "
                    'meaningless; say state="keep" or state="reset"'
                )


def _rebuild(optimizer: torch.optim.Optimizer) -> None:
    """State as a new optimizer with the same groups would have it."""
    kind: Any = type(optimizer)
    fresh = kind([dict(group) for group in optimizer.param_groups])
    optimizer.state.clear()
    optimizer.state.update(fresh.state)
    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer._numel_cache = None


def learning_rates(optimizer: torch.optim.Optimizer, parameters: list[torch.Tensor]) -> list[torch.Tensor | float]:
    """Diagonal learning rates that the optimizer would apply to a small gradient now, one entry a parameter.

    Known for SGD, Adagrad, RMSprop, Adam and AdamW; momentum counts as none.

    Raises
    ------
    InputError
        For other optimizers, or a parameter that the optimizer does not hold.

    Examples
    --------
    >>> w = torch.ones(2, requires_grad=True)
    >>> learning_rates(torch.optim.SGD([w], lr=0.1), [w])
    [0.1]
    """
    known = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    rates: list[torch.Tensor | float] = []
    for p in parameters:
        if id(p) not in known:
            raise InputError("the optimizer does not hold all parameters being teleported; give both the same model")
        rates.append(_rate(optimizer, known[id(p)], optimizer.state[p]))
    return rates


def curvature_limit(optimizer: torch.optim.Optimizer, scaled: bool) -> float:
    """Curvature along a step at which the step lands in the valley; inf where it is not known.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Its learning rates and momentum count; with momentum mu, steps add up to lr / (1 - mu).
    scaled : bool
        Whether the curvature is measured in the metric of :func:`learning_rates`, where the limit is 1 less momentum.

    Examples
    --------
    >>> w = torch.ones(2, requires_grad=True)
    >>> round(curvature_limit(torch.optim.SGD([w], lr=0.1, momentum=0.9), scaled=False), 6)
    1.0
    """
    sgd = isinstance(optimizer, torch.optim.SGD)
    if not (sgd or scaled):
        return math.inf
    groups = optimizer.param_groups
    return min((1.0 - float(g["momentum"] if sgd else 0.0)) / (1.0 if scaled else float(g["lr"])) for g in groups)


def _rate(
    optimizer: torch.optim.Optimizer, group: dict[str, float], state: dict[str, torch.Tensor]
) -> torch.Tensor | float:
    lr = float(group["lr"])
    if isinstance(optimizer, torch.optim.SGD):
        return lr
    if isinstance(optimizer, torch.optim.Adagrad):
        return lr / (state["sum"].sqrt() + group["eps"])
    if isinstance(optimizer, torch.optim.RMSprop):
        return lr if "square_avg" not in state else lr / (state["square_avg"].sqrt() + group["eps"])
    if isinstance(optimizer, torch.optim.Adam):  # AdamW is one
        if "exp_avg_sq" not in state:
            return lr
        beta = group["betas"][1]  # type: ignore[index]
        unbiased = state["exp_avg_sq"] / (1.0 - beta ** float(state["step"]))
        return lr / (unbiased.sqrt() + group["eps"])
    raise InputError(
        f'objective="decay_rate" does not know the learning rates of {type(optimizer).__name__}; use "grad_norm"'
    )
