"""Test of an energy: do its derivatives fit its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError

__all__ = ["EnergyCheck", "check_energy", "taylor_order"]

_STEPS = 2.0 ** -np.arange(2, 22)
_ORDER = 1.8
_AGREEMENT = 1e-8


@dataclass
class EnergyCheck:
    """What :func:`check_energy` found; true when everything fits.

    Attributes
    ----------
    gradient_order, hvp_order : float
        Order of the Taylor remainder of the energy and of the gradient: 2 when the derivative is right, 1 when it is
        wrong, infinite when the remainder is nothing but rounding.
    findings : list of (str, bool, str)
        Each test: its name, whether it passed, and what was measured.
    """

    gradient_order: float = np.nan
    hvp_order: float = np.nan
    findings: list[tuple[str, bool, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return all(passed for _, passed, _ in self.findings)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        width = max(len(name) for name, _, _ in self.findings)
        return "\n".join(f"{'ok  ' if good else 'FAIL'}  {name:{width}}  {text}" for name, good, text in self.findings)

    __repr__ = __str__


def check_energy(
    energy: BaseEnergy, w: FloatArray | None = None, rng: np.random.Generator | None = None
) -> EnergyCheck:
    """Test gradient, Hessian products, sparse Hessian and torch value of an energy at a point.

    The remainder ``E(w + h v) - E(w) - h g.v`` must shrink like h^2 as h is halved, and so must that of the gradient.

    Parameters
    ----------
    energy : BaseEnergy
    w : ndarray, optional
        The point; a random start by default.
    rng : numpy.random.Generator, optional
        For the start and the direction; seed 0 by default.

    Returns
    -------
    EnergyCheck
        Print it; it is true when everything fits.

    Raises
    ------
    InputError
        If the energy or its gradient is not finite at w.

    Examples
    --------
    >>> from evenflow.energy import Energy, check_energy
    >>> from evenflow.graph import Graph
    >>> bool(check_energy(Energy(Graph.from_edges([[0, 1]]), pair=lambda x: x**4)))
    True
    """
    rng = np.random.default_rng(0) if rng is None else rng
    w = energy.initial(rng) if w is None else energy.impose(w)
    v = rng.standard_normal(energy.shape) * energy.free_mask()
    v *= (1.0 + np.abs(w).max(initial=0.0)) / max(np.abs(v).max(initial=0.0), 1e-300) * 0.1
    value, gradient = energy.value_and_gradient(w)
    gradient = gradient.copy()
    if not np.isfinite(value) or not np.isfinite(gradient).all():
        raise InputError(
            f"the energy or its gradient is not finite at the point to check (energy {value}); give another w"
        )
    found = EnergyCheck()
    slope = float((gradient * v).sum())
    found.gradient_order = taylor_order(
        lambda h: abs(energy.value(w + h * v) - value - h * slope), abs(value) + abs(slope) + energy.size
    )
    found.findings.append(_order("gradient fits value", found.gradient_order))
    product = energy.hvp(w, v).copy()
    found.hvp_order = taylor_order(
        lambda h: float(np.abs(energy.gradient(w + h * v) - gradient - h * product).max(initial=0.0)),
        float(np.abs(gradient).max(initial=0.0) + np.abs(product).max(initial=0.0) + 1.0),
    )
    found.findings.append(_order("hvp fits gradient", found.hvp_order))
    u = rng.standard_normal(energy.shape) * energy.free_mask()
    forth, back = float((u * product).sum()), float((v * energy.hvp(w, u)).sum())
    found.findings.append(_equal("hvp is symmetric", forth - back, float(np.abs(u * product).sum())))
    found.findings.append(_equal("value fits value_and_gradient", energy.value(w) - value, abs(value)))
    if energy.sparse_hessian:
        gap = (energy.hessian(w) @ v.ravel()) - product.ravel()
        found.findings.append(
            _equal("hessian fits hvp", np.abs(gap).max(initial=0.0), np.abs(product).max(initial=0.0))
        )
    _check_torch(energy, w, value, gradient, found)
    return found


def taylor_order(remainder: Callable[[float], float], scale: float) -> float:
    """Order at which a remainder vanishes; infinite where it is below rounding at every step.

    Parameters
    ----------
    remainder : callable
        Absolute remainder at step h.
    scale : float
        Size of the numbers that cancel in it.
    """
    steps, errors = [], []
    for h in _STEPS:
        error = remainder(float(h))
        if error > 1e-12 * scale:
            steps.append(h)
            errors.append(error)
    if len(errors) < 3:
        return float("inf")
    orders = -np.diff(np.log2(errors)) / np.diff(-np.log2(steps))
    return float(np.median(orders[-min(len(orders), 4) :]))


def _order(name: str, order: float) -> tuple[str, bool, str]:
    text = "remainder is rounding alone" if np.isinf(order) else f"remainder shrinks like h^{order:.2f}, expected h^2"
    return name, order > _ORDER, text


def _equal(name: str, difference: float, scale: float) -> tuple[str, bool, str]:
    relative = abs(float(difference)) / (float(scale) + 1e-30) if difference else 0.0
    return name, relative <= _AGREEMENT or abs(float(difference)) < 1e-12, f"relative difference {relative:.1e}"


def _check_torch(energy: BaseEnergy, w: FloatArray, value: float, gradient: FloatArray, found: EnergyCheck) -> None:
    import torch

    x = torch.tensor(w, requires_grad=True)
    torch_value = energy.torch_value(x)
    (torch_gradient,) = torch.autograd.grad(torch_value, x)
    found.findings.append(_equal("torch value fits value", float(torch_value.detach()) - value, abs(value) + 1.0))
    gap = np.abs(torch_gradient.cpu().numpy() - gradient).max(initial=0.0)
    found.findings.append(_equal("torch gradient fits gradient", gap, np.abs(gradient).max(initial=0.0) + 1.0))
