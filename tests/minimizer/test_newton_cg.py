"""Newton-CG: conformance, order of convergence, saddle points, faults, and the inner solver against numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import evenflow as ef
from conformance.minimizer import (
    DenseEnergy,
    MinimizerConformance,
    Run,
    baths,
    problem_of,
    quadratic,
    ring,
    rosenbrock,
    wells,
)
from conformance.preconditioning import Broken, Exact, Indefinite, Stale
from evenflow.energy.heat import HeatDiffusion
from evenflow.errors import InputError
from evenflow.gallery import lattice, tree
from evenflow.minimizer.linear_algebra import Rows, is_diagonally_dominant
from evenflow.minimizer.newton_cg import NewtonCG
from evenflow.preconditioner import Multigrid
from evenflow.status import Status


class TestNewtonCG(MinimizerConformance):
    max_steps = 80

    def make(self):
        return NewtonCG()


class TestPreconditionedAtOnce(MinimizerConformance):
    max_steps = 80

    def make(self):
        return NewtonCG(preconditioner=Exact(), patience=0)


class TestPreconditionedWhenItPays(MinimizerConformance):
    max_steps = 80

    def make(self):
        return NewtonCG(preconditioner=Exact(), patience=4)


class ConstantCouplings(DenseEnergy):
    """A problem of which only the diagonal of the Hessian changes, and which says so."""

    constant_couplings = True

    def diagonal_series(self, w):
        step = 0.01
        ahead, here, back = (self.hessian_diagonal(w + h) for h in (step, 0.0, -step))
        return here, (ahead - back) / (2 * step), (ahead - 2 * here + back) / step**2


class TestDiagonalRefreshed(MinimizerConformance):
    max_steps = 80
    solves = ("quadratic", "baths", "wells")

    def make(self):
        return NewtonCG(preconditioner=Multigrid(coarsest=4), patience=0)

    @staticmethod
    def adapt(energy):
        return ConstantCouplings(energy._value, energy._gradient, energy._hessian, energy.start, energy.minimum)


class TestDiagonalRefreshedByDefault(TestDiagonalRefreshed):
    def make(self):
        return NewtonCG(preconditioner=Exact(), patience=0)


class MatrixFree(DenseEnergy):
    sparse_hessian = False

    @classmethod
    def of(cls, energy: DenseEnergy) -> MatrixFree:
        made = cls(energy._value, energy._gradient, energy._hessian, energy.start, energy.minimum)
        made.sparse_hessian = False
        return made


class TestMatrixFree(MinimizerConformance):
    max_steps = 80

    def make(self):
        return NewtonCG()

    @staticmethod
    def adapt(energy):
        return MatrixFree.of(energy)


@pytest.mark.parametrize("make", [rosenbrock, ring])
def test_converges_quadratically(make):
    """With the exponent 2 the gradients obey |g+| <= C |g|^2 at the end."""
    run = Run.begin(NewtonCG(preconditioner=Exact(), patience=0, exponent=2.0, drift=1e-12), make())
    norms = [run.state.gradient_norm]
    while norms[-1] > 1e-9 * norms[0]:
        norms.append(run.steps(1).state.gradient_norm)
    ratios = [after / before**2 for before, after in zip(norms[-4:-1], norms[-3:], strict=True)]
    assert max(ratios) < 20
    assert norms[-1] / norms[-2] < 1e-3


def test_matrix_free_is_the_same_method():
    assembled, free = Run.begin(NewtonCG(), rosenbrock()), Run.begin(NewtonCG(), MatrixFree.of(rosenbrock()))
    for _ in range(10):
        assembled.steps(1)
        free.steps(1)
        assert free.state.energy == pytest.approx(assembled.state.energy, rel=1e-6)
        assert free.state.inner == assembled.state.inner
    assert free.problem.counts.hessian == 0
    assert free.problem.counts.hvp == assembled.problem.counts.hvp


@pytest.mark.parametrize("sparse", [True, False])
def test_leaves_a_saddle_point_where_the_gradient_is_zero(sparse):
    energy = wells(start=0.0) if sparse else MatrixFree.of(wells(start=0.0))
    run = Run.begin(NewtonCG(), energy)
    assert run.state.gradient_norm == 0.0
    run.steps(1)
    assert "saddle" in run.state.note
    assert run.state.energy < energy._value(energy.start)
    run.steps(40, down_to=1e-10)
    assert run.state.energy < 0.95 * energy._value(energy.start)
    assert np.linalg.eigvalsh(energy._hessian(run.state.theta)).min() > -1e-8


def test_does_not_mistake_a_saddle_point_it_converges_to():
    """Started on the stable manifold of a saddle point, it ends in a minimum all the same."""
    energy = DenseEnergy(
        lambda w: 0.25 * (w[0] ** 2 - 1) ** 2 + 0.5 * w[1] ** 2 + 0.1 * w[1] ** 4,
        lambda w: np.array([w[0] ** 3 - w[0], w[1] + 0.4 * w[1] ** 3]),
        lambda w: np.diag([3 * w[0] ** 2 - 1, 1 + 1.2 * w[1] ** 2]),
        np.array([0.0, 1.5]),
        0.0,
    )
    run = Run.begin(NewtonCG(), energy).steps(30, down_to=1e-10)
    assert run.state.energy < 1e-12
    stuck = Run.begin(NewtonCG(check_saddle=False), energy).steps(30, down_to=1e-10)
    assert stuck.state.energy == pytest.approx(0.25)


def test_zero_gradient_at_a_minimum_is_the_end():
    energy = quadratic()
    energy.start = np.zeros(energy.size)
    energy._gradient = lambda w: energy._hessian(w) @ w
    run = Run.begin(NewtonCG(), energy).steps(1)
    assert run.state.status is Status.CONVERGED
    assert run.state.decrement == 0.0


@pytest.mark.parametrize("make", [quadratic, rosenbrock, baths])
@pytest.mark.parametrize("preconditioner", [None, Exact()])
def test_decrement_is_honest(make, preconditioner):
    """Once converging it is no less than half the true gap, and no more than the condition number allows."""
    energy = make()
    run = Run.begin(NewtonCG(preconditioner=preconditioner, patience=0, enough=1e-7), energy)
    first = run.state.energy - energy.minimum
    checked = 0
    while run.state.status is None and run.state.gradient_norm > 1e-7:
        run.steps(1)
        gap = run.state.energy - energy.minimum
        if 1e-11 * max(abs(energy.minimum), 1.0) < gap < 1e-3 * first and run.state.decrement < 2e-4:
            assert 0.5 * gap <= run.state.decrement <= 1e4 * gap
            checked += 1
    assert checked > 0 or preconditioner is not None  # which solves the quadratic at once


@pytest.mark.parametrize("fault", [Broken(), Indefinite()])
def test_faulty_preconditioner_is_not_trusted(fault):
    energy = quadratic()
    run = Run.begin(NewtonCG(preconditioner=fault, patience=0), energy)
    notes = [run.steps(1, down_to=1e-8).state.note for _ in range(20)]
    assert run.state.energy == pytest.approx(energy.minimum, rel=1e-12)
    assert any("diagonal stands in" in note for note in notes)


def test_stale_preconditioner_costs_iterations_only():
    energy = baths()
    run = Run.begin(NewtonCG(preconditioner=Stale(), patience=0), energy).steps(60, down_to=1e-8)
    assert run.state.energy == pytest.approx(energy.minimum, rel=1e-10)


def test_hessian_that_is_not_finite_is_a_breakdown():
    energy = quadratic()
    energy._hessian = lambda w: np.full((w.size, w.size), np.nan)
    assert Run.begin(NewtonCG(), energy).steps(3).state.status is Status.BREAKDOWN


def test_preconditioner_waits_until_it_pays():
    easy = Run.begin(NewtonCG(preconditioner=Exact(), patience=1000), baths()).steps(15, down_to=1e-6)
    assert easy.problem.counts.factorisation == 0
    hard = Run.begin(NewtonCG(preconditioner=Exact(), patience=2), baths()).steps(15, down_to=1e-6)
    assert hard.problem.counts.factorisation > 0


@pytest.mark.parametrize(("baths", "built"), [("sides", True), ("random_baths", False)])
def test_preconditioner_is_built_at_once_where_most_nodes_are_remote(baths, built):
    energy = getattr(HeatDiffusion, baths)(lattice(110, 110))
    problem = problem_of(energy)
    newton = NewtonCG(preconditioner=Multigrid(), patience=1000)
    state = newton.init(problem, energy.initial(np.random.default_rng(0)))
    newton.step(problem, state)
    assert (problem.counts.factorisation > 0) is built
    assert ("built at once" in newton.remark()) is built


@pytest.mark.parametrize(("depth", "built"), [(14, True), (11, False)])
def test_preconditioner_is_built_at_once_on_a_large_forest(depth, built):
    energy = HeatDiffusion.random_baths(tree(2, depth))
    result = ef.minimize(energy, tolerance=1e-8)
    assert ("multigrid built at once" in result.message) is built


def test_refreshes_when_the_hessian_drifts():
    lazy = Run.begin(NewtonCG(preconditioner=Exact(), patience=0, drift=1e9, growth=1e9), baths())
    eager = Run.begin(NewtonCG(preconditioner=Exact(), patience=0, drift=1e-9), baths())
    lazy.steps(6), eager.steps(6)
    assert lazy.problem.counts.factorisation == 1
    assert eager.problem.counts.factorisation > 5


def test_keeps_fixed_states_fixed():
    energy = wells(start=0.0)
    plain = energy._gradient
    energy.fixed = (np.array([0, 3]), np.zeros(2))
    free = energy.free_mask().astype(float)
    energy._gradient = lambda w: free * plain(w)
    hessian = energy._hessian
    energy._hessian = lambda w: free[:, None] * hessian(w) * free + np.diag(1 - free)
    run = Run.begin(NewtonCG(), energy).steps(1).steps(30, down_to=1e-9)
    assert (run.state.theta[[0, 3]] == 0).all()
    assert run.state.energy < energy._value(energy.start)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 20))
def test_dominating_diagonal(seed, n):
    rng = np.random.default_rng(seed)
    H = rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.4)
    H = H + H.T
    matrix = sp.csr_array(H)
    rows, diagonal = Rows(matrix), np.empty(n)
    rows.take_diagonal(matrix.data, diagonal)
    np.testing.assert_array_equal(diagonal, np.diag(H))
    rows.dominate(matrix.data, diagonal)
    assert np.linalg.eigvalsh(2 * np.diag(diagonal) - H).min() > -1e-12
    laplacian = np.diag(np.abs(H).sum(axis=1)) - H
    matrix = sp.csr_array(laplacian)
    plain = np.diag(laplacian).copy()
    Rows(matrix).dominate(matrix.data, plain)
    assert (plain >= np.diag(laplacian)).all()


def test_diagonal_dominance():
    L = np.array([[1.0, -1, 0], [-1, 2, -1], [0, -1, 1]])
    for matrix, expected in ((L, True), (L + np.eye(3), True), (L - 0.1 * np.eye(3), False), (-L, False)):
        csr = sp.csr_array(matrix)
        assert is_diagonally_dominant(csr.indptr, csr.indices, csr.data) is expected


@dataclass
class DriftingFlexible(Exact):
    """Changes a little with every application, and says so."""

    name: ClassVar[str] = "drifting"
    flexible: ClassVar[bool] = True

    def apply(self, r, out=None):
        self.turn = getattr(self, "turn", 0) + 1
        return np.multiply(super().apply(r), 1 + 0.1 * np.cos(self.turn * np.arange(r.size)), out=out)


def test_flexible_preconditioner_end_to_end():
    energy = rosenbrock()
    run = Run.begin(NewtonCG(preconditioner=DriftingFlexible(), patience=0), energy).steps(60, down_to=1e-8)
    assert run.state.energy < 1e-14


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("patience", -1),
        ("drift", 0.0),
        ("growth", 1.0),
        ("forcing", 1.0),
        ("exponent", 1.0),
        ("max_inner", 0),
        ("enough", -1.0),
    ],
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option}="):
        NewtonCG(**{option: value})


def test_survey_is_not_repeated_after_a_resume(monkeypatch):
    energy = HeatDiffusion.random_baths(lattice(110, 110))
    problem = problem_of(energy)
    first, second = (NewtonCG(preconditioner=Multigrid(), patience=1000) for _ in range(2))
    state = first.init(problem, energy.initial(np.random.default_rng(0)))
    first.step(problem, state)
    asked = []
    monkeypatch.setattr("evenflow.minimizer.watch.remoteness", lambda rows, data, enough: asked.append(1) or 1.0)
    second.restore(problem_of(energy), state, first.export(state))
    second.step(problem_of(energy), state)
    assert not asked
    assert "no multigrid was built" in second.remark()


def test_no_inner_solve_aims_below_what_is_enough():
    energy = HeatDiffusion.sides(lattice(60, 60))
    exact = ef.minimize(energy, method="newton-chol", tolerance=1e-14).energy

    def solve(enough):
        newton = NewtonCG(preconditioner=Multigrid(), patience=0, enough=enough)
        return ef.minimize(energy, method=ef.Direct(newton, stop=ef.Decrement(1e-9)))

    loose, strict = solve(1e-9), solve(0.0)
    assert loose.status is strict.status is ef.Status.CONVERGED
    assert loose.energy - exact <= 1e-9 * exact
    assert loose.stages[0].steps == strict.stages[0].steps
    assert loose.counts.preconditioner < strict.counts.preconditioner
