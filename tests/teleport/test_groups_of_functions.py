"""Rotations in transformed coordinates, and the orthogonal group of quadratics."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.group import GroupCase, GroupConformance
from evenflow.errors import InputError
from evenflow.teleport import Booth, CoordinateSymmetry, Ellipse, Quadratic, Rosenbrock, Teleporter


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


def positive_definite(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    B = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return B @ B.T / n + 0.1 * torch.eye(n, dtype=torch.float64)


class TestEllipse(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        group = Ellipse(3.0)
        return GroupCase(group, [vector(1.0, -0.4)], lambda p: group.value(p[0]))


class TestRosenbrock(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        group = Rosenbrock()
        return GroupCase(group, [vector(-1.0, -1.0)], lambda p: group.value(p[0]))


class TestRosenbrockOfThreePairs(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        group = Rosenbrock(pairs=3)
        return GroupCase(group, [vector(-1.0, -1.0, 0.5, 0.3, 1.2, 1.4)], lambda p: group.value(p[0]))


class TestBooth(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        group = Booth()
        return GroupCase(group, [vector(5.0, -5.0)], lambda p: group.value(p[0]))


class TestUserMap(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        group = CoordinateSymmetry(torch.sinh, torch.asinh, dim=3)
        return GroupCase(group, [vector(0.3, -0.2, 1.0)], lambda p: group.value(p[0]))


class TestQuadratic(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        group = Quadratic(positive_definite(4))
        return GroupCase(group, [vector(0.3, -0.2, 1.0, 2.0)], lambda p: group.value(p[0]))


def test_published_values_of_the_functions() -> None:
    assert float(Rosenbrock().value(vector(-1.0, -1.0))) == 404.0
    assert float(Rosenbrock().value(vector(1.0, 1.0))) == 0.0
    assert float(Booth().value(vector(5.0, -5.0))) == 144.0
    assert float(Booth().value(vector(1.0, 3.0))) == 0.0


@pytest.mark.parametrize(
    ("group", "formula"),
    [
        (Ellipse(3.0), lambda u, v: 4 * u**2 + 36 * v**2),
        (Rosenbrock(), lambda u, v: (40 * u * (v + 1) + 2 * v) ** 2 + 400 * u**2),
        (Booth(), lambda u, v: 20 * (u**2 + v**2) + 32 * u * v),
    ],
)
@given(x=st.floats(-3, 3), y=st.floats(-3, 3))
def test_gradient_norm_in_the_coordinates(group: CoordinateSymmetry, formula: object, x: float, y: float) -> None:
    point = vector(x, y).requires_grad_()
    (g,) = torch.autograd.grad(group.value(point), point)
    u, v = group.forward(point.detach())
    assert callable(formula)
    assert float(g @ g) == pytest.approx(float(formula(u, v)), rel=1e-9, abs=1e-9)


@given(x=st.floats(-3, 3), y=st.floats(-3, 3), a=st.sampled_from([0.3, 1.0, 4.0]))
@settings(max_examples=30)
def test_closed_forms_are_the_best_of_the_circle(x: float, y: float, a: float) -> None:
    for group in (Ellipse(a), Booth()):
        orbit = group.orbit([vector(x, y)])
        best = orbit.best()
        assert best is not None

        def squared(p: torch.Tensor, group: CoordinateSymmetry = group) -> float:
            q = p.detach().requires_grad_()
            (g,) = torch.autograd.grad(group.value(q), q)
            return float(g @ g)

        angles = torch.linspace(0, 2 * math.pi, 50, dtype=torch.float64)
        others = [squared(orbit.at(group.rotation(angle))[0]) for angle in angles]
        assert squared(best[0]) >= max(others) * (1 - 1e-9) - 1e-12
        assert float(group.value(best[0])) == pytest.approx(float(group.value(vector(x, y))), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [2, 10, 100, 1000])
def test_one_teleport_of_a_quadratic_is_best_for_ever(n: int) -> None:
    """Propositions 5.5 and 5.6: the flow from the best point stays best; the point is the nearest to the minimum."""
    A = positive_definite(n)
    group = Quadratic(A)
    w = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    start, level = w.detach().clone(), float(group.value(w).detach())
    report = Teleporter(w, group=group).teleport(lambda: group.value(w))
    top, direction = float(group.eigenvalues[-1]), group.eigenvectors[:, -1]
    assert report.accepted
    assert report.loss_change <= 1e-9
    assert report.grad_sq_after == pytest.approx(4 * top * level, rel=1e-9)
    assert abs(float(direction @ w.detach())) == pytest.approx(float(w.detach().norm()), rel=1e-12)
    assert float(w.detach().norm()) <= float(start.norm())
    x = w.detach().clone()
    for _ in range(20):  # exact gradient flow: w(t) = exp(-2 A t) w(0)
        x = group.eigenvectors @ (torch.exp(-0.2 * group.eigenvalues / top) * (group.eigenvectors.T @ x))
        gradient = 2 * A @ x
        assert float(gradient @ gradient) == pytest.approx(4 * top * float(group.value(x)), rel=1e-9)


def test_random_elements_never_beat_the_closed_form(rng: object) -> None:
    A = positive_definite(5)
    group, generator = Quadratic(A), torch.Generator().manual_seed(0)
    orbit = group.orbit([vector(1, 2, -1, 0.5, 0.1)])
    (best,) = orbit.best() or []
    limit = float((2 * A @ best).square().sum())
    for _ in range(50):
        (other,) = orbit.at(group.random(generator, 2.0, best))
        assert float((2 * A @ other).square().sum()) <= limit * (1 + 1e-9)
        assert float(other.norm()) >= float(best.norm()) * (1 - 1e-9)


def test_exact_angle_of_rosenbrock() -> None:
    group = Rosenbrock()
    x = vector(0.6, 0.3).requires_grad_()
    u = group.forward(x.detach())
    angles = torch.linspace(0, 2 * math.pi, 200_001, dtype=torch.float64)
    a, b = u.norm() * torch.cos(angles), u.norm() * torch.sin(angles)
    best = float(((40 * a * (b + 1) + 2 * b) ** 2 + 400 * a**2).max())
    report = Teleporter(x, group=group).teleport(lambda: group.value(x))
    assert report.accepted
    assert report.grad_sq_after == pytest.approx(best, rel=1e-7)
    assert report.loss_change <= 1e-9


def test_refusals() -> None:
    with pytest.raises(InputError, match="does not undo"):
        CoordinateSymmetry(torch.sinh, torch.sinh, dim=2)
    with pytest.raises(InputError, match="positive definite"):
        Quadratic(torch.diag(vector(1.0, -1.0)))
    with pytest.raises(InputError, match="symmetric"):
        Quadratic(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    with pytest.raises(InputError, match="positive ratio"):
        Ellipse(-1.0)
    with pytest.raises(InputError, match=r"shape \(2,\)"):
        Booth().orbit([torch.zeros(3)])
    with pytest.raises(InputError, match="needs dim = 2"):
        Rosenbrock(pairs=2).rotation(torch.tensor(1.0))
