"""Pictures of teleports: paths over contours, loss and gradient norm with the teleports marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_curves", "plot_descent", "plot_paths"]

FloatArray = npt.NDArray[np.float64]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d")


def _figure(width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError as error:
        raise InputError("pictures need matplotlib, which is missing: pip install 'evenflow[plot]'") from error
    figure = NewFigure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def plot_paths(
    function: Callable[[FloatArray, FloatArray], FloatArray],
    paths: Mapping[str, npt.ArrayLike],
    *,
    teleports: Mapping[str, Sequence[int]] | None = None,
    minimum: tuple[float, float] | None = None,
    title: str = "",
) -> Figure:
    """Paths of two variables over the level sets of a function.

    Parameters
    ----------
    function : callable
        Values (m, m) for coordinates x, y (m, m).
    paths : mapping of str to array (t, 2)
        By label.
    teleports : mapping of str to sequence of int
        For each label the rows of the path that a teleport starts from; the jump is dotted.
    minimum : (float, float)
        Marked with a star.
    title : str
        Above the axes.

    Raises
    ------
    InputError
        If matplotlib is missing.

    Examples
    --------
    >>> figure = plot_paths(lambda x, y: x**2 + 9 * y**2, {"GD": [[1.0, 1.0], [0.5, 0.0]]}, minimum=(0, 0))
    >>> len(figure.axes)
    1
    """
    figure, (ax,) = _figure(4.6, 4.0, 1)
    points = np.concatenate([np.asarray(p, dtype=np.float64) for p in paths.values()])
    if minimum is not None:
        points = np.vstack([points, minimum])
    low, high = points.min(0), points.max(0)
    pad = 0.12 * np.maximum(high - low, 1e-9)
    x, y = np.meshgrid(*(np.linspace(lo, hi, 240) for lo, hi in zip(low - pad, high + pad, strict=True)))
    values = np.log10(np.maximum(function(x, y), 1e-12))
    ax.contour(x, y, values, levels=14, colors="#bbbbbb", linewidths=0.6, linestyles="solid")
    for colour, (label, path) in zip(COLOURS, paths.items(), strict=False):
        steps = np.asarray(path, dtype=np.float64)
        jumps = list((teleports or {}).get(label, ()))
        begin = 0
        for row in [*jumps, len(steps) - 1]:
            piece = steps[begin : row + 1]
            ax.plot(piece[:, 0], piece[:, 1], color=colour, marker=".", markersize=3, linewidth=1.0)
            if row in jumps:
                ax.plot(steps[row : row + 2, 0], steps[row : row + 2, 1], ":", color=colour, linewidth=1.0)
            begin = row + 1
        ax.plot([], [], color=colour, label=label)
        ax.plot(steps[jumps, 0], steps[jumps, 1], "o", color=colour, markersize=4, fillstyle="none")
    if minimum is not None:
        ax.plot(*minimum, "*", color="#222222", markersize=9, zorder=5)
    ax.set(title=title, xlabel="x", ylabel="y")
    ax.legend()
    return figure


def plot_descent(
    losses: Mapping[str, npt.ArrayLike],
    gradients: Mapping[str, npt.ArrayLike],
    *,
    teleports: Mapping[str, Sequence[int]] | None = None,
    title: str = "",
) -> Figure:
    """Loss against steps, gradient norm against steps, and gradient norm at equal loss; teleports are ringed.

    Parameters
    ----------
    losses, gradients : mapping of str to array (t,)
        Loss and Euclidean gradient norm before each step, by label.
    teleports : mapping of str to sequence of int
        Steps before which a teleport happened.
    title : str
        Above the first axes.

    Raises
    ------
    InputError
        If matplotlib is missing.

    Examples
    --------
    >>> figure = plot_descent({"GD": [4.0, 1.0]}, {"GD": [4.0, 2.0]}, teleports={"GD": [1]})
    >>> len(figure.axes)
    3
    """
    figure, axes = _figure(10.5, 3.2, 3)
    for colour, label in zip(COLOURS, losses, strict=False):
        loss, size = np.asarray(losses[label], dtype=float), np.asarray(gradients[label], dtype=float)
        where = list((teleports or {}).get(label, ()))
        for ax, across, up in ((axes[0], None, loss), (axes[1], None, size), (axes[2], loss, size)):
            xs = np.arange(len(up)) if across is None else across
            ax.plot(xs, up, color=colour, label=label)
            ax.plot(xs[where], up[where], "o", color=colour, fillstyle="none", markersize=5)
    axes[0].set(title=title, xlabel="step", ylabel="loss", yscale="log")
    axes[1].set(xlabel="step", ylabel="gradient norm", yscale="log")
    axes[2].set(xlabel="loss", ylabel="gradient norm", xscale="log", yscale="log")
    axes[2].invert_xaxis()
    axes[0].legend()
    return figure


def plot_curves(
    panels: Mapping[str, Mapping[str, npt.ArrayLike]],
    *,
    x: npt.ArrayLike | None = None,
    xlabel: str = "step",
    ylabel: str = "loss",
    log: bool = True,
    teleports: Sequence[float] = (),
) -> Figure:
    """Mean over seeds with a band of one standard deviation, a panel for each entry.

    Parameters
    ----------
    panels : mapping of str to mapping of str to array (seeds, t)
        Curves by label, by panel title.
    x : array (t,), optional
        Abscissa; step numbers by default.
    xlabel, ylabel : str
        Of the axes.
    log : bool
        Logarithmic ordinate.
    teleports : sequence of float
        Abscissae to mark with a vertical line.

    Raises
    ------
    InputError
        If matplotlib is missing.

    Examples
    --------
    >>> figure = plot_curves({"GD": {"plain": [[4.0, 1.0], [5.0, 2.0]]}}, teleports=[1])
    >>> figure.axes[0].get_title()
    'GD'
    """
    figure, axes = _figure(max(4.6, 3.4 * len(panels)), 3.4, len(panels))
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for colour, (label, values) in zip(COLOURS, curves.items(), strict=False):
            array = np.atleast_2d(np.asarray(values, dtype=np.float64))
            xs: Any = np.arange(array.shape[1]) if x is None else np.asarray(x, dtype=np.float64)
            mean = array.mean(0)
            spread = array.std(0, ddof=1) if len(array) > 1 else np.zeros_like(mean)
            low = np.maximum(mean - spread, 0.2 * mean.clip(min=0.0)) if log else mean - spread
            ax.plot(xs, mean, color=colour, label=label)
            ax.fill_between(xs, low, mean + spread, color=colour, alpha=0.18, linewidth=0)
        for place in teleports:
            ax.axvline(place, color="#999999", linewidth=0.8, linestyle=":")
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if log:
            ax.set_yscale("log")
    axes[0].legend()
    return figure
