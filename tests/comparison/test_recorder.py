from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

from evenflow.comparison import Recorder, StopRun


class Ticker:
    """A clock that advances one second at each look."""

    def __init__(self):
        self.ticks = itertools.count()

    def __call__(self):
        return float(next(self.ticks))


def test_judges_by_its_own_evaluation(heat, rng):
    w = heat.initial(rng)
    recorder = Recorder(heat)
    recorder.record(w)
    assert recorder.energies == [heat.value(w)]


def test_a_solver_that_tampers_with_the_energy_changes_nothing(heat, rng):
    mine = copy.copy(heat)
    w = heat.initial(rng)
    recorder = Recorder(mine, target=1.0)
    mine.value = lambda w: 0.0
    assert not recorder.record(w)
    assert recorder.energies == [heat.value(w)]


def test_clock_stands_still_while_recording(heat, rng):
    now = [0.0]
    judge = copy.copy(heat)

    def slow_value(w):
        now[0] += 100.0
        return heat.value(w)

    judge.value = slow_value

    def slow_point():
        now[0] += 100.0
        return heat.initial(rng)

    recorder = Recorder(heat, clock=lambda: now[0], judge=judge)
    with recorder.running():
        for k in range(5):
            now[0] += 1.0  # work
            recorder.record(slow_point if k % 2 else heat.initial(rng))
    assert recorder.seconds == 5.0
    assert recorder.seconds_at == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_keeps_a_copy_of_the_last_point(heat, rng):
    w = heat.initial(rng)
    recorder = Recorder(heat)
    recorder.record(w)
    kept = w.copy()
    w[:] = 0.0
    np.testing.assert_array_equal(recorder.w, kept)


def test_first_point_at_or_below_counts(heat, rng):
    recorder = Recorder(heat, clock=Ticker())
    scale = np.array([1.0, 0.4, 0.6, 0.3])  # not monotone
    with recorder.running():
        for factor in scale:
            recorder.record(5.0 + factor * heat.initial(np.random.default_rng(0)))
    energies = recorder.energies
    assert recorder.seconds_to(energies[1]) == recorder.seconds_at[1]
    assert recorder.seconds_to(0.5 * (energies[1] + energies[3])) == recorder.seconds_at[3]
    assert recorder.seconds_to(0.5 * energies[3]) is None


def test_books_cannot_be_cooked(heat, rng):
    recorder = Recorder(heat, target=1.0)
    recorder.record(heat.initial(rng))
    recorder.energies.append(0.0)
    recorder.seconds_at.append(0.0)
    assert len(recorder.energies) == len(recorder.seconds_at) == 1
    assert not recorder.reached


def test_stops_at_the_target(heat, rng):
    w = heat.initial(rng)
    recorder = Recorder(heat, target=heat.value(w))
    with pytest.raises(StopRun):
        recorder.visit(w)
    assert recorder.reached


def test_every_evaluation_ends_an_overdue_run(heat, rng):
    w = heat.initial(rng)
    recorder = Recorder(heat, max_seconds=0.5, clock=Ticker())
    with recorder.running():
        for call in (
            lambda: recorder.value(w),
            lambda: recorder.value_and_gradient(w),
            lambda: recorder.hvp(w, w),
            lambda: recorder.hessian(w),
        ):
            with pytest.raises(StopRun):
                call()
    assert sum(recorder.counts.as_dict().values()) == 0


def test_counts_and_shapes(heat, rng):
    w = heat.initial(rng)
    recorder = Recorder(heat)
    value, gradient = recorder.value_and_gradient(w.reshape(-1))
    assert value == recorder.value(w)
    assert gradient.shape == (w.size,)
    np.testing.assert_allclose(recorder.hessian(w) @ w, recorder.hvp(w, w), rtol=1e-10)
    counts = recorder.counts
    assert (counts.value, counts.gradient, counts.hvp, counts.hessian) == (1, 1, 1, 1)


def test_setup_is_on_the_clock(heat):
    recorder = Recorder(heat, clock=Ticker())
    with recorder.running(), recorder.setup():
        pass
    assert 0 < recorder.setup_seconds <= recorder.seconds
