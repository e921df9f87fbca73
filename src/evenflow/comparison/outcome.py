"""Comparison and Row: the outcome of a comparison as data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenflow.errors import FileFormatError, InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

__all__ = ["Comparison", "Row"]

_FORMAT = "evenflow-comparison-1"


@dataclass
class Row:
    """One method at one seed.

    Attributes
    ----------
    method, version, settings : str
        Name, package with its version, knobs as run.
    own : bool
        Whether it is a method of evenflow.
    seed : int
    status : str
        "reached" (the smallest target), "stopped" (by its own rule, before), "deadline", "not applicable", "failed".
    reason : str
        Why a method was not run, failed or stopped.
    times : dict of str to float or None
        Seconds to each target, by target as text ("1e-08"); medians over the repeats; set-up included, warm-up and
        tuning not. The first recorded point at or below the target counts.
    seconds, setup_seconds : float
        Whole run, and the part of it spent on set-up; medians.
    warmup_seconds : float
        How much longer the very first call took (compilation, imports).
    tuning_seconds : float
        Time spent choosing the knobs.
    steps : int
        Recorded points after the start.
    counts : dict of str to int
        Evaluations.
    energy_start, energy, gap, gradient_norm : float or None
        At the start, and at the point handed back, all evaluated by the harness; ``gap`` is (E - E*) / scale.
    repeats : int
    curve_seconds, curve_energy : list of float
        Course of the repeat of median length, thinned.
    command : str
        Reruns this row.
    """

    method: str
    own: bool
    seed: int
    status: str
    reason: str = ""
    version: str = ""
    settings: str = ""
    times: dict[str, float | None] = field(default_factory=dict)
    seconds: float | None = None
    setup_seconds: float | None = None
    warmup_seconds: float | None = None
    tuning_seconds: float = 0.0
    steps: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    energy_start: float | None = None
    energy: float | None = None
    gap: float | None = None
    gradient_norm: float | None = None
    repeats: int = 0
    curve_seconds: list[float] = field(default_factory=list)
    curve_energy: list[float] = field(default_factory=list)
    command: str = ""


@dataclass
class Comparison:
    """What :func:`evenflow.compare` gives.

    Attributes
    ----------
    energy : str
        Name of the energy.
    graph : dict
        ``nodes``, ``edges``, ``components`` (empty where the energy has no graph).
    targets : tuple of float
        Relative gaps, descending.
    reference : float
        The reference energy E*; ``reference_source`` says where it is from.
    scale : float
        What gaps are relative to: abs(E*), or the decrease from the start where E* is zero to round-off.
    pass_seconds : float
        Median time of one value-and-gradient pass, at moments between the runs: what slows the machine slows both.
    energy_warmup_seconds : float
        First call of each of the energy's functions, over the second: paid once by whoever comes first.
    clock : str
        "wall" or "cpu" seconds.
    max_seconds : float
    machine : dict of str to str
    tunings : dict of str to str
        How each method was tuned.
    rows : list of Row
    """

    energy: str
    graph: dict[str, int]
    targets: tuple[float, ...]
    reference: float
    reference_source: str
    scale: float
    pass_seconds: float
    energy_warmup_seconds: float
    clock: str
    max_seconds: float
    machine: dict[str, str]
    tunings: dict[str, str]
    rows: list[Row]

    def row(self, method: str, seed: int | None = None) -> Row:
        """The row of a method (at its first seed unless one is named).

        Raises
        ------
        InputError
            If there is none.
        """
        for row in self.rows:
            if row.method == method and seed in (None, row.seed):
                return row
        raise InputError(
            f"method={method!r}, seed={seed}: no such row; there are {sorted({r.method for r in self.rows})}"
        )

    def passes(self, row: Row, target: float) -> float | None:
        """Time to a target in energy-and-gradient passes, None where it was not reached."""
        seconds = row.times.get(target_key(target))
        return None if seconds is None else seconds / self.pass_seconds

    def command(self, row: Row) -> str:
        """The command that reruns a row."""
        return row.command

    def ranking(self, target: float | None = None) -> list[str]:
        """Methods that reached a target (the smallest by default), fastest first, by the median over seeds."""
        import numpy as np

        key = target_key(self.targets[-1] if target is None else target)
        times: dict[str, list[float]] = {}
        for row in self.rows:
            seconds = row.times.get(key)
            times.setdefault(row.method, []).append(math.inf if seconds is None else seconds)
        median = {name: float(np.median(values)) for name, values in times.items()}
        return sorted((name for name, value in median.items() if math.isfinite(value)), key=lambda name: median[name])

    # ------------------------------------------------------------------ shown

    def table(self) -> Table:
        """A rich table: one row for each method and seed, notes below."""
        from evenflow.report.tables import comparison_table

        return comparison_table(self)

    def __str__(self) -> str:
        from evenflow.report.tables import as_text, comparison_table

        return as_text(comparison_table(self, 200), 200)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw gap against seconds, both logarithmic; write to ``path`` if given."""
        from evenflow.report.plots import plot_comparison

        return plot_comparison(self, path)

    # ------------------------------------------------------------------ files

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values; numbers that are not finite become None."""
        return {"format": _FORMAT, **_finite(asdict(self))}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Comparison:
        """Inverse of :meth:`as_dict`."""
        tree = {name.name: saved[name.name] for name in fields(cls)}
        tree["rows"] = [Row(**row) for row in tree["rows"]]
        tree["targets"] = tuple(tree["targets"])
        return cls(**tree)

    def to_json(self, path: str | Path | None = None) -> str:
        """One JSON object; written to ``path`` if given."""
        text = json.dumps(self.as_dict(), allow_nan=False, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, source: str | Path) -> Comparison:
        """Read what :meth:`to_json` wrote, from a path or from the text itself.

        Raises
        ------
        FileFormatError
            If it is something else.
        """
        inline = isinstance(source, str) and source.lstrip().startswith("{")
        text = str(source) if inline else Path(source).read_text(encoding="utf-8")
        try:
            saved = json.loads(text)
        except json.JSONDecodeError as error:
            raise FileFormatError("<text>" if inline else source, f"is not JSON: {error.msg}", error.lineno) from error
        if not isinstance(saved, dict) or saved.get("format") != _FORMAT:
            raise FileFormatError("<text>" if inline else source, f"is not a comparison (format {_FORMAT!r} expected)")
        return cls.from_dict(saved)

    def to_parquet(self, path: str | Path) -> None:
        """Write one parquet row for each row, the machine and the case in every one.

        Raises
        ------
        InputError
            If pyarrow is missing.
        """
        pa, parquet = _pyarrow()
        head = self.as_dict()
        rows = head.pop("rows")
        case = {"energy_name": self.energy, "reference": self.reference, "reference_source": self.reference_source}
        case |= {f"graph_{name}": value for name, value in self.graph.items()}
        case |= {f"machine_{name}": value for name, value in self.machine.items()}
        table = pa.Table.from_pylist([{**row, **case} for row in rows]).replace_schema_metadata(
            {"evenflow": json.dumps(head, allow_nan=False)}
        )
        parquet.write_table(table, path)

    @classmethod
    def from_parquet(cls, path: str | Path) -> Comparison:
        """Read what :meth:`to_parquet` wrote.

        Raises
        ------
        FileFormatError
            If it is something else.
        """
        pa, parquet = _pyarrow()
        try:
            table = parquet.read_table(path)
        except pa.ArrowInvalid as error:
            raise FileFormatError(path, f"is not a parquet file: {error}") from error
        metadata = table.schema.metadata or {}
        if b"evenflow" not in metadata:
            raise FileFormatError(path, "holds no comparison (its metadata has no entry 'evenflow')")
        own = [name.name for name in fields(Row)]
        rows = [{name: row[name] for name in own} for row in table.to_pylist()]
        return cls.from_dict({**json.loads(metadata[b"evenflow"]), "rows": rows})


def target_key(target: float) -> str:
    """Text of a target gap: 1e-8 becomes "1e-08".

    Examples
    --------
    >>> target_key(1e-8)
    '1e-08'
    """
    return f"{target:g}"


def _pyarrow() -> tuple[Any, Any]:
    """Import pyarrow and its parquet module."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError("parquet files need pyarrow, which is missing: pip install 'evenflow[store]'") from error
    return pyarrow, parquet


def _finite(tree: Any) -> Any:
    """Replace numbers that JSON cannot hold by None."""
    if isinstance(tree, Mapping):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [_finite(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree
