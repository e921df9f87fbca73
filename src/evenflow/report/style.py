"""One look for every picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenflow.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "CYCLIC", "FIELD", "INK", "STYLE", "finish", "new_figure"]

# Seven hues that stay apart for colour-blind readers and in grey print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d")
INK = "#222222"
FIELD = "inferno"
CYCLIC = "twilight"
STYLE: Any = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.grid": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def new_figure(width: float, height: float, *, shown: bool) -> Figure:
    """An empty figure in inches.

    Parameters
    ----------
    width, height : float
        Inches.
    shown : bool
        Register it with pyplot, so that ``plt.show()`` finds it; False for pictures that only go to a file.

    Raises
    ------
    InputError
        If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("pictures need matplotlib, which is missing: pip install 'evenflow[plot]'") from error
    if not shown:
        return Figure(figsize=(width, height), layout="constrained")
    from matplotlib import pyplot

    return pyplot.figure(figsize=(width, height), layout="constrained")


def finish(figure: Figure, path: str | Path | None) -> Figure:
    """Write the figure if a path is given (format by its suffix), and return it.

    Raises
    ------
    InputError
        If the format is unknown.
    """
    if path is None:
        return figure
    known = figure.canvas.get_supported_filetypes()
    suffix = Path(path).suffix.lstrip(".").lower()
    if suffix not in known:
        raise InputError(f"path={str(path)!r}: a picture ends in one of {', '.join('.' + name for name in known)}")
    figure.savefig(path, bbox_inches="tight", dpi=160)
    return figure
