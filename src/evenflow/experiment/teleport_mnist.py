"""MNIST classifier with five optimizers, with and without teleports after the first epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenflow.experiment.base import Outcome, Setting, Table, mean_spread
from evenflow.experiment.mnist_training import OPTIMIZERS, Curves, Digits, Recipe, load_digits, train
from evenflow.experiment.threads import single_thread
from evenflow.teleport import AtEpochs
from evenflow.teleport.plots import plot_curves

__all__ = ["run"]

BATCHES = 4
ARMS: dict[str, tuple[str | None, float]] = {
    "plain": (None, 1.0),
    "gl": ("gl", 1.0),
    "scale": ("scale", 1.0),
    "plain, 4 x lr": (None, 4.0),
}
PAPER = {
    "SGD": "training loss falls much faster, validation gain limited",
    "AdaGrad": "training loss falls faster, validation worse",
}
NOTE = (
    "Teleports right after the first epoch on 4 mini-batches of 20, one by one, 10 inner steps each, as in the paper. "
    "The paper's widths and learning rates are lost: widths and the rates of SGD and AdaGrad are ours, the others "
    "those of the authors' later code. Released code for this experiment does not exist."
)


def run(setting: Setting) -> Outcome:
    """Repeat figure 4 of the paper."""
    epochs, width = (4, 128) if setting.quick else (80, 512)
    digits = load_digits(4000, 2000) if setting.quick else load_digits(48_000, 12_000)
    outcome = Outcome()
    schedule = AtEpochs(frozenset({1}), batches=BATCHES)
    with single_thread():
        for optimizer in OPTIMIZERS:
            found: dict[str, list[Curves]] = {}
            for label, (group, factor) in ARMS.items():
                setting.progress(f"{optimizer}, {label}")
                recipe = Recipe(optimizer, group, schedule, epochs, width, factor)
                found[label] = [train(digits, recipe, seed) for seed in range(setting.seeds)]
            _record(outcome, optimizer, found, digits, epochs)
    panels = {
        name: {label: outcome.arrays[f"{optimizer}/{label}/{kind}"] for label in ARMS}
        for optimizer in OPTIMIZERS
        for kind, name in (("train_loss", f"{optimizer}, training"), ("valid_loss", f"{optimizer}, validation"))
    }
    for optimizer in OPTIMIZERS:
        own = {name: curves for name, curves in panels.items() if name.startswith(f"{optimizer},")}
        outcome.pictures[f"mnist-{optimizer.lower()}"] = lambda own=own: plot_curves(  # type: ignore[misc]
            own, xlabel="epoch", teleports=[1]
        )
    return outcome


def _record(outcome: Outcome, optimizer: str, found: dict[str, list[Curves]], digits: Digits, epochs: int) -> None:
    rows: list[tuple[Any, ...]] = []
    for label, runs in found.items():
        for kind in ("train_loss", "valid_loss", "valid_accuracy", "seconds"):
            outcome.arrays[f"{optimizer}/{label}/{kind}"] = np.array([getattr(c, kind) for c in runs])
        reports = [r for c in runs for r in c.reports]
        done = [r for r in reports if r.accepted]
        rows.append(
            (
                label,
                mean_spread([c.train_loss[2] for c in runs]),
                mean_spread([c.train_loss[-1] for c in runs]),
                mean_spread([c.valid_loss[-1] for c in runs]),
                mean_spread([100 * c.valid_accuracy[-1] for c in runs]),
                f"{len(done)} of {len(reports)}" if reports else None,
                float(np.median([r.gain for r in done])) if done else None,
                max((r.loss_change for r in done), default=None),
                mean_spread([c.seconds[-1] for c in runs]),
            )
        )
    columns = (
        "run",
        "training loss, epoch 2",
        f"training loss, epoch {epochs}",
        f"validation loss, epoch {epochs}",
        "validation accuracy, %",
        "accepted",
        "median gain of |grad|^2",
        "largest loss change",
        "seconds",
    )
    note = f"{NOTE} The paper: {PAPER[optimizer]}." if optimizer in PAPER else NOTE
    size = f"{len(digits.x)} training and {len(digits.x_valid)} validation images"
    outcome.tables.append(Table(f"MNIST, {optimizer}, {size}", columns, rows, note))
    outcome.findings.append(_effect(optimizer, found, epochs))
    outcome.numbers[optimizer] = {
        label: {
            "train_loss": np.mean([c.train_loss for c in runs], axis=0).tolist(),
            "valid_loss": np.mean([c.valid_loss for c in runs], axis=0).tolist(),
            "valid_accuracy": np.mean([c.valid_accuracy for c in runs], axis=0).tolist(),
            "accepted": sum(r.accepted for c in runs for r in c.reports),
            "teleports": sum(len(c.reports) for c in runs),
            "teleport_seconds": sum(r.seconds for c in runs for r in c.reports),
        }
        for label, runs in found.items()
    }


def _effect(optimizer: str, found: dict[str, list[Curves]], epochs: int) -> str:
    """Paired differences to the plain run of the same seed, in standard errors."""
    parts = []
    for label, runs in found.items():
        if label == "plain":
            continue
        differences = []
        for kind, epoch in (("train_loss", 2), ("train_loss", -1), ("valid_loss", -1)):
            pairs = zip(runs, found["plain"], strict=True)
            gap = np.array([getattr(a, kind)[epoch] / getattr(b, kind)[epoch] - 1.0 for a, b in pairs])
            error = float(gap.std(ddof=1) / len(gap) ** 0.5) if len(gap) > 1 else float("nan")
            differences.append(f"{100 * gap.mean():+.1f} ± {100 * error:.1f} %")
        parts.append(
            f"{label}: training loss {differences[0]} at epoch 2 and {differences[1]} at epoch {epochs}, validation "
            f"loss {differences[2]}"
        )
    return f"{optimizer}, against plain with the same seed (mean ± standard error): " + "; ".join(parts)
