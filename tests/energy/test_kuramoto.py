from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.energy import EnergyConformance
from evenflow import gallery
from evenflow.energy import Kuramoto
from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.graph import Graph


class TestKuramotoConformance(EnergyConformance):
    @classmethod
    def make(cls, fixed: Any = None) -> Kuramoto:
        return Kuramoto(gallery.lattice(6, 7), fixed=fixed)

    @classmethod
    def other_units(cls) -> tuple[Kuramoto, Callable[[FloatArray], FloatArray], float]:
        """Phases counted from another zero at each node: offsets take up the difference."""
        energy = cls.make()
        turn = np.random.default_rng(2).uniform(-3, 3, energy.shape)
        i, j = energy.graph.edges.T
        offsets = (0.0 if energy.offsets is None else energy.offsets) + turn[i] - turn[j]
        return Kuramoto(energy.graph, offsets=offsets), lambda w: w + turn, 1.0


class TestFrustratedKuramotoConformance(TestKuramotoConformance):
    @classmethod
    def make(cls, fixed: Any = None) -> Kuramoto:
        graph, rng = gallery.lattice(5, 6), np.random.default_rng(7)
        graph = graph.replace(weights=rng.standard_normal(graph.n_edges))
        return Kuramoto(graph, offsets=rng.uniform(-2, 2, graph.n_edges), fixed=fixed)


def test_energy_is_that_of_the_definition(rng: np.random.Generator) -> None:
    graph = gallery.lattice(4, 5)
    w = rng.uniform(0, 6, 20)
    difference = w[:, None] - w[None, :]
    A = graph.adjacency.toarray()
    energy = Kuramoto(graph)
    assert energy.value(w) == pytest.approx(-(A * np.cos(difference)).sum(), rel=1e-13)
    np.testing.assert_allclose(energy.gradient(w), 2 * (A * np.sin(difference)).sum(axis=1), atol=1e-13)
    np.testing.assert_allclose(energy.hessian(np.full(20, 0.3)).toarray(), 2 * graph.laplacian.toarray(), atol=1e-13)


@pytest.mark.parametrize("q", [0, 1, 3, -4])
def test_twisted_states_of_the_ring(q: int) -> None:
    n = 24
    energy = Kuramoto(gallery.ring(n))
    w = 2 * np.pi * q * np.arange(n) / n
    assert energy.value(w) == pytest.approx(-2 * n * np.cos(2 * np.pi * q / n), rel=1e-12)
    assert np.abs(energy.gradient(w)).max() < 1e-13
    stable = np.linalg.eigvalsh(energy.hessian(w).toarray())[1] > 0
    assert stable == (abs(q) < n / 4)


def test_unstable_twisted_state_has_negative_curvature() -> None:
    energy, w = Kuramoto(gallery.ring(12)), 2 * np.pi * 4 * np.arange(12) / 12
    assert np.linalg.eigvalsh(energy.hessian(w).toarray())[0] < -0.1


def test_reference_is_reached_at_synchrony_and_by_gauged_offsets(rng: np.random.Generator) -> None:
    graph = gallery.lattice(5, 5)
    turn = rng.uniform(0, 6, 25)
    i, j = graph.edges.T
    energy = Kuramoto(graph, offsets=turn[i] - turn[j])
    assert energy.value(turn) == pytest.approx(energy.reference(), rel=1e-13)
    assert Kuramoto(graph).value(np.ones(25)) == pytest.approx(-2 * graph.n_edges, rel=1e-14)


def test_offsets_flip_with_the_direction() -> None:
    """The same edge written backwards with the opposite offset is the same energy."""
    w = np.array([0.3, 1.1, 2.0])
    forth = Graph.from_edges([[0, 1], [1, 2]], edge_data={"angle": [0.4, -0.2]}, oriented=["angle"])
    back = Graph.from_edges([[1, 0], [2, 1]], edge_data={"angle": [-0.4, 0.2]}, oriented=["angle"])
    assert Kuramoto(forth, offsets="angle").value(w) == Kuramoto(back, offsets="angle").value(w)
    expected = -2 * (np.cos(w[0] - w[1] - 0.4) + np.cos(w[1] - w[2] + 0.2))
    assert Kuramoto(forth, offsets="angle").value(w) == pytest.approx(expected, rel=1e-14)


def test_report_counts_vortices_and_order() -> None:
    energy = Kuramoto(gallery.lattice(6, 6))
    y, x = np.mgrid[:6, :6] - 2.5
    vortex = np.arctan2(y, x).ravel()
    assert energy.report(vortex)["vortices"] == 1.0
    flat = energy.report(np.full(36, 2.0))
    assert flat["vortices"] == 0.0
    assert flat["order_parameter"] == pytest.approx(1.0)
    checkerboard = np.pi * (np.indices((6, 6)).sum(axis=0) % 2).ravel()
    staggered = energy.report(checkerboard)
    assert staggered["staggered_order_parameter"] == pytest.approx(1.0)
    assert staggered["order_parameter"] < 1e-12


def test_vortex_on_a_triangle_mesh_and_a_periodic_lattice() -> None:
    triangle = Graph.from_edges([[0, 1], [1, 2], [0, 2]], triangles=[[0, 1, 2]])
    energy = Kuramoto(triangle)
    assert energy.report(2 * np.pi * np.arange(3) / 3)["vortices"] == 1.0
    assert "staggered_order_parameter" not in energy.report(np.zeros(3))
    torus = Kuramoto(gallery.lattice(6, 6, periodic=True))
    random = torus.initial(np.random.default_rng(1))
    assert torus.report(random)["vortices"] % 2 == 0, "vortices and antivortices come in pairs on a torus"


@settings(max_examples=30, deadline=None)
@given(data=st.data(), n=st.integers(1, 12))
def test_any_graph(data: st.DataObject, n: int) -> None:
    """Isolated nodes, several components, no edges at all: the kernels agree with the definition."""
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True) if pairs else st.just([]))
    graph = Graph.from_edges(np.array(edges, dtype=np.int64).reshape(-1, 2), n_nodes=n)
    w = np.array(data.draw(st.lists(st.floats(-50, 50), min_size=n, max_size=n)))
    energy = Kuramoto(graph)
    A, difference = graph.adjacency.toarray(), w[:, None] - w[None, :]
    value, gradient = energy.value_and_gradient(w)
    assert value == pytest.approx(-(A * np.cos(difference)).sum(), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradient, 2 * (A * np.sin(difference)).sum(axis=1), atol=1e-11)
    cosine = 2 * A * np.cos(difference)
    np.testing.assert_allclose(energy.hessian(w).toarray(), np.diag(cosine.sum(axis=1)) - cosine, atol=1e-11)


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9, 1e15])
def test_large_phases_are_reduced_exactly(size: float, rng: np.random.Generator) -> None:
    graph = gallery.ring(40)
    w = rng.uniform(-size, size, 40)
    i, j = graph.edges.T
    expected = -2 * (np.cos(w[i]) * np.cos(w[j]) + np.sin(w[i]) * np.sin(w[j])).sum()
    assert Kuramoto(graph).value(w) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_phases_give_a_non_finite_energy(bad: float) -> None:
    w = np.zeros(20)
    w[3] = bad
    value, gradient = Kuramoto(gallery.lattice(4, 5)).value_and_gradient(w)
    assert np.isnan(value)
    assert np.isnan(gradient[3])


def test_wrong_arguments_are_named() -> None:
    graph = gallery.ring(5)
    with pytest.raises(InputError, match=r"offsets has shape \(4,\), expected \(5,\)"):
        Kuramoto(graph, offsets=np.zeros(4))
    with pytest.raises(InputError, match="no oriented edge data"):
        Kuramoto(graph, offsets="angle")
    with pytest.raises(InputError, match="no parameter 'temperature'"):
        Kuramoto.from_graph(graph, temperature=1)
