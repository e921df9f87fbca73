"""minimize, minimize_many and the loop: budgets, callbacks, interrupts, best point, wrong input."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import evenflow as ef
from evenflow.interrupt import Interrupt
from evenflow.minimizer import LBFGS, Adam, NewtonCG
from evenflow.solve import Snapshot


@pytest.fixture(scope="module")
def heat() -> ef.HeatDiffusion:
    return ef.HeatDiffusion(ef.gallery.lattice(8, 8), hot=[0, 1], cold=[62, 63])


@pytest.fixture(scope="module")
def lowest(heat: ef.HeatDiffusion) -> float:
    return ef.minimize(heat, method="newton-cg", tolerance=1e-14).energy


def test_default_leaves_a_gap_below_1e_10(heat: ef.HeatDiffusion, lowest: float) -> None:
    result = ef.minimize(heat)
    assert result.status is ef.Status.CONVERGED
    assert result.success
    assert abs(result.energy - lowest) <= 1e-10 * abs(lowest)


def test_history_clock_and_counts_are_consistent(heat: ef.HeatDiffusion) -> None:
    result = ef.minimize(heat, method="gcn", max_iterations=60)
    rows = result.history.arrays()
    assert len(rows["energy"]) == sum(stage.steps for stage in result.stages) + len(result.stages)
    assert (np.diff(rows["seconds"]) >= 0).all()
    assert set(rows["stage"]) <= {0, 1}
    assert result.counts.gradient >= 60
    assert result.counts.forward > 0
    assert 0 <= result.setup_seconds <= result.seconds


def test_same_seed_same_result(heat: ef.HeatDiffusion) -> None:
    first, second = (ef.minimize(heat, method="gcn", seed=7, max_iterations=50) for _ in range(2))
    assert first.w.tobytes() == second.w.tobytes()
    assert ef.minimize(heat, method="gcn", seed=8, max_iterations=50).energy != first.energy


def test_best_point_is_returned_not_the_last(heat: ef.HeatDiffusion) -> None:
    result = ef.minimize(heat, method="adam", lr=3.0, max_iterations=40)
    assert result.energy == pytest.approx(min(result.history.energy), rel=1e-12)
    assert result.energy < result.history.energy[-1]


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ({"max_iterations": 5}, ef.Status.MAX_ITERATIONS),
        ({"max_evaluations": 5}, ef.Status.MAX_EVALUATIONS),
        ({"max_seconds": 0.0}, ef.Status.DEADLINE),
        ({"target": 1e12}, ef.Status.TARGET),
    ],
)
def test_budgets(heat: ef.HeatDiffusion, limit: dict[str, float], status: ef.Status) -> None:
    result = ef.minimize(heat, method="adam", **limit)
    assert result.status is status
    assert len(result.history) <= 6
    assert status.value.split(";")[0] in result.message


def test_gtol_stops_at_the_gradient_norm(heat: ef.HeatDiffusion) -> None:
    result = ef.minimize(heat, method="lbfgs", gtol=1e-3)
    assert result.status is ef.Status.CONVERGED
    assert result.gradient_norm <= 1e-3


@pytest.mark.parametrize("method", ["auto", "newton-cg", "lbfgs"])
def test_an_unreachable_gtol_ends_at_round_off(heat: ef.HeatDiffusion, method: str) -> None:
    result = ef.minimize(heat, method=method, gtol=0.0, max_iterations=12_000)
    assert not result.status.failed
    assert result.gradient_norm <= 1e-6


def test_callback_sees_every_step_and_may_stop(heat: ef.HeatDiffusion) -> None:
    seen: list[Snapshot] = []

    def callback(snapshot: Snapshot) -> bool:
        seen.append(snapshot)
        assert heat.value(snapshot.w) == pytest.approx(snapshot.energy, rel=1e-12)
        return snapshot.step == 4

    result = ef.minimize(heat, method="adam", callback=callback)
    assert result.status is ef.Status.STOPPED_BY_CALLBACK
    assert [snapshot.step for snapshot in seen] == [1, 2, 3, 4]

    def stop(snapshot: Snapshot) -> None:
        raise StopIteration

    assert ef.minimize(heat, method="adam", callback=stop).history.arrays()["energy"].size == 2


def test_a_callback_may_stop_at_the_last_step_of_a_stage(heat: ef.HeatDiffusion) -> None:
    method = ef.TwoStage(ef.GCN(hidden=4), switch=ef.Steps(5))
    result = ef.minimize(heat, method=method, callback=lambda snapshot: snapshot.step == 5)
    assert result.status is ef.Status.STOPPED_BY_CALLBACK
    assert len(result.stages) == 1


def test_the_clock_stops_while_a_callback_runs(heat: ef.HeatDiffusion) -> None:
    result = ef.minimize(heat, method="adam", max_iterations=3, callback=lambda _: time.sleep(0.3))
    assert result.seconds < 0.9


@pytest.fixture
def terminal() -> Iterator[None]:
    """Ctrl-C as it is in a terminal; in the background of a shell it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
def test_interrupt_returns_the_best_point(heat: ef.HeatDiffusion) -> None:
    def interrupt(snapshot: Snapshot) -> None:
        if snapshot.step == 10:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = ef.minimize(heat, method="adam", callback=interrupt)
    assert result.status is ef.Status.INTERRUPTED
    assert len(result.history) in (11, 12)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_sum_of_squares_that_is_down_to_nothing_is_no_failure() -> None:
    graph = ef.gallery.lattice(30, 30, periodic=True)
    energy = ef.HopfKuramoto(graph, s1=1.0, s2=0.0, loss="drift")
    result = ef.minimize(energy, 0.1 * np.random.default_rng(0).normal(size=900))
    assert result.energy <= 1e-24
    assert not result.status.failed


class Interrupting(ef.TorchEnergy):
    """Presses Ctrl-C at its fifth evaluation."""

    calls = 0

    def value_and_gradient(self, w: np.ndarray, out: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        self.calls += 1
        if self.calls == 5:
            signal.raise_signal(signal.SIGINT)
        return super().value_and_gradient(w, out)


@pytest.fixture
def interrupting(terminal: None) -> Interrupting:
    return Interrupting(lambda w: (w**4).sum(), shape=(3,), initial=np.ones(3))


def test_interrupt_of_a_solve_that_has_taken_a_while(
    interrupting: Interrupting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenflow.solve._BRIEF", 0.0)
    result = ef.minimize(interrupting, method="sgd", progress=False)
    assert result.status is ef.Status.INTERRUPTED
    assert result.counts.gradient == 5


def test_interrupt_ends_a_loop_of_brief_solves(interrupting: Interrupting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenflow.solve._BRIEF", math.inf)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        ef.minimize(interrupting, method="sgd", progress=False)
    assert signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_does_not_wait_for_the_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.listen()
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_works_outside_the_main_thread(heat: ef.HeatDiffusion) -> None:
    results: list[ef.Result] = []
    worker = threading.Thread(target=lambda: results.append(ef.minimize(heat)))
    worker.start()
    worker.join()
    assert results[0].status is ef.Status.CONVERGED


def test_torch_in_torch_out(heat: ef.HeatDiffusion) -> None:
    start = torch.full(heat.shape, 5.0, dtype=torch.float32)
    result = ef.minimize(heat, start)
    assert isinstance(result.w, torch.Tensor)
    assert result.w.dtype == torch.float32
    assert isinstance(ef.minimize(heat, start.numpy()).w, np.ndarray)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "gcnn"}, "method='gcnn' is unknown; did you mean 'gcn'"),
        ({"w0": np.zeros(3)}, r"w0 has shape \(3,\), expected \(64,\)"),
        ({"w0": np.full(64, np.nan)}, r"w0\[0\] is nan"),
        ({"tolerance": 0.0}, "tolerance=0.0"),
        ({"max_seconds": -1}, "max_seconds=-1"),
        ({"every": 0}, "every=0"),
        ({"method": "adam", "learning_rate": 1.0}, "learning_rate"),
    ],
)
def test_wrong_input_names_argument_and_value(heat: ef.HeatDiffusion, change: dict, message: str) -> None:
    with pytest.raises(ef.InputError, match=message):
        ef.minimize(heat, **change)


def test_a_function_is_not_an_energy() -> None:
    with pytest.raises(ef.InputError, match="TorchEnergy"):
        ef.minimize(lambda w: w)  # type: ignore[arg-type]


def test_non_finite_start_is_an_input_error() -> None:
    energy = ef.TorchEnergy(lambda w: torch.log(w).sum(), shape=(3,))
    with pytest.raises(ef.InputError, match="w0: the energy there is"):
        ef.minimize(energy, np.zeros(3), method="adam")


def test_divergence_is_a_status(heat: ef.HeatDiffusion) -> None:
    result = ef.minimize(heat, method="sgd", lr=10.0)
    assert result.status is ef.Status.NOT_FINITE
    assert not result.success
    assert np.isfinite(result.w).all()


def test_minimize_many_sorts_and_reproduces() -> None:
    energy = ef.Kuramoto(ef.gallery.ring(24))
    results = ef.minimize_many(energy, 6, method="lbfgs", seed=3)
    energies = [result.energy for result in results]
    assert energies == sorted(energies)
    assert {result.seed for result in results} == set(range(3, 9))
    parallel = ef.minimize_many(energy, 6, method="lbfgs", seed=3, n_jobs=2)
    assert [r.w.tobytes() for r in parallel] == [r.w.tobytes() for r in results]
    with pytest.raises(ef.InputError, match="starts=0"):
        ef.minimize_many(energy, 0)


def test_one_method_object_serves_many_solves_at_once() -> None:
    energy = ef.HeatDiffusion.from_graph(ef.gallery.lattice(6, 6))
    method = ef.Direct(ef.Adam(lr=0.5), ef.Fluctuation(1e-6, 10))
    alone = ef.minimize_many(energy, 6, method=method)
    together = ef.minimize_many(energy, 6, method=method, n_jobs=3)
    assert [r.w.tobytes() for r in together] == [r.w.tobytes() for r in alone]
    assert not hasattr(method.stop, "_window")


def test_two_stage_by_hand(heat: ef.HeatDiffusion) -> None:
    method = ef.TwoStage(ef.GCN(hidden=8, layers=1, residual=True), optimizer="adam", lr=0.05, switch=ef.Steps(30))
    result = ef.minimize(heat, method=method)
    assert result.stages[0].steps == 30
    assert [stage.reparametrization for stage in result.stages] == ["gcn", "identity"]


def test_matched_start_begins_where_asked(heat: ef.HeatDiffusion, rng: np.random.Generator) -> None:
    start = heat.initial(rng)
    method = ef.TwoStage(ef.GCN(hidden=16), switch=ef.Steps(3))
    result = ef.minimize(heat, start, method=method, max_iterations=3)
    assert result.stages[0].encode_error <= 1e-2 * np.ptp(start)
    assert result.history.energy[0] == pytest.approx(heat.value(start), rel=0.2)


def test_result_round_trip(heat: ef.HeatDiffusion, tmp_path) -> None:
    result = ef.minimize(heat)
    result.save(tmp_path / "run.npz")
    found = ef.Result.load(tmp_path / "run.npz")
    assert found.w.tobytes() == result.w.tobytes()
    assert found.as_dict() == result.as_dict()
    assert found.problem is not None
    assert found.problem.value(found.w) == result.energy
    assert "status:        CONVERGED" in repr(found)


@pytest.mark.parametrize("minimizer", [LBFGS(memory=4), NewtonCG(), Adam(lr=0.5)])
def test_a_bare_minimizer_is_a_method(minimizer) -> None:
    energy = ef.HeatDiffusion(ef.gallery.lattice(6, 6), hot=[0], cold=[35])
    result = ef.minimize(energy, method=minimizer)
    assert not result.status.failed
    assert result.method == minimizer.name
    assert result.energy == pytest.approx(ef.minimize(energy).energy, rel=1e-5)
    with pytest.raises(ef.InputError, match="options"):
        ef.minimize(energy, method=minimizer, lr=0.1)


@pytest.mark.parametrize("method", [3, ["lbfgs"], LBFGS])
def test_what_is_no_method_is_refused(method) -> None:
    energy = ef.HeatDiffusion(ef.gallery.lattice(6, 6), hot=[0], cold=[35])
    with pytest.raises(ef.InputError, match="method="):
        ef.minimize(energy, method=method)


def test_report_is_computed_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[np.ndarray] = []
    report = ef.HeatDiffusion.report
    monkeypatch.setattr(ef.HeatDiffusion, "report", lambda self, w: asked.append(w) or report(self, w))
    energy = ef.HeatDiffusion(ef.gallery.lattice(4, 4), hot=[0], cold=[15])
    result = ef.minimize(energy)
    assert not asked
    assert result.report["temperature_max"] == result.w.max()
    assert dict(result.report) == report(energy, result.w)
    assert len(asked) == 1
