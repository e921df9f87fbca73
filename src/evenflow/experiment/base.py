"""Experiment: something the papers measured, that one command measures again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Experiment", "Outcome", "Setting", "Table", "format_cell", "mean_spread"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """How an experiment is to be run.

    Parameters
    ----------
    seeds : int
        Number of seeds, from 0.
    quick : bool
        The short form, minutes at most, instead of the papers' sizes.
    progress : callable
        Told what is being done, one line at a time.

    Raises
    ------
    InputError
        If ``seeds`` is less than 1.
    """

    seeds: int
    quick: bool = False
    progress: Progress = lambda line: None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"seeds = {self.seeds}, expected at least 1")


@dataclass(frozen=True)
class Table:
    """Figures of an experiment: ours beside those of others.

    Parameters
    ----------
    title : str
        What is shown.
    columns : sequence of str
        Names.
    rows : sequence of sequence
        Cells: text, numbers, or (mean, spread) pairs.
    note : str
        Where the figures of others come from, and what to know.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    def markdown(self) -> str:
        """The table in Markdown.

        Examples
        --------
        >>> print(Table("Loss", ("method", "final"), [("plain", (1.0, 0.25))]).markdown())
        **Loss**
        <BLANKLINE>
        | method | final |
        |---|---|
        | plain | 1 ± 0.25 |
        """
        rows = [self.columns, *([format_cell(cell) for cell in row] for row in self.rows)]
        head, *body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
        lines = [f"**{self.title}**", "", head, "|" + "---|" * len(self.columns), *body]
        return "\n".join([*lines, "", self.note] if self.note else lines)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [[list(c) if isinstance(c, tuple) else c for c in row] for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "note": self.note}


@dataclass
class Outcome:
    """What an experiment found.

    Parameters
    ----------
    findings : list of str
        What was seen, one sentence each, with figures; said as it is, good or bad.
    tables : list of Table
        The figures.
    numbers : dict
        Results by name, JSON scalars, lists and dicts.
    arrays : dict of str to ndarray
        Curves, float64, first axis the seeds.
    pictures : dict of str to callable
        Draw a figure; called only if pictures are wanted.
    """

    findings: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    pictures: dict[str, Callable[[], Figure]] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """An experiment by name.

    Parameters
    ----------
    name, summary : str
        For the list.
    source : str
        Paper, section and figures it repeats.
    entry : str
        ``"module:function"``; the function takes a :class:`Setting` and returns an :class:`Outcome`. Imported only
        when run.
    seeds, quick_seeds : int
        Default number of seeds of the two forms.
    """

    name: str
    summary: str
    source: str
    entry: str
    seeds: int = 5
    quick_seeds: int = 5


def mean_spread(values: npt.ArrayLike) -> tuple[float, float]:
    """Mean and sample standard deviation over the first axis; the spread of one value is nan.

    Examples
    --------
    >>> mean_spread([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else math.nan


def format_cell(cell: Any) -> str:
    """A cell as text: four digits for numbers, mean ± spread for pairs, a dash for None.

    Examples
    --------
    >>> format_cell((142.123, math.nan)), format_cell(0.000945), format_cell(None), format_cell("plain")
    ('142.1', '0.000945', '-', 'plain')
    """
    if cell is None:
        return "-"
    if isinstance(cell, tuple):
        mean, spread = cell
        return f"{mean:.4g}" if math.isnan(spread) else f"{mean:.4g} ± {spread:.2g}"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return str(cell)
