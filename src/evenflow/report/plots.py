"""Courses of solves and comparisons; :func:`plot_state` draws where they ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.report.fields import plot_state
from evenflow.report.style import COLOURS, INK, STYLE, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evenflow.comparison import Comparison, Row
    from evenflow.result import Result

__all__ = ["plot_comparison", "plot_history", "plot_state"]

_MOST_POINTS = 4000
_DASHES: tuple[Any, ...] = ("--", ":", "-.", (0, (4, 1, 1, 1, 1, 1)))


def plot_history(result: Result, path: str | Path | None = None, *, reference: float | None = None) -> Figure:
    """Draw the energy of a solve against time and against steps, with the stage switches marked.

    With a reference energy the axis shows the relative gap to it, logarithmic. Without one, energies that are all
    positive get a logarithmic axis where they span more than a decade, and any others a linear one.

    Parameters
    ----------
    result : Result
    path : path, optional
        Picture to write; without it the figure is registered with pyplot for showing.
    reference : float, optional
        Minimum energy; by default the energy's own ``reference()`` where the result attains it to 1e-6.

    Returns
    -------
    matplotlib.figure.Figure
        Two axes: time, steps.

    Raises
    ------
    InputError
        If matplotlib is missing or the suffix of ``path`` is no picture format.

    Examples
    --------
    >>> import evenflow as ef
    >>> result = ef.minimize(ef.Kuramoto(ef.gallery.ring(16)), method="lbfgs")
    >>> [axes.get_xlabel() for axes in plot_history(result).axes]
    ['time (s)', 'step']
    """
    figure = new_figure(8.4, 3.4, shown=path is None)
    import matplotlib as mpl

    columns = result.history.arrays()
    reference = _known_minimum(result) if reference is None else reference
    values, label, logarithmic = _ordinate(columns["energy"], reference)
    with mpl.rc_context(STYLE):
        left, right = figure.subplots(1, 2, sharey=True)
        steps = np.arange(len(values))
        names = [stage.name or stage.minimizer for stage in result.stages]
        for axes, abscissa, unit in ((left, columns["seconds"], "time (s)"), (right, steps, "step")):
            _restyle(axes)
            _draw_stages(axes, abscissa, values, columns["stage"], names)
            axes.set_xlabel(unit)
            axes.set_xlim(0, float(abscissa[-1]) or 1.0)
            if logarithmic:
                axes.set_yscale("log")
        left.set_ylabel(label)
        right.legend(loc="upper right")
        left.set_title(f"{result.method}: {result.status.name.lower().replace('_', ' ')}")
        right.set_title(f"E = {result.energy:.10g}", loc="right")
    return finish(figure, path)


def _known_minimum(result: Result) -> float | None:
    """The exact minimum, if the energy knows it and the result is there."""
    if result.problem is None:
        return None
    bound = result.problem.reference()
    if bound is None or result.energy - bound > 1e-6 * max(abs(bound), abs(result.energy)):
        return None
    return bound


def _ordinate(energy: npt.NDArray[Any], reference: float | None) -> tuple[npt.NDArray[np.float64], str, bool]:
    """Values to draw, their label, and whether the axis is logarithmic."""
    finite = np.where(np.isfinite(energy), energy, np.nan).astype(np.float64)
    if reference is not None:
        scale = abs(reference) if abs(reference) > 1e-12 * np.nanmax(np.abs(finite)) else 1.0
        label = "relative gap $(E - E^*)/|E^*|$" if scale == abs(reference) else "gap $E - E^*$"
        gap = (finite - reference) / scale
        return np.where(gap > 0, gap, np.nan), label, bool((gap > 0).any())
    wide = bool(np.nanmin(finite) > 0 and np.nanmax(finite) > 10 * np.nanmin(finite))
    return finite, "energy $E$", wide


def _draw_stages(
    axes: Axes,
    abscissa: npt.NDArray[Any],
    values: npt.NDArray[np.float64],
    stage: npt.NDArray[Any],
    names: Sequence[str],
) -> None:
    """One line a stage, in its own colour, with a rule where it begins."""
    for number in np.unique(stage):
        rows = np.flatnonzero(stage == number)
        if rows[0] > 0:
            axes.axvline(float(abscissa[rows[0]]), color="#999999", linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
            rows = np.concatenate([[rows[0] - 1], rows])
        rows = rows[_thin(len(rows))]
        name = names[number] if number < len(names) else f"stage {number}"
        marker = "o" if len(rows) == 1 else ""
        axes.plot(abscissa[rows], values[rows], marker=marker, color=COLOURS[number % len(COLOURS)], label=name)


def _thin(count: int) -> npt.NDArray[np.int64]:
    """At most a few thousand of ``count`` points, first and last included."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _MOST_POINTS).astype(np.int64))


def _restyle(axes: Axes) -> None:
    """Light grid behind the data."""
    axes.grid(True, which="major")
    axes.set_axisbelow(True)


def plot_comparison(comparison: Comparison, path: str | Path | None = None) -> Figure:
    """Draw the relative gap of each method against its seconds, both logarithmic, with the targets as rules.

    Methods of evenflow are solid lines, peers broken ones; every seed is drawn, the best so far of each. A dot
    marks where the smallest target is reached. Reached gaps below a thousandth of the smallest target are cut.

    Parameters
    ----------
    comparison : Comparison
    path : path, optional
        Picture to write; without it the figure is registered with pyplot for showing.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If matplotlib is missing or the suffix of ``path`` is no picture format.
    """
    figure = new_figure(8.4, 4.6, shown=path is None)
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        axes = figure.subplots()
        _restyle(axes)
        axes.set_xscale("log")
        axes.set_yscale("log")
        looks = _looks(comparison)
        drawn: set[str] = set()
        for row in sorted(comparison.rows, key=lambda row: _finish_time(comparison, row)):
            if row.curve_seconds:
                _draw_row(axes, comparison, row, looks[row.method], label=row.method not in drawn)
                drawn.add(row.method)
        for target in comparison.targets:
            axes.axhline(target, color="#999999", linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
        axes.set_ylim(bottom=0.1 * comparison.targets[-1])
        axes.set_xlabel(f"{comparison.clock} time, set-up included (s)")
        axes.set_ylabel("relative gap $(E - E^*)/|E^*|$")
        nodes = f", {comparison.graph['nodes']:,} nodes" if comparison.graph else ""
        axes.set_title(f"{comparison.energy}{nodes}")
        if drawn:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    return finish(figure, path)


def _looks(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Line style of each method: ``auto`` in ink, own ones solid, peers broken."""
    looks: dict[str, dict[str, Any]] = {}
    own = peers = 0
    for row in comparison.rows:
        if row.method in looks:
            continue
        if row.method == "auto":
            looks[row.method] = {"color": INK, "linewidth": 2.4, "zorder": 5}
        elif row.own:
            looks[row.method] = {"color": COLOURS[own % len(COLOURS)]}
            own += 1
        else:
            dashes = _DASHES[(peers // len(COLOURS)) % len(_DASHES)]
            looks[row.method] = {"color": COLOURS[peers % len(COLOURS)], "linestyle": dashes, "linewidth": 1.3}
            peers += 1
    return looks


def _finish_time(comparison: Comparison, row: Row) -> float:
    """Seconds to the smallest target, for the order of the legend."""
    seconds = row.times.get(f"{comparison.targets[-1]:g}")
    return math.inf if seconds is None else seconds


def _draw_row(axes: Axes, comparison: Comparison, row: Row, look: dict[str, Any], *, label: bool) -> None:
    """One curve: the lowest gap so far against seconds."""
    gap = (np.minimum.accumulate(np.array(row.curve_energy)) - comparison.reference) / comparison.scale
    gap = np.maximum(gap, 1e-3 * comparison.targets[-1])
    first_step = max(row.curve_seconds[1], 1e-7) if len(row.curve_seconds) > 1 else 1e-6
    seconds = np.maximum(np.array(row.curve_seconds), first_step / 2)
    axes.step(seconds, gap, where="post", label=row.method if label else None, **look)
    finish_time = _finish_time(comparison, row)
    if math.isfinite(finish_time):
        axes.plot([finish_time], [comparison.targets[-1]], "o", color=look["color"], markersize=4, zorder=6)
