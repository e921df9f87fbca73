"""First-order minimizers: the trajectories of torch.optim, options, resume."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.analytic import QuarticDiffusion, square_lattice
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.minimizer.first_order import SGD, AdaGrad, Adam, GradientDescent, RMSProp
from evenflow.minimizer.problem import Problem
from evenflow.minimizer.torch_optim import TorchOptimizer
from evenflow.reparametrization.gcn import GCN
from evenflow.reparametrization.identity import Identity

PAIRS = [
    (Adam(lr=0.02), torch.optim.Adam, {"lr": 0.02}),
    (Adam(lr=0.1, beta1=0.3, beta2=0.9, eps=1e-3), torch.optim.Adam, {"lr": 0.1, "betas": (0.3, 0.9), "eps": 1e-3}),
    (RMSProp(), torch.optim.RMSprop, {}),
    (RMSProp(lr=0.003, alpha=0.9, momentum=0.8), torch.optim.RMSprop, {"lr": 0.003, "alpha": 0.9, "momentum": 0.8}),
    (SGD(lr=0.01), torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
    (SGD(lr=0.01, momentum=0.0), torch.optim.SGD, {"lr": 0.01}),
    (SGD(lr=0.01, nesterov=True), torch.optim.SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    (GradientDescent(lr=0.05), torch.optim.SGD, {"lr": 0.05}),
    (AdaGrad(), torch.optim.Adagrad, {}),
    (AdaGrad(lr=0.5, eps=1e-6), torch.optim.Adagrad, {"lr": 0.5, "eps": 1e-6}),
]
ALL = [
    Adam(),
    RMSProp(),
    RMSProp(momentum=0.9),
    SGD(),
    GradientDescent(),
    AdaGrad(),
    TorchOptimizer(),
    TorchOptimizer("NAdam", {"lr": 0.01}, lr_decay=0.99),
    TorchOptimizer("sgd", {"lr": 0.001, "momentum": 0.9}),
    TorchOptimizer("adagrad", {"lr": 0.1}, clip_value=0.5),
]


def make_problem(network=None):
    energy = QuarticDiffusion(square_lattice(5))
    network, counts = copy.deepcopy(network or Identity()), Counts()
    network.setup(energy, np.random.default_rng(0), counts)
    return energy, Problem(energy, network, counts)


def torch_path(gradient, start, optimizer, options, steps, clip=None, decay=1.0):
    """Trajectory of torch.optim; ``gradient(theta, t)`` gives what it is fed."""
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    live = optimizer([parameter], **options)
    schedule = torch.optim.lr_scheduler.ExponentialLR(live, decay)
    for t in range(steps):
        parameter.grad = torch.from_numpy(gradient(parameter.detach().numpy(), t).copy())
        if clip is not None:
            torch.nn.utils.clip_grad_value_([parameter], clip)
        live.step()
        schedule.step()
        yield parameter.detach().numpy()


class Fed:
    """Stands for a problem whose gradients are a given sequence."""

    def __init__(self, gradients):
        self.gradients, self.calls = gradients, 0

    def value_and_gradient(self, theta, out=None):
        self.calls += 1
        return 0.0, self.gradients[self.calls - 1].copy()


@pytest.mark.parametrize(("minimizer", "optimizer", "options"), PAIRS, ids=lambda item: getattr(item, "__name__", None))
@pytest.mark.parametrize(("clip", "decay"), [(None, 1.0), (0.5, 0.99)])
def test_update_rule_is_that_of_torch_to_1e_12(minimizer, optimizer, options, clip, decay, rng):
    minimizer = dataclasses.replace(minimizer, clip_value=clip, lr_decay=decay)
    gradients = rng.normal(size=(201, 37)) * np.geomspace(1e-4, 1e2, 37)
    start = rng.normal(size=37)
    problem = Fed(gradients)
    state = minimizer.init(problem, start.copy())
    for theirs in torch_path(lambda _, t: gradients[t], start, optimizer, options, 200, clip, decay):
        minimizer.step(problem, state)
        np.testing.assert_allclose(state.theta, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("minimizer", "optimizer", "options"), PAIRS, ids=lambda item: getattr(item, "__name__", None))
def test_follows_torch_downhill(minimizer, optimizer, options, rng):
    """Looser, since the dynamics themselves amplify round-off (RMSProp circles its minimum)."""
    energy, problem = make_problem()
    start = rng.normal(size=energy.size)
    state = minimizer.init(problem, start.copy())
    for theirs in torch_path(lambda w, _: energy.gradient(w), start, optimizer, options, 100):
        minimizer.step(problem, state)
        np.testing.assert_allclose(state.theta, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("decay", [1.0, 0.97])
def test_torch_optimizer_is_torch(clip, decay, rng):
    energy, problem = make_problem()
    start = rng.normal(size=energy.size)
    minimizer = TorchOptimizer("adam", {"lr": 0.05}, clip_value=clip, lr_decay=decay)
    state = minimizer.init(problem, start.copy())
    for theirs in torch_path(lambda w, _: energy.gradient(w), start, torch.optim.Adam, {"lr": 0.05}, 120, clip, decay):
        minimizer.step(problem, state)
        np.testing.assert_allclose(state.theta, theirs, rtol=1e-14 if decay == 1.0 else 1e-11)


def test_the_thread_setting_of_torch_is_left_alone(rng):
    energy, problem = make_problem()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    minimizer = TorchOptimizer()
    minimizer.step(problem, minimizer.init(problem, rng.normal(size=energy.size)))
    threads = torch.get_num_threads()
    torch.set_num_threads(before)
    assert threads == 2


@pytest.mark.parametrize("minimizer", ALL, ids=repr)
def test_one_evaluation_a_step_and_a_consistent_state(minimizer, rng):
    energy, problem = make_problem()
    minimizer = copy.deepcopy(minimizer)
    state = minimizer.init(problem, rng.normal(size=energy.size))
    for step in range(5):
        value, gradient = energy.value_and_gradient(state.theta)
        assert state.energy == value
        assert np.array_equal(state.gradient, gradient)
        assert state.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-14)
        assert problem.counts.gradient == step + 1
        minimizer.step(problem, state)


@pytest.mark.parametrize("minimizer", ALL, ids=repr)
@pytest.mark.parametrize("network", [Identity(), GCN(hidden=4)], ids=["identity", "gcn"])
def test_resume_is_bit_for_bit(minimizer, network, rng):
    _, problem = make_problem(network)
    first, second = copy.deepcopy(minimizer), copy.deepcopy(minimizer)
    theta = problem.map.initial(rng)
    state = first.init(problem, rng.normal(size=problem.size) if theta is None else theta)
    for _ in range(7):
        first.step(problem, state)
    saved = {name: copy.deepcopy(value) for name, value in first.export(state).items()}
    frozen = copy.copy(state)
    frozen.theta, frozen.gradient, frozen.memory = state.theta.copy(), state.gradient.copy(), {}
    for _ in range(9):
        first.step(problem, state)
    second.restore(problem, frozen, saved)
    for _ in range(9):
        second.step(problem, frozen)
    assert np.array_equal(frozen.theta, state.theta)
    assert frozen.energy == state.energy


@pytest.mark.parametrize("minimizer", ALL, ids=repr)
def test_export_holds_only_data(minimizer, rng):
    _, problem = make_problem()
    minimizer = copy.deepcopy(minimizer)
    state = minimizer.init(problem, rng.normal(size=problem.size))
    minimizer.step(problem, state)

    def is_data(node):
        if isinstance(node, dict):
            return all(isinstance(key, str) and is_data(value) for key, value in node.items())
        return node is None or isinstance(node, (int, float, str, np.ndarray))

    assert is_data(minimizer.export(state))


def test_restored_moments_are_copies(rng):
    _, problem = make_problem()
    minimizer = Adam()
    state = minimizer.init(problem, rng.normal(size=problem.size))
    minimizer.step(problem, state)
    saved = {name: copy.deepcopy(value) for name, value in state.memory.items()}
    saved["mean"].setflags(write=False)
    minimizer.restore(problem, state, saved)
    minimizer.step(problem, state)
    assert not np.array_equal(state.memory["mean"], saved["mean"])


@pytest.mark.parametrize("minimizer", [TorchOptimizer(), Adam()], ids=repr)
def test_theta_may_be_replaced_between_steps(minimizer, rng):
    energy, problem = make_problem()
    state = minimizer.init(problem, rng.normal(size=energy.size))
    minimizer.step(problem, state)
    moved = rng.normal(size=energy.size)
    fresh = minimizer.init(problem, moved.copy())
    state.theta, state.energy, state.gradient = fresh.theta, fresh.energy, fresh.gradient
    minimizer.step(problem, state)
    assert not np.array_equal(state.theta, moved)
    assert state.energy == energy.value(state.theta)
    assert state.memory["t"] == 2


@settings(max_examples=50, deadline=None)
@given(
    g=st.lists(st.floats(-1e100, 1e100, allow_subnormal=False), min_size=1, max_size=9),
    limit=st.floats(1e-3, 1e3),
)
def test_first_adam_step_is_the_learning_rate(g, limit):
    """Adam's first step is lr sign(g) g / (|g| + eps) whatever the size of g, clamped or not."""
    from evenflow.minimizer import update

    gradient = np.array(g)
    theta, mean, square = (np.zeros_like(gradient) for _ in range(3))
    update.adam(theta, gradient, mean, square, 0.02 / (1 - 0.9), 0.9, 0.999, math.sqrt(1 - 0.999), 1e-8, limit)
    clamped = np.clip(gradient, -limit, limit)
    np.testing.assert_allclose(theta, -0.02 * clamped / (np.abs(clamped) + 1e-8), rtol=1e-9)


def test_a_gradient_that_is_not_a_number_shows():
    from evenflow.minimizer import update

    theta = np.zeros(3)
    update.sgd(theta, np.array([1.0, np.nan, -np.inf]), 0.1, 0.5)
    assert theta[0] == -0.05
    assert np.isnan(theta[1])
    assert theta[2] == 0.05


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: Adam(lr=0.0), "lr=0.0"),
        (lambda: Adam(lr=math.nan), "lr=nan"),
        (lambda: Adam(beta1=1.0), "beta1=1.0"),
        (lambda: Adam(beta2=-0.1), "beta2=-0.1"),
        (lambda: Adam(eps=0.0), "eps=0.0"),
        (lambda: Adam(lr_decay=1.5), "lr_decay=1.5"),
        (lambda: Adam(clip_value=0.0), "clip_value=0.0"),
        (lambda: RMSProp(alpha=1.0), "alpha=1.0"),
        (lambda: SGD(momentum=1.0), "momentum=1.0"),
        (lambda: SGD(momentum=0.0, nesterov=True), "nesterov"),
        (lambda: AdaGrad(eps=-1.0), "eps=-1.0"),
        (lambda: TorchOptimizer(lr_decay=0.0), "lr_decay=0.0"),
        (lambda: TorchOptimizer(clip_value=-1.0), "clip_value=-1.0"),
    ],
)
def test_options_out_of_range_are_named(build, word):
    with pytest.raises(InputError, match=word):
        build()


@pytest.mark.parametrize(
    ("minimizer", "word"),
    [
        (TorchOptimizer("adamm"), "expected a class of torch.optim"),
        (TorchOptimizer("lbfgs"), "use evenflow.LBFGS"),
        (TorchOptimizer("muon"), "needs matrices"),
        (TorchOptimizer("adam", {"learning_rate": 0.1}), "torch.optim refuses them"),
        (TorchOptimizer("adam", {"lr": -1.0}), "torch.optim refuses them"),
    ],
)
def test_what_torch_cannot_do_is_said(minimizer, word):
    _, problem = make_problem()
    with pytest.raises(InputError, match=word):
        minimizer.init(problem, np.zeros(problem.size))


@pytest.mark.parametrize("name", ["Adadelta", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "Rprop", "RMSprop"])
def test_the_rest_of_torch_optim_lowers_the_energy(name, rng):
    energy, problem = make_problem()
    minimizer = TorchOptimizer(name)
    state = minimizer.init(problem, rng.normal(size=energy.size))
    start = state.energy
    for _ in range(50):
        minimizer.step(problem, state)
    assert state.energy < start
