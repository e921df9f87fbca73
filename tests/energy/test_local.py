from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

import evenflow as ef
from conformance.energy import EnergyConformance
from evenflow import gallery
from evenflow.energy import ENERGIES, Energy, Kuramoto, energy_class
from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.graph import Graph

GRAPH = gallery.lattice(5, 6)
RNG = np.random.default_rng(1)
LENGTHS = RNG.uniform(0.5, 1.5, GRAPH.n_edges)
TARGETS = RNG.standard_normal((GRAPH.n_nodes, 2))


class TestSpringConformance(EnergyConformance):
    """The spring network of the README: squared distances, edge data, a separable node term with vector data."""

    @classmethod
    def make(cls, fixed: Any = None, scale: float = 1.0) -> Energy:
        return Energy(
            GRAPH,
            pair=lambda r2, rest: (ef.sqrt(r2) - rest) ** 2,
            pair_of="squared_distance",
            edge_data={"rest": scale * LENGTHS},
            node=lambda w, t, k: k * (w - t) ** 4,
            node_data={"t": scale * TARGETS, "k": scale**-2},
            dim=2,
            fixed=fixed,
            initial=None,
        )

    @classmethod
    def other_units(cls) -> tuple[Energy, Callable[[FloatArray], FloatArray], float]:
        return cls.make(scale=1000.0), lambda w: 1000.0 * w, 1e6


class TestNeighbourhoodConformance(EnergyConformance):
    """Two neighbourhood sums, an uneven pair term, oriented data, weights of both signs."""

    @classmethod
    def make(cls, fixed: Any = None, shift: float = 0.0) -> Energy:
        rng = np.random.default_rng(4)
        graph = GRAPH.replace(weights=rng.standard_normal(GRAPH.n_edges))
        return Energy(
            graph,
            pair=lambda x, d: 0.3 * ef.exp(0.4 * (x - d)) + ef.cos(x - d),
            neighbourhood=(
                lambda s, c, k: ef.sqrt(1 + k * s**2 + c**2) + 0.1 * s * c,
                [lambda x, d: ef.sin(x - d), lambda x: x**3 / 9 + ef.cos(2 * x)],
            ),
            edge_data={"d": rng.standard_normal(graph.n_edges) + shift * np.subtract(*graph.edges.T)},
            oriented=["d"],
            node_data={"k": rng.uniform(0, 1, graph.n_nodes)},
            fixed=fixed,
        )

    @classmethod
    def other_units(cls) -> tuple[Energy, Callable[[FloatArray], FloatArray], float]:
        return cls.make(), lambda w: w + 3.7, 1.0


class TestFieldConformance(EnergyConformance):
    """XY spins in a field: node terms that share the sines and cosines of the pair term."""

    @classmethod
    def make(cls, fixed: Any = None) -> Energy:
        return Energy(
            GRAPH,
            pair=lambda x: 1 - ef.cos(x),
            node=lambda w, h: -h * ef.cos(w) + 0.2 * ef.sin(2 * w + 0.3),
            node_data={"h": 0.7},
            fixed=fixed,
        )

    @classmethod
    def other_units(cls) -> tuple[Energy, Callable[[FloatArray], FloatArray], float]:
        return cls.make(), lambda w: w + 2 * np.pi, 1.0


def test_uneven_pair_follows_the_order_of_the_nodes() -> None:
    w = np.array([0.2, 1.0, -0.5])
    energy = Energy(Graph.from_edges([[1, 0], [1, 2]]), pair=lambda x: x**3)
    assert energy.value(w) == pytest.approx((w[0] - w[1]) ** 3 + (w[1] - w[2]) ** 3, rel=1e-14)
    np.testing.assert_allclose(energy.gradient(w)[0], 3 * (w[0] - w[1]) ** 2)


def test_node_formula_in_single_components() -> None:
    data = {"t": [[1.0, 2.0], [3.0, 4.0]]}
    energy = Energy(Graph.from_edges([[0, 1]]), node=lambda w, t: w[0] ** 2 * w[1] + t[1], node_data=data, dim=2)
    w = np.array([[1.0, 2.0], [3.0, 0.5]])
    assert energy.value(w) == 2.0 + 4.5 + 2.0 + 4.0
    np.testing.assert_array_equal(energy.gradient(w), [[4.0, 1.0], [3.0, 9.0]])


def test_whole_state_and_components_do_not_mix() -> None:
    with pytest.raises(InputError, match="whole state"):
        Energy(Graph.from_edges([[0, 1]]), node=lambda w: w**2 + w[0], dim=2)


def test_states_without_edges_or_terms() -> None:
    energy = Energy(Graph.from_edges(np.empty((0, 2), dtype=int), n_nodes=3), pair=lambda x: x**2)
    assert energy.value(np.ones(3)) == 0.0
    np.testing.assert_array_equal(energy.hessian(np.ones(3)).toarray(), np.zeros((3, 3)))


def test_data_of_the_graph_are_known_by_name() -> None:
    graph = Graph.from_edges([[1, 0], [1, 2]], edge_data={"d": [0.5, 1.0]}, oriented=["d"])
    energy = Energy(graph, pair=lambda x, d: (x - d) ** 2)
    assert energy.value(np.array([0.0, 0.5, -0.5])) == 0.0
    overridden = Energy(graph, pair=lambda x, d: (x - d) ** 2, edge_data={"d": [0.0, 1.0]})
    assert overridden.value(np.array([0.5, 0.5, -0.5])) == 0.0


def test_constants_change_without_new_kernels() -> None:
    energies = [Energy(GRAPH, pair=lambda x, c=c: c * x**4 + 0.3 * c * x**2) for c in (0.37, 1.93)]
    assert energies[0]._engine._kernels is energies[1]._engine._kernels
    w = np.arange(30.0)
    assert energies[1].value(w) == pytest.approx(1.93 / 0.37 * energies[0].value(w), rel=1e-13)


def test_numpy_functions_are_understood() -> None:
    energy = Energy(GRAPH, pair=lambda x: np.float64(2.0) * np.cos(x) + np.sqrt(x**2 + np.int64(1)))
    w = np.linspace(0, 1, 30)
    x = w[GRAPH.edges[:, 0]] - w[GRAPH.edges[:, 1]]
    assert energy.value(w) == pytest.approx((2 * np.cos(x) + np.sqrt(x**2 + 1)).sum(), rel=1e-13)


@pytest.mark.parametrize("name", ["sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "abs"])
def test_every_function_in_one_formula(name: str) -> None:
    """All functions share one kernel here; each is switched on by its own factor."""
    names = ["sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "abs"]
    energy = _all_functions(names, name)
    w = np.linspace(0.2, 1.3, 30)
    assert energy.value(w) == pytest.approx(getattr(np, name)(w).sum(), rel=1e-13)
    x = torch.tensor(w, requires_grad=True)
    getattr(torch, name)(x).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(energy.gradient(w), x.grad.numpy(), rtol=1e-13)
    h = 1e-5
    slope = (energy.gradient(w + h) - energy.gradient(w - h)) / (2 * h)
    np.testing.assert_allclose(energy.hvp(w, np.ones(30)), slope, rtol=1e-7, atol=1e-7)


def _all_functions(names: list[str], chosen: str) -> Energy:
    from evenflow.energy import functions

    def node(w: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, k: Any, m: Any, n: Any) -> Any:
        factors = [a, b, c, d, e, f, g, h, k, m, n]
        return sum(factor * getattr(functions, name)(w) for factor, name in zip(factors, names, strict=True))

    data = {letter: float(name == chosen) for letter, name in zip("abcdefghkmn", names, strict=True)}
    return Energy(GRAPH, node=node, node_data=data)


def test_initial_by_user() -> None:
    start = np.arange(30.0)
    energy = Energy(GRAPH, pair=lambda x: x**2, initial=start, fixed={0: 5.0})
    assert energy.initial(np.random.default_rng(0))[0] == 5.0
    drawn = Energy(GRAPH, pair=lambda x: x**2, initial=lambda rng: rng.uniform(3, 4, 30))
    assert drawn.initial(np.random.default_rng(0)).min() >= 3
    with pytest.raises(InputError, match="initial= is a function"):
        drawn.export()
    with pytest.raises(InputError, match="initial has shape"):
        Energy(GRAPH, pair=lambda x: x**2, initial=np.zeros(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pair": lambda x: 2 * math.sin(x)}, "evenflow.sin"),
        ({"pair": lambda x: x if x > 0 else -x}, "compares or branches"),
        ({"pair": lambda x: max(x, 0)}, "compares or branches"),
        ({"pair": lambda x: 2 * torch.sin(x)}, "could not be recorded"),
        ({"pair": lambda x: 2 * np.arctanh(x)}, r"numpy\.arctanh"),
        ({"pair": lambda x: x * np.ones(3)}, "edge_data="),
        ({"pair": lambda x: x * math.inf}, "finite"),
        ({"pair": lambda x: "energy"}, "str"),
        ({"pair": lambda x, rest: x - rest}, "'rest' that is no data name"),
        ({"pair": lambda *x: x[0]}, "plain arguments"),
        ({"pair": lambda: 1.0}, "takes 0 arguments"),
        ({"pair": 3.0}, "must be a Python function"),
        ({}, "at least one of"),
        ({"pair": lambda x: x**2, "dim": 2}, "squared_distance"),
        ({"pair": lambda x: x**2, "dim": 9}, "1 to 8"),
        ({"pair": lambda x: x**2, "pair_of": "distance"}, "pair_of is 'distance'"),
        ({"pair": lambda x, r: x * r, "edge_data": {"r": np.ones(3)}}, r"shape \(3,\)"),
        ({"pair": lambda x, r: x * r, "edge_data": {"r": ["a"] * 49}}, "cannot be read"),
        ({"pair": lambda x, r: x * r, "edge_data": {"r": np.full(49, np.nan)}}, "not finite"),
        ({"pair": lambda x: x, "edge_data": {"r": np.ones(49)}}, "used by no formula"),
        ({"pair": lambda x: x, "oriented": ["r"]}, "oriented names 'r'"),
        ({"node": lambda w, a__b: w, "node_data": {"a__b": 1.0}}, "double underscore"),
        ({"neighbourhood": lambda s: s}, "tuple"),
        ({"neighbourhood": (lambda s: s, ef.sin), "dim": 2}, "scalar states"),
    ],
)
def test_wrong_formulas_and_data_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Energy(GRAPH, **arguments)


def test_restored_formulas_are_parsed_not_run() -> None:
    saved = Energy(GRAPH, pair=lambda x: x**2).export()
    for tree, message in [
        (["sym", "__import__"], "unknown symbol"),
        (["call", ["sym", "x"]], "operation 'call'"),
        (["num", "1; import os"], "expected a number"),
        ("x**2", "expected a list"),
        (["add", ["sym", "x"]], "with 1 operands"),
    ]:
        with pytest.raises(InputError, match=message):
            Energy.restore(saved | {"formulas": saved["formulas"] | {"pair": tree}})
    deep: Any = ["sym", "x"]
    for _ in range(300):
        deep = ["neg", deep]
    with pytest.raises(InputError, match="nested deeper"):
        Energy.restore(saved | {"formulas": saved["formulas"] | {"pair": deep}})


def test_torch_value_follows_dtype() -> None:
    energy = Kuramoto(GRAPH)
    w = torch.linspace(0, 6, 30, dtype=torch.float32)
    assert energy.torch_value(w).dtype == torch.float32
    assert float(energy.torch_value(w)) == pytest.approx(energy.value(w.double().numpy()), rel=1e-5)
    with pytest.raises(InputError, match="w has shape"):
        energy.torch_value(torch.zeros(3))


def test_hessian_of_squared_distances_at_a_constant_is_the_laplacian() -> None:
    """Each edge once gives 2 f'(0) L for every component; over ordered pairs it is 4 f'(0) L."""
    energy = Energy(GRAPH, pair=lambda r2: 3 * ef.tanh(r2), pair_of="squared_distance", dim=2)
    expected = np.kron(6 * GRAPH.laplacian.toarray(), np.eye(2))
    np.testing.assert_allclose(energy.hessian(np.full((30, 2), 0.7)).toarray(), expected, atol=1e-13)


def test_every_attribute_of_the_graph_is_saved() -> None:
    graph = gallery.lattice(3, 4, periodic=True)
    graph = graph.replace(
        names=[("a", k) for k in range(12)], edge_data={"d": np.arange(24.0)}, oriented=["d"], triangles=[[0, 1, 2]]
    )
    again = Energy.restore(Energy(graph, pair=lambda x: x**2).export()).graph
    assert (again.names, again.grid, again.periodic, again.oriented) == (graph.names, (3, 4), True, {"d"})
    for name in ("edges", "weights", "positions", "triangles"):
        np.testing.assert_array_equal(getattr(again, name), getattr(graph, name))


def test_symmetries_of_springs_without_anchors(rng: np.random.Generator) -> None:
    energy = Energy(GRAPH, pair=lambda r2: 3 * ef.tanh(r2), pair_of="squared_distance", dim=2)
    w = energy.initial(rng)
    symmetries = energy.symmetries()
    assert set(symmetries) == {"translation", "rotation"}
    for act in symmetries.values():
        assert energy.value(act(w, rng)) == pytest.approx(energy.value(w), rel=1e-12)


def test_named_energies() -> None:
    assert [energy_class(name).name for name in ENERGIES] == ["heat", "kuramoto", "hopf-kuramoto"]
    with pytest.raises(InputError, match="no energy 'spin'; known: heat, kuramoto"):
        energy_class("spin")


class TestConstantCouplingsConformance(EnergyConformance):
    """Quadratic pairs over several components: only diagonal blocks of the Hessian change."""

    @classmethod
    def make(cls, fixed: Any = None) -> Energy:
        graph = gallery.er(20, degree=4, seed=4)
        graph = graph.replace(weights=np.random.default_rng(2).uniform(0.5, 2.0, graph.n_edges))
        return Energy(
            graph,
            pair=lambda r2, k: k * r2,
            pair_of="squared_distance",
            node=lambda w, depth: depth * ef.cos(w[0] * w[1]) + w[0] ** 4,
            edge_data={"k": np.random.default_rng(7).uniform(0.5, 1.5, graph.n_edges)},
            node_data={"depth": np.linspace(0.5, 2.0, 20)},
            dim=2,
            fixed=fixed,
        )

    @classmethod
    def other_units(cls) -> tuple[Energy, Callable[[FloatArray], FloatArray], float]:
        energy = cls.make()
        return energy, lambda w: -w, 1.0


@pytest.mark.parametrize(
    ("pair", "constant"),
    [(lambda x: 3 * x**2 + x, True), (lambda x, d: (x - d) * (x + d), True), (lambda x: x**2 + ef.cos(x), False)],
)
def test_constant_couplings_are_recognised(pair: Any, constant: bool) -> None:
    graph = Graph.from_edges([[0, 1], [1, 2]], edge_data={"d": [0.3, 0.4]})
    assert Energy(graph, pair=pair)._engine.constant_couplings is constant


@pytest.mark.parametrize(
    ("node", "quartic"),
    [
        (lambda w, h: h * w, True),
        (lambda w, h: h * (w**2 - 1) ** 2 + 0.1 * w, True),
        (lambda w, h: h * (w - h) ** 3, True),
        (lambda w, h: (w + h) ** 5 - w**5 - 5 * h * w**4, True),
        (lambda w, h: h * w**5, False),
        (lambda w, h: h * ef.cos(w), False),
        (lambda w, h: h * abs(w) ** 3, False),  # all derivatives but the first three vanish nearly everywhere
        (lambda w, h: h * ef.exp(-w), False),
        (lambda w, h: h * (1 + w**2) ** 0.5, False),
    ],
)
def test_quartic_energies_are_recognised(node: Any, quartic: bool) -> None:
    graph, data = Graph.from_edges([[0, 1], [1, 2]]), {"h": [0.3, 0.4, 0.5]}
    assert Energy(graph, pair=lambda x: x**2, node=node, node_data=data).quartic is quartic
    assert not Energy(graph, pair=lambda x: x**4, node=node, node_data=data).quartic


@pytest.mark.parametrize("fixed", [None, {2: [0.5, -0.5], 11: [0.0, 1.0]}])
def test_refreshed_diagonal_is_that_of_a_fresh_hessian(fixed: Any, rng: np.random.Generator) -> None:
    kept = TestConstantCouplingsConformance.make(fixed)
    for _ in range(3):
        w = kept.initial(rng)
        fresh = TestConstantCouplingsConformance.make(fixed)
        np.testing.assert_array_equal(kept.hessian(w).data, fresh.hessian(w).data)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(kept)).hessian(w).data, fresh.hessian(w).data)


@pytest.mark.parametrize("fixed", [None, {0: 0.0}])
def test_each_thread_has_its_own_constant_couplings(fixed: Any, rng: np.random.Generator) -> None:
    energy = Energy(GRAPH, pair=lambda x: x**2, node=lambda w: w**4, fixed=fixed)
    first, second = energy.initial(rng), energy.initial(rng)
    here = energy.hessian(first)
    kept = here.data.copy()
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(energy.hessian, second).result()
        assert pool.submit(energy.hessian, second).result() is there
    assert there is not here
    np.testing.assert_array_equal(here.data, kept)
    np.testing.assert_array_equal(energy.hessian(second).data, there.data)
