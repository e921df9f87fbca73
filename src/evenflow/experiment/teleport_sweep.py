"""Speed-up of the regression over the grid of inner step lengths and numbers of inner steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.experiment.base import Outcome, Setting, Table, mean_spread
from evenflow.experiment.teleport_regression import OPTIMIZERS, Trial, train
from evenflow.experiment.threads import single_thread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["run"]

FloatArray = npt.NDArray[np.float64]

TOLERANCE, CAP, TELEPORT_AT = 1e-3, 2000, 5
# The paper's grids are lost; these span the learning rates that it and its code use.
PAPER_STEPS = {"GD": (1e-9, 1e-8, 1e-7, 1e-6), "AdaGrad": (1e-7, 1e-6, 1e-5, 1e-4)}
NORMALISED_STEPS = (0.02, 0.05, 0.1, 0.2)
INNER = (1, 2, 4, 8, 16, 32)
QUICK_INNER = (1, 8, 32)


def run(setting: Setting) -> Outcome:
    """Repeat figure 8 of the paper: time to convergence, plain over teleported, teleport included."""
    outcome = Outcome()
    with single_thread():
        train(0, "GD", schedule=[TELEPORT_AT], group="gl", steps=10)
        for optimizer in OPTIMIZERS:
            plain = [train(seed, optimizer, steps=CAP, until=TOLERANCE) for seed in range(setting.seeds)]
            for form in ("normalised", "plain step"):
                _grid(outcome, setting, optimizer, form, plain)
    outcome.findings.append(
        "Every teleport here keeps the loss and caps the gain, so no cell diverges; in the paper large inner learning "
        "rates do"
    )
    return outcome


def _grid(outcome: Outcome, setting: Setting, optimizer: str, form: str, plain: list[Trial]) -> None:
    steps = NORMALISED_STEPS if form == "normalised" else PAPER_STEPS[optimizer]
    inner = QUICK_INNER if setting.quick else INNER
    in_steps, in_time, final = np.full((3, len(steps), len(inner)), math.nan)
    failed = 0
    for i, step in enumerate(steps):
        for j, count in enumerate(inner):
            setting.progress(f"{optimizer}, {form} {step:g}, {count} inner steps")
            ratios: list[tuple[float, float, float]] = []
            for seed, reference in enumerate(plain):
                found = train(
                    seed,
                    optimizer,
                    steps=CAP,
                    until=TOLERANCE,
                    schedule=[TELEPORT_AT],
                    group="gl",
                    step=step,
                    inner_steps=count,
                    normalize=form == "normalised",
                )
                if _converged(found) and _converged(reference):
                    in_seconds = reference.seconds[-1] / found.seconds[-1]
                    ratios.append((len(reference.losses) / len(found.losses), in_seconds, found.losses[-1]))
                else:
                    failed += 1
            if ratios:
                in_steps[i, j], in_time[i, j], final[i, j] = np.mean(ratios, axis=0)
    columns = ("inner step", *(f"{count} inner steps" for count in inner))
    rows: list[tuple[Any, ...]] = [
        (f"{step:g}", *(f"{a:.2f} ({b:.2f})" for a, b in zip(in_steps[i], in_time[i], strict=True)))
        for i, step in enumerate(steps)
    ]
    above = float(np.mean(in_time[np.isfinite(in_time)] > 1.0))
    needed = float(np.mean([len(t.losses) for t in plain]))
    finals = mean_spread([t.losses[-1] for t in plain])
    outcome.tables.append(
        Table(
            f"{optimizer}, {form}: speed-up in steps (in seconds) to a loss change below {TOLERANCE:g} in one step",
            columns,
            rows,
            f"Mean over {len(plain)} seeds; plain {optimizer} needs {needed:.0f} steps and ends at {finals[0]:.3g}. "
            "The paper reports most converged cells above 1, with a teleport that lowers the loss by itself; its grid "
            "and tolerance are lost, these are ours.",
        )
    )
    outcome.findings.append(
        f"{optimizer}, {form}: {above:.0%} of the cells are faster in seconds, best {np.nanmax(in_time):.2f} in "
        f"seconds and {np.nanmax(in_steps):.2f} in steps; final loss {np.nanmin(final):.2f} to "
        f"{np.nanmax(final):.2f}, plain {finals[0]:.2f}; {failed} runs did not converge within {CAP} steps"
    )
    key = f"{optimizer}/{form}"
    outcome.numbers[key] = {
        "steps": list(steps),
        "inner": list(inner),
        "speedup_steps": in_steps.tolist(),
        "speedup_seconds": in_time.tolist(),
        "final_loss": final.tolist(),
        "final_loss_plain": finals[0],
        "not_converged": failed,
    }
    name = f"{optimizer.lower()}-{form.replace(' ', '-')}"
    outcome.pictures[name] = lambda: _draw(f"{optimizer}, {form}", steps, inner, in_time)


def _converged(trial: Trial) -> bool:
    return len(trial.losses) < CAP and math.isfinite(trial.losses[-1])


def _draw(title: str, steps: tuple[float, ...], inner: tuple[int, ...], speedup: FloatArray) -> Figure:
    from evenflow.report.style import COLOURS, new_figure

    figure = new_figure(4.6, 3.4, shown=False)
    ax = figure.subplots()
    for colour, step, row in zip(COLOURS, steps, speedup, strict=False):
        ax.plot(inner, row, ".-", color=colour, label=f"{step:g}")
    ax.axhline(1.0, color="#999999", linestyle="--", linewidth=0.8)
    ax.set(title=title, xlabel="inner steps", ylabel="plain time / teleported time", xscale="log")
    ax.legend(title="inner step")
    return figure
