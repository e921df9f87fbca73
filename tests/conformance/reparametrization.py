"""What every reparametrization owes; inherit and say how to make the member."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, fields

import numpy as np
import pytest

from conformance.analytic import QuarticDiffusion, scattered_graph, square_lattice
from evenflow.history import Counts
from evenflow.minimizer.first_order import Adam
from evenflow.minimizer.problem import Problem
from evenflow.reparametrization.base import Reparametrization


def ready(member: Reparametrization, energy: QuarticDiffusion) -> Reparametrization:
    """A copy of the member, set up for the energy."""
    made = copy.deepcopy(member)
    made.setup(energy, np.random.default_rng(0), Counts())
    return made


class ReparametrizationConformance:
    """Inherit, and return the member from :meth:`make`."""

    encode_within = 1e-9  # root-mean-square error of encode, relative to the range of w

    def make(self) -> Reparametrization:
        raise NotImplementedError

    @pytest.fixture(params=["lattice", "lattice-2d-states", "lattice-phases", "scattered", "scattered-3d-states"])
    def energy(self, request: pytest.FixtureRequest) -> QuarticDiffusion:
        graph = square_lattice(4) if request.param.startswith("lattice") else scattered_graph()
        d = {"lattice-2d-states": 2, "scattered-3d-states": 3}.get(request.param)
        return QuarticDiffusion(graph, d, unit="rad" if request.param == "lattice-phases" else "")

    @pytest.fixture
    def member(self, energy: QuarticDiffusion) -> Reparametrization:
        return ready(self.make(), energy)

    @pytest.fixture
    def theta(self, member, energy, rng) -> np.ndarray:
        theta = member.initial(rng)
        noise = rng.normal(size=member.size)
        return noise if theta is None else theta + 0.1 * noise  # away from the kinks at zero

    def test_options_are_data(self):
        made = self.make()
        again = type(made)(**json.loads(json.dumps(asdict(made))))
        assert again == made

    def test_setup_leaves_the_options_alone(self, energy):
        made = self.make()
        before = {entry.name: copy.deepcopy(getattr(made, entry.name)) for entry in fields(made)}
        made.setup(energy, np.random.default_rng(0), Counts())
        assert {entry.name: getattr(made, entry.name) for entry in fields(made)} == before

    def test_states_have_the_shape_of_the_energy(self, member, energy, theta):
        assert theta.shape == (member.size,)
        assert theta.dtype == np.float64
        w = member.decode(theta)
        assert w.shape == energy.shape
        assert w.dtype == np.float64
        assert np.isfinite(w).all()

    def test_decode_does_not_change_theta(self, member, theta):
        before = theta.copy()
        member.decode(theta)
        assert np.array_equal(theta, before)

    def test_same_seed_same_start(self, energy):
        first, second = ready(self.make(), energy), ready(self.make(), energy)
        a, b = first.initial(np.random.default_rng(3)), second.initial(np.random.default_rng(3))
        if a is None:
            assert b is None
        else:
            assert np.array_equal(a, b)
            assert np.array_equal(first.decode(a), second.decode(b))
            assert not np.array_equal(a, first.initial(np.random.default_rng(4)))

    def test_pullback_is_the_transposed_derivative_of_decode(self, member, energy, theta, rng):
        weights, direction = rng.normal(size=energy.shape), rng.normal(size=member.size)
        reach = 1e-6
        rise = (weights * (member.decode(theta + reach * direction) - member.decode(theta - reach * direction))).sum()
        member.decode(theta)
        slope = float(member.pullback(theta, weights) @ direction)
        assert slope == pytest.approx(rise / (2 * reach), rel=1e-5, abs=1e-7)

    def test_pullback_writes_to_out(self, member, energy, theta, rng):
        weights = rng.normal(size=energy.shape)
        member.decode(theta)
        fresh = np.array(member.pullback(theta, weights))
        member.decode(theta)
        out = np.full(member.size, np.nan)
        assert np.shares_memory(member.pullback(theta, weights, out), out)
        assert np.array_equal(out, fresh)

    def test_pullback_leaves_the_gradient_alone(self, member, energy, theta, rng):
        weights = rng.normal(size=energy.shape)
        before = weights.copy()
        member.decode(theta)
        member.pullback(theta, weights, np.empty(member.size))
        assert np.array_equal(weights, before)

    def test_theta_may_change_in_place(self, member, theta, rng):
        member.decode(theta)
        theta += rng.normal(size=theta.size)
        assert np.array_equal(member.decode(theta), member.decode(theta.copy()))

    def test_encode_tells_its_error(self, member, energy, rng):
        w = rng.uniform(0.5, 5.5, size=energy.shape)
        back = member.decode(member.encode(w, rng))
        error = float(np.sqrt(np.mean((back - w) ** 2)))
        assert error == pytest.approx(member.encode_error, rel=1e-9, abs=1e-9)
        assert error <= self.encode_within * np.ptp(w)

    def test_encode_is_deterministic(self, energy):
        w = np.linspace(0.5, 5.5, energy.size).reshape(energy.shape)
        first, second = (ready(self.make(), energy).encode(w, np.random.default_rng(1)) for _ in range(2))
        assert np.array_equal(first, second)

    def test_it_says_whether_it_draws(self, energy, rng):
        """One that draws starts elsewhere with another seed; one that does not needs no generator."""
        member, other, w = self.make(), self.make(), energy.initial(rng)
        other.setup(energy, np.random.default_rng(0), Counts())
        if member.draws:
            first, second = (other.initial(np.random.default_rng(seed)) for seed in range(2))
            assert not np.array_equal(first, second)
            return
        member.setup(energy, None, Counts())
        assert member.initial(None) is None
        np.testing.assert_array_equal(member.encode(w, None), other.encode(w, np.random.default_rng(1)))

    def test_two_copies_do_not_disturb_each_other(self, energy, rng):
        template = self.make()
        first, second = copy.copy(template), copy.copy(template)
        first.setup(energy, np.random.default_rng(0), Counts())
        theta = rng.normal(size=first.size)
        before = np.array(first.decode(theta))
        second.setup(QuarticDiffusion(square_lattice(3)), np.random.default_rng(0), Counts())
        second.decode(rng.normal(size=second.size))
        assert np.array_equal(first.decode(theta), before)

    def test_adam_lowers_the_energy_through_it(self, member, energy, theta):
        problem = Problem(energy, member, Counts())
        minimizer = Adam(lr=0.01)
        state = minimizer.init(problem, theta)
        start = state.energy
        for _ in range(60):
            minimizer.step(problem, state)
        assert state.energy < start


class CountedConformance(ReparametrizationConformance):
    """For all but the identity: passes are counted."""

    def test_passes_are_counted(self, energy, rng):
        counts = Counts()
        made = self.make()
        made.setup(energy, rng, counts)
        theta = rng.normal(size=made.size)
        made.decode(theta)
        made.pullback(theta, np.ones(energy.shape))
        assert (counts.forward, counts.backward) == (1, 1)


class LinearConformance(ReparametrizationConformance):
    """For the linear maps, besides."""

    def test_it_is_linear_and_push_is_adjoint_to_pullback(self, member, energy, theta, rng):
        assert member.linear
        other, g = rng.normal(size=member.size), rng.normal(size=energy.shape)
        joint = np.array(member.decode(theta - 2.0 * other))
        apart = np.array(member.decode(theta)) - 2.0 * np.array(member.decode(other))
        assert joint == pytest.approx(apart, rel=1e-10, abs=1e-10)
        assert float((member.push(other) * g).sum()) == pytest.approx(float(other @ member.pullback(theta, g)))
