from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from conformance.energy import EnergyConformance
from evenflow import gallery
from evenflow.energy import HopfKuramoto, Kuramoto
from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.graph import Graph


class TestPaperConformance(EnergyConformance):
    loss: Any = "paper"

    @classmethod
    def make(cls, fixed: Any = None) -> HopfKuramoto:
        return HopfKuramoto(gallery.lattice(5, 6), s1=0.9, s2=0.3, c=1.2, loss=cls.loss, fixed=fixed)

    @classmethod
    def other_units(cls) -> tuple[HopfKuramoto, Callable[[FloatArray], FloatArray], float]:
        """Couplings twice as large per edge: s1 and s2 take up the difference."""
        graph = gallery.lattice(5, 6)
        graph = graph.replace(weights=np.full(graph.n_edges, 2.0))
        return HopfKuramoto(graph, s1=0.45, s2=0.3 / 4, c=1.2, loss=cls.loss), lambda w: w, 1.0


class TestPotentialConformance(TestPaperConformance):
    loss = "potential"


class TestDriftConformance(TestPaperConformance):
    loss = "drift"
    chunks = False

    @classmethod
    def other_units(cls) -> tuple[HopfKuramoto, Callable[[FloatArray], FloatArray], float]:
        """Time in halves of its unit: all velocities double."""
        return HopfKuramoto(gallery.lattice(5, 6), s1=0.9, s2=0.6, c=2.4, loss="drift"), lambda w: w, 4.0


class TestWeightedPotentialConformance(TestPotentialConformance):
    @classmethod
    def make(cls, fixed: Any = None) -> HopfKuramoto:
        graph = gallery.lattice(4, 5)
        graph = graph.replace(weights=np.random.default_rng(0).standard_normal(graph.n_edges))
        return HopfKuramoto(graph, s1=0.9, s2=0.3, loss="potential", fixed=fixed)

    @classmethod
    def other_units(cls) -> tuple[HopfKuramoto, Callable[[FloatArray], FloatArray], float]:
        energy = cls.make()
        graph = energy.graph.replace(weights=energy.graph.weights * 3.0)
        return HopfKuramoto(graph, s1=0.3, s2=0.3 / 9, loss="potential"), lambda w: -w, 1.0


def dense_field(graph: Graph, w: FloatArray, c: float, s1: float, s2: float) -> FloatArray:
    """The printed dynamics, term by term over all triples."""
    A, n = graph.adjacency.toarray(), len(w)
    F = np.zeros(n)
    for i in range(n):
        for j in range(n):
            F[i] += A[i, j] * (c * np.cos(w[i] - w[j]) - c * s1 * np.sin(w[i] - w[j]))
            for k in range(n):
                first = np.sin(2 * w[j] - w[i] - w[k]) - np.sin(w[k] - w[i])
                F[i] += s2 * A[i, j] * (A[j, k] * first + A[i, k] * np.sin(w[j] + w[k] - 2 * w[i]))
    return F


@pytest.fixture
def random_graph() -> Graph:
    return gallery.er(14, degree=4, seed=2)


def test_velocity_is_the_printed_field(random_graph: Graph, rng: np.random.Generator) -> None:
    w = rng.uniform(0, 2 * np.pi, random_graph.n_nodes)
    energy = HopfKuramoto(random_graph, s1=0.7, s2=0.4, c=1.3, loss="drift")
    field = dense_field(random_graph, w, 1.3, 0.7, 0.4)
    np.testing.assert_allclose(energy.velocity(w), field, atol=3e-13)
    assert energy.value(w) == pytest.approx(np.var(field), rel=1e-12)


def test_paper_loss_and_gradient_in_closed_form(random_graph: Graph, rng: np.random.Generator) -> None:
    w = rng.uniform(0, 2 * np.pi, random_graph.n_nodes)
    A, difference = random_graph.adjacency.toarray(), w[:, None] - w[None, :]
    C = (A * np.cos(difference)).sum(axis=1)
    value, gradient = HopfKuramoto(random_graph, s1=0.7, s2=0.4, c=1.3).value_and_gradient(w)
    assert value == pytest.approx(1.3 * 0.7 * C.sum() + 0.4 * (C**2).sum(), rel=1e-13)
    factor = 2 * 1.3 * 0.7 + 2 * 0.4 * (C[:, None] + C[None, :])
    np.testing.assert_allclose(gradient, -(A * np.sin(difference) * factor).sum(axis=1), atol=1e-12)


def test_potential_drives_the_variational_part_of_the_field(random_graph: Graph, rng: np.random.Generator) -> None:
    """-grad V = F - c C."""
    w = rng.uniform(0, 2 * np.pi, random_graph.n_nodes)
    energy = HopfKuramoto(random_graph, s1=0.7, s2=0.4, c=1.3, loss="potential")
    C = (random_graph.adjacency.toarray() * np.cos(w[:, None] - w[None, :])).sum(axis=1)
    np.testing.assert_allclose(-energy.gradient(w), energy.velocity(w) - 1.3 * C, atol=1e-12)
    torque = Kuramoto(random_graph).gradient(w) / 2
    half = 1.3 * 0.7 * Kuramoto(random_graph).value(w) / 2
    assert energy.value(w) == pytest.approx(half + 0.4 * torque @ torque, rel=1e-12)


def test_potential_at_synchrony() -> None:
    graph = gallery.lattice(5, 6)
    energy = HopfKuramoto(graph, s1=0.7, s2=0.4, loss="potential")
    w = np.full(30, 1.2)
    assert energy.value(w) == pytest.approx(energy.reference(), rel=1e-14)
    L = graph.laplacian.toarray()
    np.testing.assert_allclose(energy.hessian(w).toarray(), 0.7 * L + 0.8 * L @ L, atol=1e-12)
    np.testing.assert_allclose(energy.curvature().toarray(), 0.7 * L + 0.8 * L @ L, atol=1e-12)


def test_drift_vanishes_at_phase_locked_states() -> None:
    torus = gallery.lattice(6, 6, periodic=True)
    energy = HopfKuramoto(torus, s1=0.7, s2=0.4, loss="drift")
    wave = 2 * np.pi * np.indices((6, 6))[0].ravel() / 6
    for w in (np.zeros(36), wave):
        value, gradient = energy.value_and_gradient(w)
        assert value < 1e-28
        assert np.abs(gradient).max() < 1e-14


@pytest.mark.parametrize("s2", [0.05, 0.124])
def test_paper_bound_is_reached_by_antiferromagnetic_order(s2: float) -> None:
    energy = HopfKuramoto(gallery.lattice(8, 8, periodic=True), s1=1.0, s2=s2)
    checkerboard = np.pi * (np.indices((8, 8)).sum(axis=0) % 2).ravel()
    assert energy.reference() == pytest.approx(64 * (-4 + 16 * s2), rel=1e-12)
    assert energy.value(checkerboard) == pytest.approx(energy.reference(), rel=1e-12)


def test_paper_bound_is_reached_by_a_wave_beyond_the_transition() -> None:
    """s2 > s1/8: any state with C = -1 / (2 s2) is a minimum; here a diagonal wave of angle 3 pi / 4 per step."""
    s2 = 1 / (4 * np.sqrt(2))
    energy = HopfKuramoto(gallery.lattice(8, 8, periodic=True), s1=1.0, s2=s2)
    wave = 0.75 * np.pi * np.indices((8, 8)).sum(axis=0).ravel()
    assert energy.reference() == pytest.approx(-64 / (4 * s2), rel=1e-12)
    assert energy.value(wave) == pytest.approx(energy.reference(), rel=1e-12)


@pytest.mark.parametrize("loss", ["paper", "potential"])
@pytest.mark.parametrize(("s1", "s2"), [(1.0, 0.1), (-1.0, 0.1), (1.0, -0.2), (-0.5, 0.0), (0.0, 1.0)])
def test_bounds_hold_for_all_signs(loss: Any, s1: float, s2: float, rng: np.random.Generator) -> None:
    graph = gallery.lattice(4, 4)
    graph = graph.replace(weights=rng.standard_normal(graph.n_edges))
    energy = HopfKuramoto(graph, s1=s1, s2=s2, loss=loss)
    w = energy.initial(rng)
    found = minimize(energy.value_and_gradient, w, jac=True, method="L-BFGS-B")
    assert found.fun >= energy.reference() - 1e-9


def test_report_and_errors() -> None:
    energy = HopfKuramoto.from_graph(gallery.lattice(4, 4), s2=0.2)
    report = energy.report(np.zeros(16))
    assert report["order_parameter"] == pytest.approx(1.0)
    assert report["velocity_spread"] > 0, "corner nodes have fewer neighbours"
    with pytest.raises(InputError, match="loss is 'printed'"):
        HopfKuramoto(gallery.ring(4), s1=1.0, s2=1.0, loss="printed")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="s2 is nan"):
        HopfKuramoto(gallery.ring(4), s1=1.0, s2=np.nan)
    with pytest.raises(InputError, match="no parameter 'speed'"):
        HopfKuramoto.from_graph(gallery.ring(4), speed=2)


class TestWeightedDriftConformance(TestDriftConformance):
    """Weights of both signs, and a node without neighbours."""

    @classmethod
    def make(cls, fixed: Any = None, scale: float = 1.0) -> HopfKuramoto:
        edges = gallery.er(24, degree=4, seed=3).edges
        weights = np.random.default_rng(0).standard_normal(len(edges)) * scale
        graph = Graph.from_edges(edges, weights=weights, n_nodes=25)
        return HopfKuramoto(graph, s1=0.9, s2=0.3 / scale, c=1.2, loss="drift", fixed=fixed)

    @classmethod
    def other_units(cls) -> tuple[HopfKuramoto, Callable[[FloatArray], FloatArray], float]:
        """Weights times 3 and s2 by a third of that: all velocities triple."""
        return cls.make(scale=3.0), lambda w: w, 9.0


@pytest.mark.parametrize("loss", ["paper", "potential", "drift"])
def test_results_are_not_written_beyond_an_array(loss: Any, rng: np.random.Generator) -> None:
    energy = HopfKuramoto(gallery.lattice(4, 5), s1=0.7, s2=0.4, loss=loss)
    w = energy.initial(rng)
    product = energy.linearise(w)
    for out in (np.empty(19), np.empty(20, np.float32)):
        with pytest.raises(InputError, match="out is float"):
            energy.value_and_gradient(w, out)
        with pytest.raises(InputError, match="out is float"):
            product(w, out)


def test_drift_is_evaluated_by_several_threads_at_once(rng: np.random.Generator) -> None:
    energy = HopfKuramoto(gallery.lattice(20, 20, periodic=True), s1=0.7, s2=0.4, loss="drift")
    states = [energy.initial(rng) for _ in range(40)]
    expected = [energy.value_and_gradient(w) for w in states]
    with ThreadPoolExecutor(4) as pool:
        for (value, gradient), (again, same) in zip(expected, pool.map(energy.value_and_gradient, states), strict=True):
            assert value == again
            np.testing.assert_array_equal(gradient, same)


def test_drift_of_nothing_is_nothing() -> None:
    energy = HopfKuramoto(Graph.from_edges(np.empty((0, 2), dtype=int), n_nodes=0), s1=1.0, s2=0.1, loss="drift")
    value, gradient = energy.value_and_gradient(np.empty(0))
    assert value == energy.value(np.empty(0)) == 0.0
    assert gradient.shape == energy.hvp(np.empty(0), np.empty(0)).shape == energy.velocity(np.empty(0)).shape == (0,)
