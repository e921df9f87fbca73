"""RungeKutta4: order, step length, stiff starts, resume."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.linalg

from conformance.analytic import QuarticDiffusion, square_lattice
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.minimizer.problem import Problem
from evenflow.minimizer.runge_kutta import RungeKutta4, largest_curvature
from evenflow.reparametrization.gcn import GCN
from evenflow.reparametrization.identity import Identity
from evenflow.status import Status


def make_problem(strength=1.0, network=None):
    energy = QuarticDiffusion(square_lattice(5), strength=strength)
    network, counts = network or Identity(), Counts()
    network.setup(energy, np.random.default_rng(0), counts)
    return energy, Problem(energy, network, counts)


def flow(problem, start, dt, time):
    minimizer = RungeKutta4(dt=dt)
    state = minimizer.init(problem, start.copy())
    for _ in range(round(time / dt)):
        minimizer.step(problem, state)
    return state.theta


def test_linear_flow_is_the_exponential_to_order_four(rng):
    energy, problem = make_problem(strength=0.0)
    start = rng.normal(size=25)
    exact = scipy.linalg.expm(-energy.graph.laplacian.toarray()) @ start
    errors = [np.abs(flow(problem, start, dt, 1.0) - exact).max() for dt in (0.1, 0.05, 0.025)]
    assert errors[0] < 1e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.35)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(4.0, abs=0.2)


def test_nonlinear_flow_has_order_four(rng):
    _, problem = make_problem()
    start = rng.normal(size=25)
    exact = flow(problem, start, 0.0025, 1.0)
    errors = [np.abs(flow(problem, start, dt, 1.0) - exact).max() for dt in (0.025, 0.0125)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.6)


def test_default_step_is_two_over_the_largest_eigenvalue(rng):
    energy, problem = make_problem(strength=0.0)
    minimizer = RungeKutta4()
    state = minimizer.init(problem, rng.normal(size=25))
    minimizer.step(problem, state)
    largest = np.linalg.eigvalsh(energy.graph.laplacian.toarray())[-1]
    assert 2.0 / largest <= state.memory["dt"] < 2.7 / largest  # from below, and still stable


def test_it_reaches_the_minimum_without_ever_rising(rng):
    _, problem = make_problem()
    minimizer = RungeKutta4()
    state = minimizer.init(problem, rng.normal(size=25))
    energies = [state.energy]
    for _ in range(600):
        minimizer.step(problem, state)
        energies.append(state.energy)
    assert (np.diff(energies) <= 1e-13).all()
    assert state.gradient_norm < 1e-6


def test_a_stiff_start_is_integrated_and_the_step_grows_later():
    energy, problem = make_problem(strength=1000.0)
    minimizer = RungeKutta4(refresh=20)
    state = minimizer.init(problem, np.full(25, 10.0))
    minimizer.step(problem, state)
    first = state.memory["dt"]
    for _ in range(200):
        minimizer.step(problem, state)
    assert state.status is None
    assert state.memory["dt"] > 100 * first
    assert state.energy < 1e-2 * energy.value(np.full(25, 10.0))


def test_too_long_a_step_is_halved(rng):
    _, problem = make_problem()
    minimizer = RungeKutta4(dt=50.0)
    state = minimizer.init(problem, rng.normal(size=25))
    start = state.energy
    minimizer.step(problem, state)
    assert state.energy < start
    assert state.memory["dt"] < 50.0


def test_four_gradients_a_step(rng):
    _, problem = make_problem()
    minimizer = RungeKutta4(dt=0.1)
    state = minimizer.init(problem, rng.normal(size=25))
    for _ in range(3):
        minimizer.step(problem, state)
    assert problem.counts.gradient == 1 + 3 * 4


def test_a_wrong_gradient_ends_with_a_status(monkeypatch, rng):
    energy, problem = make_problem()
    right = energy.value_and_gradient
    monkeypatch.setattr(energy, "value_and_gradient", lambda w, out=None: (right(w)[0], -right(w)[1]))
    minimizer = RungeKutta4(dt=0.1)
    state = minimizer.init(problem, rng.normal(size=25))
    minimizer.step(problem, state)
    assert state.status is Status.LINE_SEARCH_FAILED


def test_it_flows_through_a_network_too(rng):
    _, problem = make_problem(network=GCN(hidden=4))
    minimizer = RungeKutta4()
    state = minimizer.init(problem, problem.map.initial(rng))
    start = state.energy
    for _ in range(20):
        minimizer.step(problem, state)
    assert state.energy < start


def test_largest_curvature_by_gradient_differences(rng):
    energy, problem = make_problem()
    theta = rng.normal(size=25)
    gradient = energy.gradient(theta)
    by_products = largest_curvature(problem, theta, gradient)

    class Blind(Problem):
        has_hvp = False

    blind = Blind(energy, problem.map, Counts())
    assert largest_curvature(blind, theta, gradient) == pytest.approx(by_products, rel=1e-4)
    assert blind.counts.gradient == 20


def test_resume_is_bit_for_bit(rng):
    _, problem = make_problem()
    minimizer = RungeKutta4(refresh=5)
    state = minimizer.init(problem, rng.normal(size=25))
    for _ in range(7):
        minimizer.step(problem, state)
    frozen, saved = copy.deepcopy(state), copy.deepcopy(minimizer.export(state))
    frozen.memory = {}
    again = RungeKutta4(refresh=5)
    again.restore(problem, frozen, saved)
    for _ in range(9):
        minimizer.step(problem, state)
        again.step(problem, frozen)
    assert np.array_equal(state.theta, frozen.theta)


def test_options_out_of_range_are_named():
    with pytest.raises(InputError, match=r"dt=0\.0"):
        RungeKutta4(dt=0.0)
    with pytest.raises(InputError, match="refresh=-1"):
        RungeKutta4(refresh=-1)
