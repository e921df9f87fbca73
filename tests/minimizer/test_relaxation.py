"""Relaxation: node by node downhill, counted, refused where there are no nodes."""

from __future__ import annotations

import numpy as np
import pytest

import evenflow as ef
from conformance.minimizer import problem_of, quadratic
from evenflow.energy.heat import HeatDiffusion
from evenflow.errors import InputError
from evenflow.gallery import lattice
from evenflow.method.base import Direct
from evenflow.minimizer import Relaxation
from evenflow.status import Status


@pytest.fixture
def heat() -> HeatDiffusion:
    return HeatDiffusion.random_baths(lattice(9, 8))


def test_every_step_goes_down_and_is_counted(heat: HeatDiffusion, rng: np.random.Generator) -> None:
    problem, minimizer = problem_of(heat), Relaxation(sweeps=2)
    state = minimizer.init(problem, heat.initial(rng))
    for k in range(6):
        before, counted = state.energy, problem.counts.gradient
        minimizer.step(problem, state)
        assert state.energy < before
        assert problem.counts.gradient == counted + 5
        value, gradient = heat.value_and_gradient(state.theta)
        assert (state.energy, state.gradient_norm) == (value, pytest.approx(np.linalg.norm(gradient), rel=1e-12))
        np.testing.assert_array_equal(state.gradient, gradient)
        assert state.status is None, k


def test_ends_at_the_minimum(heat: HeatDiffusion) -> None:
    """Gauss-Seidel on a strictly convex energy converges; round-off ends it."""
    exact = ef.minimize(heat, seed=1, tolerance=1e-13).energy
    result = ef.minimize(heat, method=Direct(Relaxation(sweeps=50), name="relaxation"), seed=1, tolerance=1e-12)
    assert result.energy == pytest.approx(exact, rel=1e-10)
    problem, minimizer = problem_of(heat), Relaxation(sweeps=1)
    state = minimizer.init(problem, result.w)
    for _ in range(2_000):
        minimizer.step(problem, state)
    assert state.status is Status.PLATEAU


def test_fixed_nodes_stay(rng: np.random.Generator) -> None:
    heat = HeatDiffusion.random_baths(lattice(6, 6), fixed={3: 4.5, 20: 1.0})
    problem, minimizer = problem_of(heat), Relaxation()
    state = minimizer.init(problem, heat.initial(rng))
    minimizer.step(problem, state)
    np.testing.assert_array_equal(state.theta[[3, 20]], [4.5, 1.0])


def test_refusals(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="sweeps=0: expected at least 1"):
        Relaxation(sweeps=0)
    energy = quadratic()
    with pytest.raises(InputError, match="can_relax"):
        Relaxation().init(problem_of(energy), energy.initial(rng))
