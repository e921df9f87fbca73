"""EnergyTeleport on energies of graphs and functions; diagnostics of the theory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.teleport import (
    Booth,
    EnergyTeleport,
    Quadratic,
    Teleporter,
    decay_rate,
    hessian_cosine,
    improvement_horizon,
    newton_cosine,
)


class Chainlet(BaseEnergy):
    """A chain of quartic springs with one end held, (n, 2)."""

    def __init__(self, n: int = 6) -> None:
        self.shape = (n, 2)
        self.fixed = (np.array([0]), np.zeros((1, 2)))

    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        mask = torch.as_tensor(self.free_mask())
        state = torch.where(mask, w, torch.zeros_like(w))
        steps = (state[1:] - state[:-1]).square().sum(1)
        return ((steps - 1.0) ** 2).sum() + 0.01 * state.square().sum()

    def value(self, w: FloatArray) -> float:
        return float(self.torch_value(torch.as_tensor(w)))

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        x = torch.tensor(w, requires_grad=True)
        value = self.torch_value(x)
        (g,) = torch.autograd.grad(value, x)
        return float(value.detach()), g.numpy()

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        x = torch.tensor(w, requires_grad=True)
        (g,) = torch.autograd.grad(self.torch_value(x), x, create_graph=True)
        (h,) = torch.autograd.grad((g * torch.as_tensor(v)).sum(), x)
        return h.numpy()

    def initial(self, rng: np.random.Generator) -> FloatArray:
        return self.impose(rng.standard_normal(self.shape))


class QuadraticEnergy(Chainlet):
    def __init__(self, group: Quadratic) -> None:
        self.shape, self.fixed, self.group = (group.A.shape[0],), None, group

    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        return self.group.value(w)


def test_level_set_of_an_energy(rng: np.random.Generator) -> None:
    energy = Chainlet()
    for _ in range(5):
        w = energy.initial(rng)
        kept = w.copy()
        new, report = EnergyTeleport().teleport(energy, w)
        assert np.array_equal(w, kept)
        assert report.accepted
        assert energy.value(new) == pytest.approx(energy.value(w), rel=1e-9)
        size = float(np.square(energy.gradient(new)).sum())
        assert size == pytest.approx(report.grad_sq_after)
        assert 1.0 < report.gain <= 10.0
        assert np.array_equal(new[0], [0.0, 0.0])
        assert report.displacement <= report.distance * (1 + 1e-9)


def test_group_of_an_energy() -> None:
    group = Quadratic(torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)))
    energy = QuadraticEnergy(group)
    new, report = EnergyTeleport(group).teleport(energy, np.array([1.0, 1.0, 0.1]))
    assert report.accepted
    assert np.allclose(new[:2], 0.0, atol=1e-12)
    assert energy.value(new) == pytest.approx(3.05)


def test_rejected_teleport_of_an_energy_returns_a_copy() -> None:
    group = Quadratic(torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64)))
    w = np.array([0.0, 1.0])
    for teleport in (EnergyTeleport(), EnergyTeleport(group)):
        new, report = teleport.teleport(QuadraticEnergy(group), w)
        assert not report.accepted
        assert np.array_equal(new, w)
        assert new is not w
    with pytest.raises(InputError, match="shape"):
        EnergyTeleport().teleport(QuadraticEnergy(group), np.zeros(3))


def test_many_level_set_steps_find_the_best_point_of_a_quadratic() -> None:
    group = Quadratic(torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)))
    w = np.array([1.0, 1.0, 0.3])
    new, report = EnergyTeleport(inner_steps=300, max_gain=100.0).teleport(QuadraticEnergy(group), w)
    assert report.accepted
    assert report.grad_sq_after == pytest.approx(4 * 5.0 * 3.45, rel=1e-6)
    assert abs(new[2]) == pytest.approx(np.sqrt(3.45 / 5.0), rel=1e-4)


def test_gradient_is_newtons_direction_at_the_best_point() -> None:
    """Proposition 5.7."""
    booth = Booth()
    x = torch.tensor([5.0, -5.0], dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        x += torch.tensor([0.1, 0.7])

    def closure() -> torch.Tensor:
        return booth.value(x)

    before, rate = newton_cosine(closure, [x]), decay_rate(closure, [x])
    assert before < 0.99
    assert Teleporter(x, group=booth).teleport(closure).accepted
    assert newton_cosine(closure, [x]) == pytest.approx(1.0, abs=1e-9)
    assert hessian_cosine(closure, [x]) == pytest.approx(1.0, abs=1e-9)
    assert decay_rate(closure, [x]) > rate
    assert decay_rate(closure, [x], [0.5]) == pytest.approx(0.5 * decay_rate(closure, [x]))


def test_orthogonal_maps_do_not_change_the_decay_rate() -> None:
    """Corollary 5.2: a constant learning rate does not see orthogonal symmetries."""
    w = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    Q, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    rates = []
    for point in (w, Q @ w):
        x = point.clone().requires_grad_()
        rates.append(decay_rate(lambda x=x: x.square().sum().exp(), [x]))  # type: ignore[misc]
    assert rates[0] == pytest.approx(rates[1])


def test_larger_gradient_lasts_as_long_as_the_proposition_says() -> None:
    """Proposition 5.4 on a quadratic with a small learning rate."""
    group = Quadratic(torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64)))
    eta, lipschitz = 0.002, 8.0
    x = torch.tensor([1.0, 0.1], dtype=torch.float64, requires_grad=True)
    plain = x.detach().clone()
    report = Teleporter(x, group=group).teleport(lambda: group.value(x))
    teleported = x.detach().clone()
    horizon = int(improvement_horizon(report.gain, eta, lipschitz))
    assert horizon >= 10
    for _ in range(horizon):
        plain, teleported = plain - eta * 2 * group.A @ plain, teleported - eta * 2 * group.A @ teleported
        assert float((group.A @ teleported).norm()) >= float((group.A @ plain).norm())
    with pytest.raises(InputError, match="between 0 and 1"):
        improvement_horizon(2.0, 1.0, 1.0)


def test_diagnostics_of_large_and_linear_models() -> None:
    model = nn.Linear(60, 60)
    x = torch.randn(4, 60, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="hessian_cosine"):
        newton_cosine(lambda: model(x).square().sum(), list(model.parameters()))
    assert np.isnan(hessian_cosine(lambda: model(x).sum(), list(model.parameters())))
