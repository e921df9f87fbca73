"""GCN, GAT and GraphNetwork: the contract, and their passes against torch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.analytic import QuarticDiffusion, path_graph, scattered_graph, square_lattice
from conformance.reparametrization import CountedConformance, ready
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.minimizer.problem import Problem
from evenflow.reparametrization import GAT, GCN, GraphNetwork

TWO_PI = 2 * np.pi
leaky = torch.nn.functional.leaky_relu


class NetworkConformance(CountedConformance):
    encode_within = 0.021

    def test_it_offers_no_hessian_products(self, member, energy):
        assert not Problem(energy, member, Counts()).has_hvp


class TestGCN(NetworkConformance):
    def make(self):
        return GCN(hidden=8, encode_tolerance=0.02)


class TestDeepResidualGCN(NetworkConformance):
    def make(self):
        return GCN(hidden=6, layers=3, latent=8, residual=True, propagation="sym", encode_tolerance=0.02)


class TestSquaredGCN(NetworkConformance):
    def make(self):
        return GCN(hidden=8, layers=2, propagation="sq", residual=True, bias=False, encode_tolerance=0.02)


class TestNoGraph(NetworkConformance):
    def make(self):
        return GCN(hidden=6, propagation="none", latent_init="xavier", encode_tolerance=0.02)


class TestGAT(NetworkConformance):
    def make(self):
        return GAT(hidden=10, residual=True, encode_tolerance=0.02)


class TestDeepGAT(NetworkConformance):
    def make(self):
        return GAT(hidden=8, layers=2, latent=10, residual=True, encode_tolerance=0.02)


class TestGraphNetwork(NetworkConformance):
    def make(self):
        return GraphNetwork(hidden=16, latent=8, encode_tolerance=0.02)


class TestDeepGraphNetwork(NetworkConformance):
    def make(self):
        return GraphNetwork(hidden=12, layers=2, residual=True, encode_tolerance=0.02)


def dense_propagation(graph, rule):
    a = graph.adjacency.toarray()
    a = a + np.eye(len(a)) if rule == "kipf" else a
    degree = a.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    p = scale[:, None] * a * scale[None, :]
    return torch.from_numpy({"sq": p @ p, "none": np.eye(len(a))}.get(rule, p))


def gcn_layer(network, graph, own, h):
    p = dense_propagation(graph, network.propagation)
    return leaky(p @ h @ own["weight"] + own.get("bias", 0.0), network.negative_slope)


def gat_layer(network, graph, own, h):
    x = h @ own["weight"]
    score = leaky(x @ own["target"] + (x @ own["source"]).T, network.negative_slope)
    linked = torch.from_numpy(graph.adjacency.toarray() > 0) | torch.eye(graph.n_nodes, dtype=torch.bool)
    alpha = torch.softmax(score.masked_fill(~linked, -torch.inf), dim=1)
    return leaky(alpha @ x, network.negative_slope)


def message_layer(network, graph, own, h):
    linked = torch.from_numpy(graph.adjacency.toarray() > 0).double()
    message = torch.relu(h @ own["message1"]) @ own["message2"]
    mean = linked @ message / linked.sum(dim=1, keepdim=True).clamp(min=1.0)
    return torch.relu(torch.cat([h, mean], dim=1) @ own["update1"]) @ own["update2"]


LAYER = {"gcn": gcn_layer, "gat": gat_layer, "graph-network": message_layer}


def torch_states(network, graph, theta):
    """The network's states by dense torch operations, differentiable in theta."""
    levels = [
        {name: theta[start:stop].reshape(shape) for name, (start, stop, shape) in level.items()}
        for level in network._layout
    ]
    features = [levels[0]["latent"]]
    for own in levels[1:-1]:
        features.append(LAYER[network.name](network, graph, own, features[-1]))
    last = levels[-1]
    if network.residual:
        stacked = torch.cat(features, dim=1)
        out = stacked @ torch.cat([last[f"readout{q}"] for q in range(len(features))]) + last["bias"]
    else:
        out = features[-1] @ last[f"readout{network.layers}"] + last["bias"]
    return TWO_PI * torch.sigmoid(out) if network._phase else out


MEMBERS = [
    GCN(hidden=5),
    GCN(hidden=5, layers=3, latent=4, residual=True, output="phase"),
    GCN(hidden=5, layers=2, propagation="sq", bias=False),
    GCN(hidden=5, layers=2, propagation="sym", residual=True, negative_slope=0.0),
    GCN(hidden=5, propagation="none"),
    GAT(hidden=5),
    GAT(hidden=5, layers=3, latent=4, residual=True),
    GraphNetwork(hidden=5),
    GraphNetwork(hidden=5, layers=2, latent=4, residual=True, output="phase"),
]


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
@pytest.mark.parametrize("graph", [square_lattice(4), scattered_graph()], ids=["lattice", "scattered"])
def test_passes_agree_with_torch(member, graph, rng):
    network = ready(member, QuarticDiffusion(graph, 2))
    theta, g_w = rng.normal(size=network.size), rng.normal(size=(graph.n_nodes, 2))
    leaf = torch.from_numpy(theta.copy()).requires_grad_()
    w = torch_states(network, graph, leaf)
    (gradient,) = torch.autograd.grad(w, leaf, torch.from_numpy(g_w))
    assert network.decode(theta) == pytest.approx(w.detach().numpy(), rel=1e-12, abs=1e-12)
    assert network.pullback(theta, g_w) == pytest.approx(gradient.numpy(), rel=1e-11, abs=1e-11)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    hidden=st.integers(1, 7),
    layers=st.integers(1, 3),
    residual=st.booleans(),
    rule=st.sampled_from(["kipf", "sym", "sq", "none"]),
    d=st.sampled_from([None, 1, 3]),
)
def test_gcn_pullback_matches_finite_differences(seed, hidden, layers, residual, rule, d):
    rng = np.random.default_rng(seed)
    energy = QuarticDiffusion(path_graph(6), d)
    network = ready(GCN(hidden, layers, residual=residual, propagation=rule, negative_slope=1.0), energy)  # no kinks
    theta, v, g = network.initial(rng), rng.normal(size=network.size), rng.normal(size=energy.shape)
    rise = (g * (network.decode(theta + 1e-5 * v) - network.decode(theta - 1e-5 * v))).sum() / 2e-5
    network.decode(theta)
    assert network.pullback(theta, g) @ v == pytest.approx(rise, rel=1e-5, abs=1e-6)


def test_phases_are_confined_unless_free():
    phases = QuarticDiffusion(square_lattice(4), unit="rad")
    for output, confined in ((None, True), ("phase", True), ("free", False), ("identity", False)):
        network = ready(GCN(hidden=4, output=output), phases)
        w = network.decode(100.0 * np.random.default_rng(0).normal(size=network.size))
        assert bool((w >= 0).all() and (w <= TWO_PI).all()) is confined
    assert ready(GCN(hidden=4), QuarticDiffusion(square_lattice(4)))._phase is False


def test_laws_of_the_embedding():
    graph = square_lattice(40)
    draw = {}
    for law in ("normal", "uniform-phase", "xavier"):
        network = ready(GCN(hidden=8, latent_init=law), QuarticDiffusion(graph, 2))
        draw[law] = network._views(network.initial(np.random.default_rng(0)))[0]["latent"]
    assert draw["normal"].std() == pytest.approx(8**-0.5, rel=0.02)
    assert draw["uniform-phase"].min() >= 0.0
    assert draw["uniform-phase"].mean() == pytest.approx(np.pi, rel=0.02)
    bound = 40.0 * np.sqrt(6.0 / 1608.0)
    assert np.abs(draw["xavier"]).max() == pytest.approx(bound, rel=1e-3)


def test_matrices_are_xavier_normal_and_biases_zero():
    network = ready(GCN(hidden=64, latent=32), QuarticDiffusion(square_lattice(4)))
    _, layer, readout = network._views(network.initial(np.random.default_rng(0)))
    assert layer["weight"].std() == pytest.approx(np.sqrt(2.0 / 96.0), rel=0.05)
    assert not layer["bias"].any()
    assert not readout["bias"].any()


def test_phases_are_encoded_modulo_a_turn(rng):
    energy = QuarticDiffusion(square_lattice(4), unit="rad")
    network = ready(GCN(hidden=8), energy)
    w = rng.uniform(1.0, 5.0, size=energy.shape)
    back = network.decode(network.encode(w + TWO_PI * rng.integers(-2, 3, size=energy.shape), rng))
    assert np.sqrt(np.mean((back - w) ** 2)) <= 0.011 * np.ptp(w)


def test_encode_takes_a_constant_and_no_steps(rng):
    energy = QuarticDiffusion(square_lattice(4))
    network = ready(GCN(hidden=8), energy)
    network.encode(np.full(energy.shape, 3.0), rng)
    assert network.encode_error <= 0.01
    rough = ready(GCN(hidden=8, encode_steps=0), energy)
    theta = rough.encode(np.full(energy.shape, 3.0), rng)
    assert rough.encode_error == pytest.approx(float(np.sqrt(np.mean((rough.decode(theta) - 3.0) ** 2))))


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: GCN(hidden=0), "hidden=0"),
        (lambda: GCN(layers=4), "layers=4"),
        (lambda: GCN(latent=0), "latent=0"),
        (lambda: GCN(propagation="cheb"), "propagation='cheb'"),
        (lambda: GCN(output="sin"), "output='sin'"),
        (lambda: GCN(latent_init="zeros"), "latent_init='zeros'"),
        (lambda: GCN(negative_slope=-1.0), "negative_slope=-1.0"),
        (lambda: GAT(negative_slope=2.0), "negative_slope=2.0"),
        (lambda: GraphNetwork(encode_tolerance=0.0), "encode_tolerance=0.0"),
        (lambda: GraphNetwork(encode_lr=0.0), "encode_lr=0.0"),
        (lambda: GraphNetwork(encode_steps=-1), "encode_steps=-1"),
    ],
)
def test_options_out_of_range_are_named(build, word):
    with pytest.raises(InputError, match=word):
        build()


@pytest.mark.parametrize("member", [GCN(), GAT(), GraphNetwork()], ids=repr)
def test_an_energy_without_graph_is_refused_but_by_nograph(member):
    energy = QuarticDiffusion(square_lattice(3))
    energy.graph = None
    with pytest.raises(InputError, match="needs a graph"):
        ready(member, energy)
    assert ready(GCN(propagation="none"), energy).size > 0


def test_more_states_than_nodes_are_refused():
    energy = QuarticDiffusion(square_lattice(3))
    energy.shape = (10,)
    with pytest.raises(InputError, match="one state for each of the 9 nodes"):
        ready(GAT(), energy)


def test_states_that_are_not_finite_are_not_encoded(rng):
    network = ready(GCN(), QuarticDiffusion(square_lattice(3)))
    with pytest.raises(InputError, match="non-finite"):
        network.encode(np.full(9, np.nan), rng)


def test_extreme_parameters_raise_no_warning():
    network = ready(GCN(hidden=4), QuarticDiffusion(square_lattice(4), unit="rad"))
    theta = np.full(network.size, -1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.decode(theta)
        assert np.isfinite(network.pullback(theta, np.ones(16))).all()
