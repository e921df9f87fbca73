"""The teleport experiments: reference values, and small runs of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from evenflow.experiment import (
    Setting,
    mnist_training,
    teleport_functions,
    teleport_mnist,
    teleport_regression,
    teleport_runtime,
    teleport_schedule,
    teleport_sweep,
)
from evenflow.experiment.mnist_training import Digits, Recipe
from evenflow.experiment.threads import single_thread
from evenflow.teleport import AtEpochs, Booth


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with single_thread():
        yield


@pytest.fixture
def digits() -> Digits:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(120, 784, generator=generator)
    y = (x[:, :10] + 0.1 * torch.rand(120, 10, generator=generator)).argmax(1)
    return Digits(x[:80], y[:80], x[80:], y[80:])


@pytest.mark.parametrize("optimizer", ["GD", "AdaGrad"])
def test_published_runs_of_the_regression(optimizer: str) -> None:
    """The draws of the released code: its plain means over five seeds come out to all printed digits."""
    losses = np.mean([teleport_regression.train(seed, optimizer).losses for seed in range(5)], axis=0)
    reference = teleport_regression.PLAIN_REFERENCE[optimizer]
    assert losses[list(teleport_regression.SHOWN)] == pytest.approx(reference, rel=1e-3)


@pytest.mark.parametrize("group", ["gl", "gl_out", "scale", "levelset"])
def test_one_teleport_halves_the_loss_of_the_regression_at_step_50(group: str) -> None:
    plain, moved = [], []
    for seed in range(5):
        plain.append(teleport_regression.train(seed, "GD", steps=51).losses[50])
        trial = teleport_regression.train(seed, "GD", steps=51, schedule=[5], group=group)
        moved.append(trial.losses[50])
        (report,) = trial.reports
        assert report.accepted
        assert report.loss_change <= 1e-6
        assert report.grad_sq_after > report.grad_sq_before
    assert np.mean(moved) <= 0.5 * np.mean(plain)


def test_regression_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teleport_regression, "OPTIMIZERS", dict(list(teleport_regression.OPTIMIZERS.items())[1:]))
    lines: list[str] = []
    outcome = teleport_regression.run(Setting(seeds=1, quick=True, progress=lines.append))
    assert len(outcome.tables) == 3
    assert "tuned learning rate" in outcome.findings[0]
    assert any("decay rate" in line for line in lines)
    assert outcome.numbers["AdaGrad"]["worst_loss_change"]["gl"] <= 1e-6
    assert all(draw().axes for draw in outcome.pictures.values())


def test_functions_outcome() -> None:
    outcome = teleport_functions.run(Setting(seeds=2, quick=True))
    numbers = outcome.numbers
    assert numbers["booth"]["plain"] == pytest.approx(2.2025, rel=1e-4)
    assert numbers["booth"]["teleported"] == pytest.approx(9.45e-4, rel=1e-3)
    assert numbers["rosenbrock"]["plain"] == pytest.approx(0.11134, rel=1e-4)
    assert numbers["rosenbrock"]["plain_point"] == pytest.approx([0.66671, 0.44290], abs=1e-5)
    assert numbers["rosenbrock"]["median"] < 1e-7
    assert numbers["rosenbrock"]["diverged"] == 0
    assert numbers["rosenbrock"]["worst_loss_change"] <= 1e-9
    assert all(row[4] < 1e-9 for row in numbers["quadratics"])
    assert all(draw().axes for draw in outcome.pictures.values())


def test_divergence_ends_a_descent() -> None:
    with np.errstate(all="ignore"):
        found = teleport_functions.descend(Booth(), (5.0, -5.0), 2000, 10.0, ())
    assert len(found.losses) < 1000
    assert not np.isfinite(found.losses[-1])


def test_sweep_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teleport_sweep, "NORMALISED_STEPS", (0.1,))
    monkeypatch.setattr(teleport_sweep, "PAPER_STEPS", {"GD": (1e-7,)})
    monkeypatch.setattr(teleport_sweep, "OPTIMIZERS", {"GD": None})
    monkeypatch.setattr(teleport_sweep, "QUICK_INNER", (2, 8))
    monkeypatch.setattr(teleport_sweep, "TOLERANCE", 0.5)
    outcome = teleport_sweep.run(Setting(seeds=1, quick=True))
    assert np.shape(outcome.numbers["GD/normalised"]["speedup_steps"]) == (1, 2)
    assert outcome.numbers["GD/normalised"]["not_converged"] == 0
    assert all(draw().axes for draw in outcome.pictures.values())


def test_training_on_digits_is_reproducible_and_teleports_on_schedule(digits: Digits) -> None:
    recipe = Recipe("momentum", "gl", AtEpochs(frozenset({1}), batches=4), epochs=2, width=24)
    first, second = (mnist_training.train(digits, recipe, seed=3) for _ in range(2))
    assert first.train_loss == second.train_loss
    assert len(first.train_loss) == 3
    assert len(first.reports) == 4
    assert all(r.loss_change <= 1e-5 for r in first.reports if r.accepted)
    assert any(r.accepted for r in first.reports)
    plain = mnist_training.train(digits, Recipe("momentum", None, None, epochs=2, width=24), seed=3)
    assert plain.train_loss[:2] == first.train_loss[:2]
    assert plain.train_loss[2] != first.train_loss[2]


def test_mnist_and_schedule_outcomes(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (teleport_mnist, teleport_schedule):
        monkeypatch.setattr(module, "load_digits", lambda *_: digits)
    monkeypatch.setattr(teleport_mnist, "OPTIMIZERS", {"SGD": None})
    outcome = teleport_mnist.run(Setting(seeds=2, quick=True))
    assert "against plain with the same seed" in outcome.findings[0]
    assert outcome.arrays["SGD/gl/train_loss"].shape == (2, 5)
    assert all(draw().axes for draw in outcome.pictures.values())
    few = {"epoch": {"epoch 1": AtEpochs(frozenset({1}))}, "interval": {"every 2": AtEpochs(frozenset({1, 3}))}}
    monkeypatch.setattr(teleport_schedule, "arms", lambda quick: few)
    outcome = teleport_schedule.run(Setting(seeds=1, quick=True))
    assert set(outcome.numbers) == {"epoch", "interval"}
    assert outcome.numbers["epoch"]["plain"] == outcome.numbers["interval"]["plain"]
    assert all(draw().axes for draw in outcome.pictures.values())


def test_schedules_of_the_full_form_have_equally_many_teleports() -> None:
    full = teleport_schedule.arms(quick=False)
    assert [len(panel) for panel in full.values()] == [6, 5, 5]
    assert {len(schedule.epochs) for schedule in full["interval"].values()} == {5}


def test_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, teleports, steps = teleport_runtime.measure(8, 3, 8, epochs=11, seed=0)
    assert plain > 0.0
    assert teleports > 0.0
    assert steps == 20

    def fake(width: int, depth: int, batch: int, *, epochs: int, seed: int) -> tuple[float, float, int]:
        return width**2 * depth * 1e-6, width**3 * depth * batch**0.5 * 1e-6, 10

    monkeypatch.setattr(teleport_runtime, "measure", fake)
    outcome = teleport_runtime.run(Setting(seeds=2, quick=True))
    assert outcome.numbers["width"]["exponents"]["teleports"] == pytest.approx(3.5)
    assert outcome.numbers["depth"]["exponents"]["plain"] == pytest.approx(1.0)
    assert outcome.numbers["batch"]["exponents"]["teleports"] == pytest.approx(0.5)
    assert all(draw().axes for draw in outcome.pictures.values())


def test_real_digits(data: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFLOW_DATA", str(data))
    found = mnist_training.load_digits(100, 50)
    assert found.x.shape == (100, 784)
    assert float(found.x.max()) == 1.0
    assert found.y_valid.shape == (50,)
