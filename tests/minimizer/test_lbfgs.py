"""L-BFGS: conformance, the recursion against its definition, preconditioning, the line search at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.minimizer import (
    DenseEnergy,
    MinimizerConformance,
    Run,
    problem_of,
    quadratic,
    ring,
    rosenbrock,
    walled,
)
from conformance.preconditioning import Broken, Exact, Indefinite
from evenflow.errors import InputError
from evenflow.minimizer.lbfgs import LBFGS
from evenflow.minimizer.lbfgs_kernel import advance
from evenflow.minimizer.metric import Metric
from evenflow.minimizer.ncg import NonlinearCG
from evenflow.minimizer.newton_cg import NewtonCG
from evenflow.preconditioner import Jacobi
from evenflow.status import Status


class TestLBFGS(MinimizerConformance):
    def make(self):
        return LBFGS()


class TestWithAnEyeOnSaddles(MinimizerConformance):
    def make(self):
        return LBFGS(check_saddle=True)


class TestShortMemory(MinimizerConformance):
    max_steps = 600

    def make(self):
        return LBFGS(memory=2)


class TestPreconditioned(MinimizerConformance):
    def make(self):
        return LBFGS(preconditioner=Exact())


class TestPreconditionedByTheHessian(MinimizerConformance):
    def make(self):
        return LBFGS(preconditioner=Exact(), source="hessian", check_every=4)


def two_loops(S, Y, P, gamma, g):
    """The recursion as the textbook has it; rows from oldest to newest, P the inverse metric."""
    q, alphas = g.copy(), []
    for s, y in zip(S[::-1], Y[::-1], strict=True):
        alphas.append((s @ q) / (s @ y))
        q -= alphas[-1] * y
    r = gamma * (P @ q)
    for s, y, a in zip(S, Y, alphas[::-1], strict=True):
        r += (a - (y @ r) / (s @ y)) * s
    return -r


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(3, 1200), m=st.integers(1, 6), steps=st.integers(1, 9), own=st.booleans()
)
def test_recursion_on_inner_products_is_the_two_loop_recursion(seed, n, m, steps, own):
    rng = np.random.default_rng(seed)
    H, P = 1.0 + rng.random(n), 0.5 + rng.random(n) if own else np.ones(n)  # diagonal Hessian, inverse metric
    pairs, gram = np.zeros((3 if own else 2, m, n)), np.zeros((2, m, m))
    newest, count, gamma, S, Y = -1, 0, 0.7, [], []
    for _ in range(steps):
        d, length, g_old = rng.normal(size=n), 0.5 + rng.random(), rng.normal(size=n)
        S, Y = [*S, length * d][-m:], [*Y, length * H * d][-m:]
        g = g_old + Y[-1]
        slope, gamma, newest, count = advance(pairs, gram, d, length, g, g_old, P * g, P * g_old, newest, count, gamma)
        assert gamma == pytest.approx((S[-1] @ Y[-1]) / (Y[-1] @ (P * Y[-1])), rel=1e-9)
        expected = two_loops(S, Y, np.diag(P), gamma, g)
        np.testing.assert_allclose(d, expected, atol=1e-8 * np.abs(expected).max())
        assert slope == pytest.approx(g @ d, rel=1e-9)
        assert slope < 0
    assert count == min(steps, m)


def test_pair_without_curvature_is_not_kept():
    rng = np.random.default_rng(0)
    pairs, gram = np.zeros((2, 3, 8)), np.zeros((2, 3, 3))
    newest, count, gamma = -1, 0, 1.0
    for k, sign in enumerate([1, 1, 1, -1, 1]):
        d, g_old = rng.normal(size=8), rng.normal(size=8)
        g = g_old + sign * 2.0 * d
        _, gamma, newest, count = advance(pairs, gram, d, 1.0, g, g_old, g, g_old, newest, count, gamma)
        assert count == [1, 2, 3, 2, 3][k]  # the pair refused has overwritten the oldest
        assert gamma == pytest.approx(0.5)


def test_exact_preconditioner_solves_a_quadratic_in_two_steps():
    run = Run.begin(LBFGS(preconditioner=Exact(), source="hessian"), quadratic()).steps(2)
    assert run.state.gradient_norm < 1e-10
    assert run.problem.counts.factorisation == 1


def test_first_trial_step_is_taken_where_it_serves():
    run = Run.begin(LBFGS(), quadratic()).steps(30)
    assert run.problem.counts.gradient <= 30 + 2 + 4  # the start, the scale, and few second trials


def test_reaches_round_off_without_failing():
    for energy in (quadratic(), rosenbrock(), ring()):
        run = Run.begin(LBFGS(), energy)
        run.steps(500, down_to=1e-12 * run.state.gradient_norm)
        assert run.state.status is None
        assert run.state.gradient_norm <= 1e-12 * np.linalg.norm(energy._gradient(energy.start))


def test_shifted_energy_reaches_the_same_gradient():
    """A constant of 1e8 leaves eight digits of the energy; the slopes must do the rest."""
    plain = rosenbrock()
    shifted = DenseEnergy(lambda w: 1e8 + plain._value(w), plain._gradient, plain._hessian, plain.start, plain.minimum)
    run = Run.begin(LBFGS(), shifted)
    run.steps(300, down_to=1e-9 * run.state.gradient_norm)
    assert run.state.status is None
    assert np.linalg.norm(plain._gradient(run.state.theta)) <= 1e-9 * np.linalg.norm(plain._gradient(plain.start))


@pytest.mark.parametrize("make", [LBFGS, NonlinearCG, NewtonCG])
@pytest.mark.parametrize("noise", [3e-12, 1e-10])
@pytest.mark.parametrize("seed", range(5))
def test_noise_of_the_energy_is_found_out(make, noise, seed):
    """Noise a hundred and three thousand times larger than the search expects at first; the gradient is exact."""
    plain = quadratic()
    noisy = DenseEnergy(
        lambda w: plain._value(w) + noise * np.sin(1e9 * (w.sum() + seed)),
        plain._gradient,
        plain._hessian,
        plain.start,
        plain.minimum,
    )
    run = Run.begin(make(), noisy)
    run.steps(200, down_to=1e-9 * run.state.gradient_norm)
    assert run.state.status is None
    assert np.linalg.norm(plain._gradient(run.state.theta)) <= 1e-9 * np.linalg.norm(plain._gradient(plain.start))


def test_wrong_gradient_is_told():
    energy = quadratic()
    right = energy._gradient
    energy._gradient = lambda w: -right(w)
    run = Run.begin(LBFGS(), energy).steps(5)
    assert run.state.status is Status.LINE_SEARCH_FAILED


def test_curvature_that_is_not_positive_is_not_stored():
    """On a slope that bends downwards every pair has s.y < 0."""
    energy = DenseEnergy(
        lambda w: -np.sum(w**2) if np.abs(w).max() < 1e3 else np.inf, lambda w: -2 * w, None, np.full(4, 1.0), None
    )
    run = Run.begin(LBFGS(), energy).steps(3)
    assert run.state.energy < -4
    assert run.minimizer.export(run.state)["count"] == 0


def test_stays_inside_the_wall():
    run = Run.begin(LBFGS(), walled())
    for _ in range(20):
        assert np.linalg.norm(run.steps(1).state.theta) < 1


@pytest.mark.parametrize("fault", [Broken(), Indefinite()])
def test_faulty_preconditioner_is_not_trusted(fault):
    energy = quadratic()
    run = Run.begin(LBFGS(preconditioner=fault, source="hessian"), energy)
    notes = [run.steps(1, down_to=1e-8).state.note for _ in range(150)]
    assert run.state.energy == pytest.approx(energy.minimum, rel=1e-12)
    assert any("diagonal stands in" in note for note in notes)


def test_hessian_source_rebuilds_after_drift():
    run = Run.begin(LBFGS(preconditioner=Exact(), source="hessian", check_every=3, drift=0.2), rosenbrock())
    run.steps(40, down_to=1e-8)
    assert run.problem.counts.factorisation > 1
    assert run.minimizer.setup_seconds > 0


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_drift_by_a_factor_is_none_to_lbfgs(scale):
    """Whose pairs tell it the scale."""
    energy = quadratic()
    metric = Metric(Exact())
    metric.refresh(problem_of(energy), energy.start)
    matrix, diagonal = metric.matrix, metric.matrix.diagonal()
    assert metric.drift(matrix, scale * diagonal) == pytest.approx(scale - 1.0, abs=1e-14)
    assert metric.drift(matrix, scale * diagonal, scaled=True) == pytest.approx(0.0, abs=1e-14)
    diagonal[0] *= 3.0
    assert metric.drift(matrix, scale * diagonal, scaled=True) > 0.0


def test_drift_is_looked_for_less_often_where_there_is_none():
    energy = quadratic()
    run = Run.begin(LBFGS(preconditioner=Jacobi(), check_every=2), energy)
    run.steps(20, down_to=0.0)
    assert run.problem.counts.hessian == 4  # at the start, and after 2, 2 + 4 and 2 + 4 + 8 steps


@pytest.mark.parametrize(
    ("option", "value"), [("memory", 0), ("source", "laplacian"), ("drift", 0.0), ("check_every", 0)]
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option}="):
        LBFGS(**{option: value})


def test_preconditioner_is_refused_with_a_change_of_variables():
    energy = quadratic()
    run = Run.begin(LBFGS(), energy)
    run.problem.is_identity = False
    with pytest.raises(InputError, match="works on the node states only"):
        LBFGS(preconditioner=Exact()).init(run.problem, energy.start.copy())
