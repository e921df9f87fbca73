"""Series and Whitening: the contract, the theory they rest on, and descent on theta as preconditioned descent on w."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.analytic import QuarticDiffusion, path_graph, scattered_graph, square_lattice
from conformance.reparametrization import CountedConformance, LinearConformance, ready
from evenflow.errors import InputError, SolveError
from evenflow.graph import Graph
from evenflow.history import Counts
from evenflow.minimizer.first_order import GradientDescent
from evenflow.minimizer.problem import Problem
from evenflow.reparametrization import Series, Whitening


class TestSeries(LinearConformance, CountedConformance):
    def make(self):
        return Series()


class TestLongKipfSeries(LinearConformance, CountedConformance):
    def make(self):
        return Series(order=8, damping=0.01, propagation="kipf")


class TestPrinted000(LinearConformance, CountedConformance):
    def make(self):
        return Series(coefficients="printed-000")


class TestPrinted001(LinearConformance, CountedConformance):
    def make(self):
        return Series(coefficients="printed-001")


class TestCholeskyWhitening(LinearConformance, CountedConformance):
    def make(self):
        return Whitening()


class TestLargeSteps(LinearConformance, CountedConformance):
    def make(self):
        return Whitening("large-steps", strength=5.0)


def dense(member, energy):
    """kappa as a dense matrix."""
    made = ready(member, energy)
    return np.stack([np.array(made.decode(e)).ravel() for e in np.eye(made.size)], axis=1)


MEMBERS = [Series(), Series(order=5), Series(coefficients="printed-001"), Whitening(), Whitening("large-steps")]


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
@pytest.mark.parametrize("d", [None, 2])
def test_descent_on_theta_is_preconditioned_descent_on_w(member, d, rng):
    energy = QuarticDiffusion(scattered_graph(), d)
    made, counts = ready(member, energy), Counts()
    problem = Problem(energy, made, counts)
    kappa = dense(member, energy)
    w, lr = rng.normal(size=energy.shape), 0.001
    minimizer = GradientDescent(lr=lr)
    state = minimizer.init(problem, made.encode(w, rng))
    for _ in range(20):
        minimizer.step(problem, state)
        w = w - lr * (kappa @ (kappa.T @ energy.gradient(w).ravel())).reshape(w.shape)
    assert made.decode(state.theta) == pytest.approx(w, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_hessian_products_are_mapped(member, rng):
    energy = QuarticDiffusion(square_lattice(4))
    made = ready(member, energy)
    kappa, theta, v = dense(member, energy), rng.normal(size=16), rng.normal(size=16)
    product = Problem(energy, made, Counts()).hvp(theta)(v)
    assert product == pytest.approx(kappa.T @ energy.hvp(kappa @ theta, kappa @ v))


def test_coefficients_are_those_of_the_inverse_root():
    assert Series(order=4).weights() == [1.0, 1 / 2, 3 / 8, 5 / 16, 35 / 128]
    assert Series(coefficients="printed-001").weights() == [1.0, -0.5, -0.75]


def test_a_long_damped_series_is_the_inverse_root():
    energy = QuarticDiffusion(square_lattice(4))
    x = 0.5 * energy.graph.normalised("sym").toarray()
    kappa = dense(Series(order=60, damping=0.5), energy)
    assert kappa @ kappa @ (np.eye(16) - x) == pytest.approx(np.eye(16), abs=1e-10)


def condition(kappa, laplacian):
    """Condition number of kappa^2 L over the nonzero modes, kappa a polynomial of L."""
    rates = np.sort(np.linalg.eigvals(kappa @ kappa @ laplacian).real)
    return rates[-1] / rates[1]


def test_the_right_coefficients_help_and_the_printed_ones_harm():
    """The 10 x 10 lattice of the specification, with I - A_s for the Hessian."""
    energy = QuarticDiffusion(square_lattice(10))
    hessian = np.eye(100) - energy.graph.normalised("sym").toarray()
    plain = condition(np.eye(100), hessian)
    assert plain == pytest.approx(69.9, rel=0.01)
    assert condition(dense(Series(order=1, damping=0.0), energy), hessian) == pytest.approx(15.8, rel=0.02)
    assert condition(dense(Series(order=2, damping=0.0), energy), hessian) == pytest.approx(15.8, rel=0.02)
    assert condition(dense(Series(coefficients="printed-001"), energy), hessian) > 100 * plain


def test_cholesky_whitening_is_the_inverse_of_the_shifted_curvature():
    energy = QuarticDiffusion(square_lattice(5))
    kappa = dense(Whitening(strength=20.0), energy)
    shifted = energy.curvature().toarray() + np.eye(25) / 20.0
    assert kappa @ kappa.T @ shifted == pytest.approx(np.eye(25), abs=1e-10)


@pytest.mark.parametrize("m", [8, 16, 32])
def test_whitened_descent_takes_as_many_steps_on_any_size(m, rng):
    energy = QuarticDiffusion(square_lattice(m), strength=0.0)
    made = ready(Whitening(strength=100.0), energy)
    problem, minimizer = Problem(energy, made, Counts()), GradientDescent(lr=0.9)
    state = minimizer.init(problem, made.encode(rng.normal(size=energy.size), rng))
    start = state.gradient_norm
    for _ in range(60):
        minimizer.step(problem, state)
    assert state.gradient_norm < 1e-6 * start


def test_large_steps_is_the_resolvent():
    energy = QuarticDiffusion(square_lattice(5))
    kappa = dense(Whitening("large-steps", strength=20.0), energy)
    assert kappa @ (np.eye(25) + 20.0 * energy.curvature().toarray()) == pytest.approx(np.eye(25), abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 25), density=st.floats(0.0, 1.0), spread=st.floats(0.0, 4.0))
def test_cholesky_whitening_on_random_graphs(seed, n, density, spread):
    rng = np.random.default_rng(seed)
    upper = np.argwhere(np.triu(rng.random((n, n)) < density, 1))
    graph = Graph.from_edges(upper, n_nodes=n, weights=10.0 ** rng.uniform(-spread, spread, size=len(upper)))
    energy = QuarticDiffusion(graph)
    kappa = dense(Whitening(), energy)
    shifted = energy.curvature().toarray() + np.eye(n) / 100.0
    assert np.abs(kappa.T @ shifted @ kappa - np.eye(n)).max() < 1e-7


def test_an_indefinite_curvature_is_refused(monkeypatch):
    energy = QuarticDiffusion(path_graph(3))
    monkeypatch.setattr(energy, "curvature", lambda: sp.csr_array(np.diag([1.0, -1.0, 1.0])))
    with pytest.raises(InputError, match="lower strength"):
        ready(Whitening(strength=10.0), energy)
    monkeypatch.setattr(energy, "curvature", lambda: sp.csr_array(np.diag([1.0, -0.1, 1.0])))
    with pytest.raises(InputError, match="lower strength"):
        ready(Whitening(strength=10.0), energy)


def test_a_singular_printed_series_is_told(monkeypatch, rng):
    energy = QuarticDiffusion(path_graph(4))
    doubled = 2.0 * sp.eye_array(4, format="csr")
    monkeypatch.setattr("evenflow.reparametrization.series.propagation_matrix", lambda energy, rule: doubled)
    made = ready(Series(order=1, coefficients="printed-001"), energy)  # 1 - 2 / 2
    with pytest.raises(SolveError, match="singular"):
        made.encode(np.ones(4), rng)


def test_whitening_counts_its_factorisation():
    counts = Counts()
    Whitening().setup(QuarticDiffusion(path_graph(4)), np.random.default_rng(0), counts)
    assert counts.factorisation == 1


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: Series(order=-1), "order=-1"),
        (lambda: Series(order=3, coefficients="printed-000"), "order=3"),
        (lambda: Series(damping=1.0), "damping=1.0"),
        (lambda: Series(coefficients="printed"), "coefficients='printed'"),
        (lambda: Series(propagation="none"), "propagation='none'"),
        (lambda: Whitening("qr"), "kind='qr'"),
        (lambda: Whitening(strength=0.0), "strength=0.0"),
    ],
)
def test_options_out_of_range_are_named(build, word):
    with pytest.raises(InputError, match=word):
        build()
