"""What every minimizer owes; inherit and say how to make the member."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import scipy.sparse as sp

from conformance.analytic import square_lattice
from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.method.base import Direct
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.problem import Problem
from evenflow.reparametrization.identity import Identity
from evenflow.solve import Budget, Solve
from evenflow.status import Status


class DenseEnergy(BaseEnergy):
    """An energy of a few unknowns from formulas for value, gradient and Hessian; counts its evaluations."""

    name = "dense"

    def __init__(self, value, gradient, hessian, start: FloatArray, minimum: float | None) -> None:
        self._value, self._gradient, self._hessian = value, gradient, hessian
        self.start, self.minimum, self.shape = np.asarray(start, dtype=float), minimum, (len(start),)
        self.evaluations = 0

    def value(self, w: FloatArray) -> float:
        self.evaluations += 1
        with np.errstate(all="ignore"):
            return float(self._value(w))

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        out = np.empty_like(w) if out is None else out
        with np.errstate(all="ignore"):
            out[:] = self._gradient(w)
        return self.value(w), out

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        return self._hessian(w) @ v

    def hessian(self, w: FloatArray) -> sp.csr_array:
        n = self.size
        indices, indptr = np.tile(np.arange(n), n), np.arange(0, n * n + 1, n)
        return sp.csr_array((self._hessian(w).ravel(), indices, indptr), shape=(n, n))

    def curvature(self) -> sp.csr_array:
        return sp.csr_array(sp.eye_array(self.size))

    def torch_value(self, w):
        raise NotImplementedError

    def initial(self, rng: np.random.Generator) -> FloatArray:
        return self.start.copy()


def quadratic() -> DenseEnergy:
    """Lattice Laplacian, a diagonal over two decades, a force."""
    n = 36
    A = square_lattice(6).laplacian.toarray() + np.diag(np.logspace(-1, 1, n))
    b = np.sin(np.arange(n))
    best = -0.5 * b @ np.linalg.solve(A, b)
    return DenseEnergy(lambda w: 0.5 * w @ A @ w - b @ w, lambda w: A @ w - b, lambda w: A, np.full(n, 2.0), best)


def rosenbrock() -> DenseEnergy:
    """Ten unknowns in a curved valley; minimum 0 at ones."""
    n = 10

    def gradient(w):
        g = np.zeros(n)
        g[:-1] = -400 * w[:-1] * (w[1:] - w[:-1] ** 2) - 2 * (1 - w[:-1])
        g[1:] += 200 * (w[1:] - w[:-1] ** 2)
        return g

    def hessian(w):
        H = np.zeros((n, n))
        i = np.arange(n - 1)
        H[i, i] = 1200 * w[:-1] ** 2 - 400 * w[1:] + 2
        H[i + 1, i + 1] += 200
        H[i, i + 1] = H[i + 1, i] = -400 * w[:-1]
        return H

    def value(w):
        return np.sum(100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2)

    return DenseEnergy(value, gradient, hessian, np.linspace(0.0, 0.8, n), 0.0)


def ring() -> DenseEnergy:
    """Oscillators on a ring near synchrony: singular Hessian, minimum 0."""
    n = 12

    def hessian(w):
        c = np.cos(w - np.roll(w, -1))
        H = np.diag(c + np.roll(c, 1))
        i = np.arange(n)
        H[i, (i + 1) % n] -= c
        H[(i + 1) % n, i] -= c
        return H

    def gradient(w):
        return np.sin(w - np.roll(w, -1)) + np.sin(w - np.roll(w, 1))

    start = np.random.default_rng(3).uniform(-0.7, 0.7, n)
    return DenseEnergy(lambda w: np.sum(1 - np.cos(w - np.roll(w, -1))), gradient, hessian, start, 0.0)


def baths() -> DenseEnergy:
    """Heat between two stiff quartic baths; the minimum comes from symmetry, to four digits of its equation."""
    n, lam, hot = 9, 10.0, 10.0
    L = np.diag(np.r_[1.0, np.full(n - 2, 2.0), 1.0]) - np.eye(n, k=1) - np.eye(n, k=-1)
    ends, target = np.zeros(n), np.zeros(n)
    ends[[0, -1]], target[0] = lam, hot
    # a straight line between hot - x and x, with 4 lam x^3 equal to its slope (hot - 2 x) / (n - 1)
    x = float(max(np.roots([4 * lam, 0, 2 / (n - 1), -hot / (n - 1)]), key=np.real).real)
    best = 0.5 * (hot - 2 * x) ** 2 / (n - 1) + 2 * lam * x**4
    start = np.random.default_rng(1).uniform(0, hot, n)
    return DenseEnergy(
        lambda w: 0.5 * w @ L @ w + np.sum(ends * (w - target) ** 4),
        lambda w: L @ w + 4 * ends * (w - target) ** 3,
        lambda w: L + np.diag(12 * ends * (w - target) ** 2),
        start,
        best,
    )


def wells(start: float = 1e-3) -> DenseEnergy:
    """Coupled double wells, minimum 0 at all ones (or all minus ones); the origin is a saddle point."""
    n = 8
    L = np.diag(np.r_[1.0, np.full(n - 2, 2.0), 1.0]) - np.eye(n, k=1) - np.eye(n, k=-1)
    return DenseEnergy(
        lambda w: 0.5 * w @ L @ w + 0.25 * np.sum((w**2 - 1) ** 2),
        lambda w: L @ w + w**3 - w,
        lambda w: L + np.diag(3 * w**2 - 1),
        np.full(n, start),
        0.0,
    )


def walled() -> DenseEnergy:
    """Finite only inside the unit ball; steep, so that full steps leave it."""
    n = 6
    pull = np.linspace(1.0, 30.0, n)

    def inside(w):
        return 1.0 - w @ w

    def hessian(w):
        s = inside(w)
        return 2 * np.eye(n) / s + 4 * np.outer(w, w) / s**2

    # with |w| = r along the pull the radial problem is -log(1 - r^2) - |pull| r
    a = float(np.linalg.norm(pull))
    r = (-1 + math.sqrt(1 + a * a)) / a
    return DenseEnergy(
        lambda w: -np.log(inside(w)) - pull @ w if inside(w) > 0 else np.inf,
        lambda w: 2 * w / inside(w) - pull if inside(w) > 0 else np.full(n, np.nan),
        hessian,
        np.full(n, -0.3),
        -math.log(1 - r * r) - a * r,
    )


CATALOGUE: dict[str, Callable[[], DenseEnergy]] = {
    "quadratic": quadratic,
    "rosenbrock": rosenbrock,
    "ring": ring,
    "baths": baths,
    "wells": wells,
    "walled": walled,
}


@dataclass
class Run:
    """A minimizer under way on an energy."""

    minimizer: Minimizer
    energy: DenseEnergy
    problem: Problem
    state: State

    @classmethod
    def begin(cls, minimizer: Minimizer, energy: DenseEnergy) -> Run:
        problem = problem_of(energy)
        minimizer = copy.deepcopy(minimizer)
        return cls(minimizer, energy, problem, minimizer.init(problem, energy.start.copy()))

    def steps(self, count: int, *, down_to: float = -1.0, ahead: bool = True) -> Run:
        """``ahead``: whether to look ahead after each, as the loop does while it goes on."""
        for _ in range(count):
            if self.state.status is not None or self.state.gradient_norm <= down_to:
                break
            self.minimizer.step(self.problem, self.state)
            if ahead:
                self.minimizer.look_ahead(self.problem, self.state)
            self.state.steps += 1
        return self


def problem_of(energy: BaseEnergy) -> Problem:
    """The energy seen through the identity map."""
    identity, counts = Identity(), Counts()
    identity.setup(energy, np.random.default_rng(0), counts)
    return Problem(energy, identity, counts)


def same(a: State, b: State) -> bool:
    """Whether two states agree bit for bit."""
    return (
        np.array_equal(a.theta, b.theta)
        and np.array_equal(a.gradient, b.gradient)
        and (a.energy, a.gradient_norm, a.status) == (b.energy, b.gradient_norm, b.status)
        and (a.decrement == b.decrement or (math.isnan(a.decrement) and math.isnan(b.decrement)))
    )


def is_data(value: object) -> bool:
    """Whether a checkpoint can hold it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_data(entry) for key, entry in value.items())
    return isinstance(value, (bool, int, float, str, np.ndarray, np.generic))


class MinimizerConformance:
    """Inherit, and return the member from :meth:`make`.

    ``gap`` is the part of the first energy gap that may be left after ``max_steps`` steps; ``solves`` names the
    problems of the catalogue that it is asked to solve.
    """

    gap = 1e-12
    max_steps = 400
    solves: tuple[str, ...] = tuple(CATALOGUE)

    def make(self) -> Minimizer:
        raise NotImplementedError

    @staticmethod
    def adapt(energy: DenseEnergy) -> DenseEnergy:
        """Turn a problem of the catalogue into the kind that the member is tested on."""
        return energy

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "energy" in metafunc.fixturenames:
            metafunc.parametrize("energy", self.solves, indirect=True)

    @pytest.fixture
    def energy(self, request: pytest.FixtureRequest) -> DenseEnergy:
        return self.adapt(CATALOGUE[request.param]())

    def test_options_are_data(self):
        made = self.make()
        assert json.loads(json.dumps(asdict(made))) == asdict(made)
        assert isinstance(made.name, str)
        assert made.name

    def test_reaches_the_minimum(self, energy):
        run = Run.begin(self.make(), energy)
        first = run.state.energy - energy.minimum
        scale = 1e-15 * max(abs(run.state.energy), abs(energy.minimum))
        run.steps(self.max_steps, down_to=1e-9 * run.state.gradient_norm)
        assert run.state.energy - energy.minimum <= self.gap * first + 100 * scale
        assert run.state.status in (None, Status.CONVERGED)

    def test_state_is_consistent_after_every_step(self, energy):
        run = Run.begin(self.make(), energy)
        for _ in range(12):
            state = run.steps(1).state
            value, gradient = problem_of(copy.deepcopy(energy)).value_and_gradient(state.theta)
            assert state.energy == value
            assert np.array_equal(state.gradient, gradient)
            assert state.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
            assert math.isnan(state.decrement) or state.decrement >= 0

    def test_monotone_means_monotone(self, energy):
        run = Run.begin(self.make(), energy)
        if not run.minimizer.monotone:
            return
        slack = 1e-13 * max(abs(run.state.energy), abs(energy.minimum))  # round-off of the energy
        for _ in range(40):
            before = run.state.energy
            assert run.steps(1).state.energy <= before + slack

    def test_counts_every_evaluation(self, energy):
        run = Run.begin(self.make(), energy).steps(8)
        assert run.problem.counts.evaluations == energy.evaluations

    def test_same_start_same_bits(self, energy):
        first = Run.begin(self.make(), energy).steps(10)
        second = Run.begin(self.make(), copy.deepcopy(energy)).steps(10)
        assert same(first.state, second.state)

    def test_looks_ahead_once_and_by_itself(self, energy):
        asked = Run.begin(self.make(), energy).steps(4)
        kept = copy.deepcopy(asked.state)
        asked.minimizer.look_ahead(asked.problem, asked.state)
        assert same(asked.state, kept)
        unasked = Run.begin(self.make(), copy.deepcopy(energy)).steps(4, ahead=False)
        unasked.minimizer.look_ahead(unasked.problem, unasked.state)
        assert same(unasked.state, kept)

    @pytest.mark.parametrize("before", [0, 1, 2, 7])
    @pytest.mark.parametrize("ahead", [True, False])
    def test_resumes_bit_for_bit(self, energy, before, ahead):
        first = Run.begin(self.make(), energy).steps(before, ahead=ahead)
        saved = copy.deepcopy(first.minimizer.export(first.state))
        theta, gradient = first.state.theta.copy(), first.state.gradient.copy()
        fresh = copy.copy(first.state)
        fresh.theta, fresh.gradient, fresh.memory = theta, gradient, {}
        second = Run(self.make(), energy, problem_of(energy), fresh)
        second.minimizer.restore(second.problem, fresh, saved)
        for _ in range(6):
            assert same(first.steps(1).state, second.steps(1).state)

    def test_export_is_data_of_its_own(self, energy):
        run = Run.begin(self.make(), energy).steps(3)
        saved = run.minimizer.export(run.state)
        kept = copy.deepcopy(saved)
        run.steps(3)
        for name, value in saved.items():
            assert is_data(value), name
            if run.minimizer.monotone:  # the others keep their few vectors in place
                np.testing.assert_array_equal(value, kept[name])

    def test_start_that_is_not_finite_is_an_input_error(self):
        energy = walled()
        outside = np.full(energy.size, 2.0)
        with pytest.raises(InputError, match=r"w0: the energy there is inf"):
            Solve(energy, Budget()).run(Direct(self.make()).plan(energy, 1e-10), outside)
