from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from conformance.energy import EnergyConformance
from evenflow import gallery
from evenflow.energy import HeatDiffusion
from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.graph import Graph


class TestHeatConformance(EnergyConformance):
    @classmethod
    def make(cls, fixed: Any = None) -> HeatDiffusion:
        return HeatDiffusion.random_baths(gallery.lattice(6, 7), fraction=0.2, seed=1, diffusivity=0.7, fixed=fixed)

    @classmethod
    def other_units(cls) -> tuple[HeatDiffusion, Callable[[FloatArray], FloatArray], float]:
        """Celsius to Fahrenheit: E scales with k^2 when the strength takes k^-2."""
        k, shift, energy = 1.8, 32.0, cls.make()
        constants = energy.constants | {"t_hot": 10 * k + shift, "t_cold": shift, "strength": 10.0 / k**2}
        return HeatDiffusion(energy.graph, hot=energy.hot, cold=energy.cold, **constants), lambda w: k * w + shift, k**2


class TestWeightedHeatConformance(TestHeatConformance):
    @classmethod
    def make(cls, fixed: Any = None) -> HeatDiffusion:
        graph = gallery.lattice(5, 6)
        graph = graph.replace(weights=np.random.default_rng(3).uniform(0.1, 2.0, graph.n_edges))
        return HeatDiffusion.sides(graph, fraction=0.2, diffusivity=1.3, fixed=fixed)


def minimise(energy: HeatDiffusion, w: FloatArray) -> FloatArray:
    for _ in range(60):
        w = w - spsolve(energy.hessian(w).tocsc(), energy.gradient(w).ravel())
    return w


def test_energy_is_that_of_the_definition(rng: np.random.Generator) -> None:
    graph = gallery.lattice(4, 5)
    energy = HeatDiffusion(graph, hot=[0, 3], cold=[7], t_hot=2.0, t_cold=-1.0, strength=3.0, diffusivity=0.5)
    w = rng.standard_normal(20)
    expected = 0.25 * w @ (graph.laplacian @ w) + 3.0 * ((w[0] - 2) ** 4 + (w[3] - 2) ** 4 + (w[7] + 1) ** 4)
    assert energy.value(w) == pytest.approx(expected, rel=1e-13)


def test_minimiser_obeys_the_maximum_principle(rng: np.random.Generator) -> None:
    energy = HeatDiffusion.sides(gallery.lattice(8, 8), fraction=0.15)
    w = minimise(energy, energy.initial(rng))
    assert np.abs(energy.gradient(w)).max() < 1e-9
    assert w.min() > 0
    assert w.max() < 10
    report = energy.report(w)
    assert report["heat_flow"] > 0
    assert report["diffusion_energy"] + report["bath_energy"] == pytest.approx(energy.value(w), rel=1e-12)


def test_bath_offset_follows_the_cube_root_law() -> None:
    """A bath node of degree k next to a steep profile ends off its target by (k / (8 lambda dT^2))^(1/3) dT."""
    energy = HeatDiffusion(Graph.from_edges([[0, 1]]), hot=[0], cold=[1], t_hot=10.0, strength=10.0)
    w = minimise(energy, np.array([9.0, 1.0]))
    offset = 10.0 - w[0]
    assert 4 * 10.0 * offset**3 == pytest.approx(w[0] - w[1], rel=1e-9)


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_baths_by_position_and_at_random(fraction: float) -> None:
    graph = gallery.lattice(6, 5)
    sides = HeatDiffusion.sides(graph, axis=0, fraction=fraction)
    assert graph.positions is not None
    x = graph.positions[:, 0]
    assert x[sides.hot].min() >= x[sides.cold].max()
    drawn = HeatDiffusion.random_baths(graph, fraction=fraction, seed=2)
    assert sides.hot.size == sides.cold.size == drawn.hot.size == drawn.cold.size == int(fraction * 30)
    assert not np.intersect1d(drawn.hot, drawn.cold).size
    again = HeatDiffusion.from_graph(graph, baths="random", fraction=fraction, seed=2)
    np.testing.assert_array_equal(again.hot, drawn.hot)


def test_report_is_the_sums_over_edges(rng: np.random.Generator) -> None:
    graph = gallery.lattice(6, 7)
    graph = graph.replace(weights=rng.uniform(0.5, 2.0, graph.n_edges))
    energy = HeatDiffusion.sides(graph, diffusivity=1.7, fixed={0: 3.0, 41: 8.0})
    w = energy.initial(rng)
    i, j = graph.edges.T
    flow = 1.7 * graph.weights * (w[i] - w[j])
    hot = np.isin(np.arange(42), energy.hot).astype(float)
    report = energy.report(w)
    assert report["diffusion_energy"] == pytest.approx(0.5 * flow @ (w[i] - w[j]), rel=1e-10)
    assert report["heat_flow"] == pytest.approx(flow @ (hot[i] - hot[j]), rel=1e-10)


def test_component_without_bath_is_reported() -> None:
    graph = Graph.from_edges([[0, 1], [2, 3], [4, 5]])
    energy = HeatDiffusion(graph, hot=[0], cold=[1], fixed={4: 3.0})
    assert energy.report(np.zeros(6))["components_without_bath"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cold": [0]}, "node 0 is in hot and in cold"),
        ({"hot": [20]}, "hot names node 20"),
        ({"hot": [-1]}, "hot names node -1"),
        ({"hot": np.ones(20, dtype=bool)}, "flatnonzero"),
        ({"strength": 0.0}, "strength is 0.0"),
        ({"diffusivity": -1.0}, "diffusivity is -1.0"),
        ({"t_hot": np.inf}, "t_hot is inf"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HeatDiffusion(gallery.lattice(4, 5), **{"hot": [0], "cold": [1]} | change)


def test_wrong_graphs_and_parameters_are_named() -> None:
    graph = Graph.from_edges([[0, 1], [1, 2]], weights=[1.0, -2.0])
    with pytest.raises(InputError, match=r"edge \(1, 2\) has the negative weight -2"):
        HeatDiffusion(graph, hot=[0], cold=[1])
    with pytest.raises(InputError, match="need node positions"):
        HeatDiffusion.sides(Graph.from_edges([[0, 1]]))
    with pytest.raises(InputError, match="no parameter 'colour'"):
        HeatDiffusion.from_graph(gallery.lattice(3, 3), colour=1)
    with pytest.raises(InputError, match="baths is 'left'"):
        HeatDiffusion.from_graph(gallery.lattice(3, 3), baths="left")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"fraction is 0.7"):
        HeatDiffusion.random_baths(gallery.lattice(3, 3), fraction=0.7)
