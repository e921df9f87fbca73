"""MNIST with SGD: which epoch, which interval and how many batches to teleport on."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenflow.experiment.base import Outcome, Setting, Table, mean_spread
from evenflow.experiment.mnist_training import Curves, Digits, Recipe, load_digits, train
from evenflow.experiment.threads import single_thread
from evenflow.teleport import AtEpochs
from evenflow.teleport.plots import plot_curves

__all__ = ["run"]

REPORTED = {
    "epoch": "The paper: before training is worst; after epoch 0 earlier is better.",
    "interval": "The paper: with equally many teleports, short intervals are better.",
    "batches": "The paper: more batches lower the training loss faster and overfit more.",
}
NOTE = "The paper's legends are lost; the values are ours."


def arms(quick: bool) -> dict[str, dict[str, AtEpochs]]:
    """The schedules of the three panels of figure 5.

    Examples
    --------
    >>> list(arms(quick=True)["epoch"])
    ['epoch 0', 'epoch 1', 'epoch 2', 'epoch 4']
    """
    epochs = (0, 1, 2, 4) if quick else (0, 1, 2, 4, 8, 16)
    intervals, times = ((1, 2), 3) if quick else ((1, 2, 4, 8, 16), 5)
    batches = (1, 4, 16) if quick else (1, 2, 4, 8, 16)
    return {
        "epoch": {f"epoch {e}": AtEpochs(frozenset({e}), batches=4) for e in epochs},
        "interval": {
            f"every {k} from epoch 1": AtEpochs(frozenset(1 + k * i for i in range(times)), batches=4)
            for k in intervals
        },
        "batches": {f"{b} batches": AtEpochs(frozenset({1}), batches=b) for b in batches},
    }


def run(setting: Setting) -> Outcome:
    """Repeat figure 5 of the paper."""
    epochs, width = (6, 128) if setting.quick else (80, 512)
    digits = load_digits(3000, 1000) if setting.quick else load_digits(48_000, 12_000)
    outcome = Outcome()
    with single_thread():
        plain = _train(digits, Recipe("SGD", None, None, epochs, width), setting, "plain")
        for panel, schedules in arms(setting.quick).items():
            found = {"plain": plain}
            for label, schedule in schedules.items():
                found[label] = _train(digits, Recipe("SGD", "gl", schedule, epochs, width), setting, label)
            _record(outcome, panel, found)
    return outcome


def _train(digits: Digits, recipe: Recipe, setting: Setting, label: str) -> list[Curves]:
    setting.progress(label)
    return [train(digits, recipe, seed) for seed in range(setting.seeds)]


def _record(outcome: Outcome, panel: str, found: dict[str, list[Curves]]) -> None:
    rows: list[tuple[Any, ...]] = []
    curves: dict[str, Any] = {}
    for label, runs in found.items():
        curves[label] = np.array([c.train_loss for c in runs])
        outcome.arrays[f"{panel}/{label}/train_loss"] = curves[label]
        outcome.arrays[f"{panel}/{label}/valid_loss"] = np.array([c.valid_loss for c in runs])
        reports = [r for c in runs for r in c.reports]
        area = curves[label].mean(axis=1)
        rows.append(
            (
                label,
                mean_spread(area),
                mean_spread(curves[label][:, -1]),
                mean_spread([c.valid_loss[-1] for c in runs]),
                mean_spread([100 * c.valid_accuracy[-1] for c in runs]),
                f"{sum(r.accepted for r in reports)} of {len(reports)}" if reports else None,
                mean_spread([c.seconds[-1] for c in runs]),
            )
        )
    columns = (
        "schedule",
        "training loss, mean over epochs",
        "final training loss",
        "final validation loss",
        "validation accuracy, %",
        "accepted",
        "seconds",
    )
    outcome.tables.append(Table(f"SGD, {panel} of the teleports", columns, rows, f"{REPORTED[panel]} {NOTE}"))
    order = sorted((row for row in rows if row[0] != "plain"), key=lambda row: row[1][0])
    outcome.findings.append(
        f"{panel}: mean training loss over the epochs, best first: "
        + ", ".join(f"{row[0]} ({row[1][0]:.4f})" for row in order)
        + f"; plain {rows[0][1][0]:.4f}"
    )
    outcome.numbers[panel] = {row[0]: {"area": row[1][0], "final": row[2][0], "valid": row[3][0]} for row in rows}
    outcome.pictures[f"schedule-{panel}"] = lambda: plot_curves({f"teleports: {panel}": curves}, xlabel="epoch")
