from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import evenflow as ef
from evenflow.comparison import PEERS, Peer, StopRun, compare
from evenflow.comparison.harness import Entry, Harness
from evenflow.energy.kuramoto import Kuramoto
from evenflow.errors import InputError


@dataclass(frozen=True)
class Scripted(Peer):
    """A contestant whose behaviour a test writes down."""

    name: ClassVar[str] = "scripted"
    description: ClassVar[str] = "for tests"
    tuning: ClassVar[str] = "none"
    package: ClassVar[str] = "numpy"
    module: ClassVar[str] = "numpy"

    action: object = None

    @property
    def settings(self):
        return ""

    def run(self, run, w0, seed):
        return self.action(run, w0)


def one(heat, minimum, action, **options):
    options = {"max_seconds": 2.0, "repeats": 1, "warmup_seconds": 0.0, "reference": minimum, **options}
    return compare(heat, [Scripted(action)], **options).rows[0]


def test_a_method_cannot_claim_an_energy(heat, minimum):
    def cheat(run, w0):
        run.visit(w0)
        run.energies.append(minimum)
        run.energy.value = lambda w: minimum  # the solver's own copy may say what it likes
        run.energy.value_and_gradient = lambda w, out=None: (minimum, np.zeros_like(w))
        run.visit(w0)
        return w0

    energy = copy.copy(heat)
    row = one(energy, minimum, cheat)
    assert row.status == "stopped"
    assert row.times == {"0.0001": None, "1e-06": None, "1e-08": None}
    assert row.energy == pytest.approx(heat.value(heat.initial(np.random.default_rng(0))))
    assert row.gap > 1.0
    assert row.gradient_norm > 0.0


def test_a_method_cannot_spoil_the_common_start(heat, minimum):
    def spoil(run, w0):
        run.visit(w0)
        w0[:] = 0.0
        return w0

    class Other(Scripted):
        name = "other"

    starts = []
    rows = compare(
        heat,
        [Scripted(spoil), Other(lambda run, w0: (starts.append(w0.copy()), w0)[1])],
        max_seconds=1.0,
        repeats=1,
        warmup_seconds=0.0,
        reference=minimum,
    ).rows
    np.testing.assert_array_equal(starts[0], heat.initial(np.random.default_rng(0)))
    assert rows[0].energy_start == rows[1].energy_start


def test_failures_are_rows(heat, minimum):
    def fail(run, w0):
        run.visit(w0)
        raise ZeroDivisionError("a step of length zero")

    row = one(heat, minimum, fail)
    assert (row.status, row.reason) == ("failed", "ZeroDivisionError: a step of length zero")
    assert row.energy_start is not None


def test_a_failure_before_the_first_point_is_a_row(heat, minimum):
    def fail(run, w0):
        raise RuntimeError("no")

    row = one(heat, minimum, fail)
    assert (row.status, row.energy, row.energy_start) == ("failed", None, None)


def test_input_errors_mean_not_applicable(heat, minimum):
    def refuse(run, w0):
        raise InputError("energy='heat': this method wants phases")

    row = one(heat, minimum, refuse)
    assert (row.status, row.reason) == ("not applicable", "energy='heat': this method wants phases")


def test_points_that_are_not_finite_are_data(heat, minimum):
    def diverge(run, w0):
        run.visit(w0)
        return np.full_like(w0, np.inf)

    comparison = compare(heat, [Scripted(diverge)], max_seconds=1.0, repeats=1, warmup_seconds=0.0, reference=minimum)
    assert comparison.rows[0].energy is None
    assert "NaN" not in comparison.to_json()


def test_deadline(heat, minimum):
    def idle(run, w0):
        while True:
            run.visit(w0)

    row = one(heat, minimum, idle, max_seconds=0.05)
    assert row.status == "deadline"
    assert row.seconds >= 0.05


def test_stop_run_is_not_swallowed(heat, minimum):
    def patient(run, w0):
        def forever():
            while True:
                run.visit(w0)

        with pytest.raises(StopRun):
            forever()
        return w0

    assert one(heat, minimum, patient, max_seconds=0.02).status == "deadline"


def test_same_starts_and_rows_for_each_seed(heat, minimum):
    comparison = compare(heat, ["scipy-lbfgsb", "newton-superlu"], seeds=2, reference=minimum, repeats=1)
    assert [(row.method, row.seed) for row in comparison.rows] == [
        ("scipy-lbfgsb", 0),
        ("scipy-lbfgsb", 1),
        ("newton-superlu", 0),
        ("newton-superlu", 1),
    ]
    starts = {row.seed: {r.energy_start for r in comparison.rows if r.seed == row.seed} for row in comparison.rows}
    assert all(len(energies) == 1 for energies in starts.values())
    assert starts[0] != starts[1]


def test_own_methods_and_peers_together(heat):
    comparison = compare(heat, ["newton-cg", "adam", "scipy-newton-cg"], max_seconds=5.0, repeats=2)
    best, adam, scipy = comparison.rows
    assert best.own
    assert not scipy.own
    assert best.status == scipy.status == "reached"
    assert best.counts["hvp"] > 0
    times = list(best.times.values())
    assert times == sorted(times)
    assert adam.steps > best.steps
    assert comparison.reference_source.startswith("lowest energy")
    assert comparison.ranking()
    assert comparison.pass_seconds > 0
    assert best.command == (
        "evenflow.compare(energy, ['newton-cg'], seeds=[0], targets=(0.0001, 1e-06, 1e-08), max_seconds=5)"
    )


def test_command_template(heat, minimum):
    comparison = compare(
        heat,
        ["newton-superlu"],
        seeds=[3],
        reference=minimum,
        repeats=1,
        command="evenflow compare heat --graph lattice:8x8 --methods {method} --seeds {seeds}",
    )
    expected = "evenflow compare heat --graph lattice:8x8 --methods newton-superlu --seeds 4"
    assert comparison.command(comparison.rows[0]) == expected


def test_reference_of_the_energy_where_attained():
    energy = Kuramoto(ef.gallery.lattice(4, 4))
    near = 0.1 * np.random.default_rng(0).standard_normal(16)
    comparison = compare(energy, ["newton-cg"], w0=near, max_seconds=5.0, repeats=1)
    assert comparison.reference == energy.reference()
    assert "attained" in comparison.reference_source
    assert comparison.rows[0].status == "reached"
    assert comparison.scale > 0


def test_a_beaten_reference_is_replaced_and_told(heat, minimum):
    comparison = compare(heat, ["newton-superlu"], reference=minimum * 1.01, max_seconds=5.0, repeats=1)
    assert "beaten" in comparison.reference_source
    assert comparison.reference == pytest.approx(minimum, rel=1e-6)
    assert comparison.rows[0].status == "reached"


def test_a_reference_beaten_again_and_again_ends_in_rows():
    """Runs that stopped at a reference that is too high are made again a few times, and then shown as they are."""
    washboard = ef.Energy(
        ef.gallery.lattice(3, 3), pair=lambda d: d**2, node=lambda w: 1.0 - ef.cos(w) - 0.05 * w, initial=np.zeros(9)
    )
    depth = 0

    def deeper(run, w0):
        nonlocal depth
        depth += 1
        run.visit(w0 + 2.0 * np.pi * depth)
        return w0 + 2.0 * np.pi * depth

    class Other(Scripted):
        name: ClassVar[str] = "other"

    contestants = [Scripted(deeper), Other(deeper)]  # each goes below what the other has reached
    comparison = compare(washboard, contestants, max_seconds=2.0, repeats=1, warmup_seconds=0.0)
    assert [row.method for row in comparison.rows] == ["scripted", "other"]
    assert min(row.energy for row in comparison.rows) == comparison.reference
    assert depth > 2


def test_skips_with_a_reason():
    energy = ef.TorchEnergy(lambda w: (w**2).sum(), shape=(5,))
    rows = compare(energy, ["newton-superlu", "large-steps"], reference=0.0, repeats=1).rows
    assert [row.status for row in rows] == ["not applicable", "not applicable"]
    assert "sparse Hessian" in rows[0].reason
    assert "graph" in rows[1].reason


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"methods": ["no-such"]}, "neither"),
        ({"methods": []}, "at least one"),
        ({"methods": ["newton-cg", "newton-cg"]}, "only once"),
        ({"targets": (1e-4, -1.0)}, "positive"),
        ({"seeds": []}, "at least one"),
        ({"max_seconds": 0.0}, "positive"),
        ({"repeats": 0}, "at least 1"),
        ({"clock": "sun"}, "'wall' or 'cpu'"),
        ({"w0": np.zeros(3)}, "shape"),
        ({"w0": np.zeros(64), "matched_starts": False}, "leave one"),
        ({"w0": np.full(64, np.inf)}, "finite"),
    ],
)
def test_arguments(heat, changes, word):
    options = {"methods": ["newton-cg"], **changes}
    with pytest.raises(InputError, match=word):
        compare(heat, **options)


def test_registry_is_complete():
    for name, peer in PEERS.items():
        assert name == peer.name
        assert peer.description
        assert peer.tuning
        assert peer.version.split()[1][0].isdigit()


def test_brief_runs_are_repeated_more_often(heat, minimum):
    def action(run, w0):
        run.visit(w0)
        return w0

    assert one(heat, minimum, action).repeats == 1
    assert 2 < one(heat, minimum, action, repeats=2).repeats <= 20

    def slow(run, w0):
        time.sleep(0.03)
        return w0

    assert one(heat, minimum, slow, repeats=2).repeats == 2


def test_passes_are_timed_between_the_runs(heat, minimum):
    class Clock:
        now, step = 0.0, 1e-3

        def __call__(self):
            self.now += self.step
            return self.now

    clock = Clock()

    def slow_down(run, w0):
        clock.step = 3e-3  # from the first run on everything takes thrice the time
        return w0

    harness = Harness(
        heat, {0: heat.initial(np.random.default_rng(0))}, (1e-8,), max_seconds=60.0, tune_seconds=1.0, clock=clock,
        tell=lambda text: None,
    )  # fmt: skip
    entry = Entry(Scripted(slow_down))
    harness.find_reference(minimum)
    harness.measure([entry], repeats=5)
    assert len(entry.runs[0]) >= 5
    assert harness.pass_seconds() == pytest.approx(3e-3)
