"""Run time of teleports against width, depth and batch, with fitted exponents."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evenflow.experiment.base import Outcome, Setting, Table
from evenflow.experiment.threads import single_thread
from evenflow.teleport import Every, Teleporter, TeleportingOptimizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["run"]

FloatArray = npt.NDArray[np.float64]
Cell = tuple[int, float, float, float]

INTERVAL, INNER = 10, 10
NOTE = (
    "Full-batch gradient descent with a teleport of 10 inner steps every 10 epochs, float64, one thread; seconds of "
    "the fastest seed, for all teleports of the run. The paper (its own code) reports a polynomial in the width, a "
    "line in the depth, and teleports dominating the time; counting operations gives l d n^2 for the pseudo-inverses "
    "and l d^2 n for an inner step, to which our exact exponentials add l d^3."
)


def run(setting: Setting) -> Outcome:
    """Repeat figure 6 of the paper."""
    widths = (32, 64, 128, 256) if setting.quick else (16, 32, 64, 128, 256, 512)
    depths = (3, 5, 7) if setting.quick else (2, 3, 4, 6, 8, 10)
    batches = (8, 32, 128) if setting.quick else (8, 16, 32, 64, 128)
    epochs = 20 if setting.quick else 300
    outcome = Outcome()
    with single_thread():
        measure(16, 3, 16, epochs=10, seed=0)
        _sweep(outcome, setting, "width", [(d, 3, d) for d in widths], epochs)
        _sweep(outcome, setting, "depth", [(128, depth, 128) for depth in depths], epochs)
        _sweep(outcome, setting, "batch", [(128, 3, n) for n in batches], epochs)
    return outcome


def measure(width: int, depth: int, batch: int, *, epochs: int, seed: int) -> tuple[float, float, int]:
    """Seconds of the plain steps, seconds of the teleports, inner steps taken."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential()
    for m in range(depth):
        model.append(nn.Linear(width, width, bias=False, dtype=torch.float64))
        if m < depth - 1:
            model.append(nn.LeakyReLU(0.1))
    with torch.no_grad():
        for p in model.parameters():
            Q, _ = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
            p.copy_(Q)
    x = torch.randn(batch, width, generator=generator, dtype=torch.float64)
    y = torch.randn(batch, width, generator=generator, dtype=torch.float64)
    optimizer = TeleportingOptimizer(
        torch.optim.SGD(model.parameters(), lr=1e-2),
        # steps so short that none is halved: every teleport does the same work
        Teleporter(model, group="gl", inner_steps=INNER, max_gain=1e6, step=1e-4),
        Every(INTERVAL),
    )
    began = time.perf_counter()
    for _ in range(epochs):
        optimizer.step(lambda: 0.5 * (model(x) - y).square().mean())
    total = time.perf_counter() - began
    teleports = sum(r.seconds for r in optimizer.reports)
    return total - teleports, teleports, sum(r.inner_steps for r in optimizer.reports)


def _sweep(outcome: Outcome, setting: Setting, name: str, cases: Sequence[tuple[int, int, int]], epochs: int) -> None:
    rows: list[Cell] = []
    found: dict[tuple[int, int, int], list[tuple[float, float, int]]] = {case: [] for case in cases}
    for seed in range(setting.seeds):  # seeds outermost, so that a busy minute of the machine spoils no single case
        for case in cases:
            setting.progress(f"{name}: width {case[0]}, {case[1]} layers, batch {case[2]}, seed {seed}")
            found[case].append(measure(*case, epochs=epochs, seed=seed))
    for (width, depth, batch), runs in found.items():
        value = {"width": width, "depth": depth, "batch": batch}[name]
        # the fastest of the seeds: what else the machine does can only add time
        rows.append((value, min(r[0] for r in runs), min(r[1] for r in runs), float(np.mean([r[2] for r in runs]))))
    values = np.array(rows, dtype=np.float64)
    fits = {kind: _exponent(values[:, 0], values[:, i]) for kind, i in (("plain", 1), ("teleports", 2))}
    cells: list[tuple[Any, ...]] = [(v, p, t, t / p, steps) for v, p, t, steps in rows]
    cells.append(("fitted exponent", fits["plain"], fits["teleports"], None, None))
    columns = (name, "plain steps, s", "teleports, s", "ratio", "inner steps taken")
    fixed = {"width": "3 layers, batch = width", "depth": "width and batch 128", "batch": "3 layers of width 128"}[name]
    outcome.tables.append(Table(f"Run time against {name} ({fixed}), {epochs} epochs", columns, cells, NOTE))
    outcome.findings.append(
        f"time grows as {name}^{fits['teleports']:.2f} for teleports and {name}^{fits['plain']:.2f} for plain steps "
        f"(upper half of the range); teleports take {values[-1, 2] / values[-1, 1]:.1f} times the plain steps at "
        f"{name} {rows[-1][0]}"
    )
    outcome.numbers[name] = {"rows": [list(row) for row in rows], "exponents": fits}
    outcome.arrays[name] = values
    outcome.pictures[f"runtime-{name}"] = lambda: _draw(name, values, fits)


def _exponent(x: FloatArray, seconds: FloatArray) -> float:
    """Slope in log-log over the upper half, where fixed costs no longer hide it."""
    if len(x) < 2:
        return math.nan
    half = max(2, (len(x) + 1) // 2)
    return float(np.polyfit(np.log(x[-half:]), np.log(seconds[-half:]), 1)[0])


def _draw(name: str, values: FloatArray, fits: dict[str, float]) -> Figure:
    from evenflow.report.style import COLOURS, new_figure

    figure = new_figure(4.6, 3.4, shown=False)
    ax = figure.subplots()
    for colour, column, kind in ((COLOURS[0], 1, "plain"), (COLOURS[1], 2, "teleports")):
        ax.loglog(values[:, 0], values[:, column], ".-", color=colour, label=f"{kind}, exponent {fits[kind]:.2f}")
    ax.set(title=f"time against {name}", xlabel=name, ylabel="seconds")
    ax.legend()
    return figure
