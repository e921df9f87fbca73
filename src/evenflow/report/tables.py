"""Tables for terminals and files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from evenflow.errors import InputError

if TYPE_CHECKING:
    from evenflow.comparison import Comparison, Row

_WIDE = 150
_EXTRA = ("passes", "warm-up", "tuning", "evals", "hvp", "|grad|")

__all__ = ["as_text", "comparison_table", "format_seconds"]


def format_seconds(seconds: float | None) -> str:
    """Three significant digits with a fitting unit; a dash for None.

    Examples
    --------
    >>> format_seconds(0.00123), format_seconds(75.0), format_seconds(None)
    ('1.23 ms', '75 s', '-')
    """
    if seconds is None:
        return "-"
    if seconds == 0:
        return "0"
    for limit, factor, unit in ((0.9995e-3, 1e6, "us"), (0.9995, 1e3, "ms")):
        if seconds < limit:
            return f"{_three(seconds * factor)} {unit}"
    return f"{_three(seconds)} s"


def _three(value: float) -> str:
    """Three significant digits without an exponent."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def comparison_table(comparison: Comparison, width: int | None = None) -> Table:
    """One row for each method and seed, fastest first; how it was measured, below.

    Parameters
    ----------
    comparison : Comparison
    width : int, optional
        Characters in a line, by default those of the terminal (80 where there is none). Fewer than 150 leave out
        passes, warm-up, tuning, evaluations and gradient norm; the data have them.

    Returns
    -------
    rich.table.Table
    """
    from rich.console import Console

    wide = (Console().width if width is None else width) >= _WIDE
    graph = comparison.graph
    where = f" on {graph['nodes']} nodes, {graph['edges']} edges" if graph else ""
    table = Table(
        title=f"{comparison.energy}{where}: time to a relative gap",
        caption=escape("\n".join(_notes(comparison))),
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
        padding=(0, 2 if wide else 1, 0, 0),
        box=None,
    )
    best = _best(comparison)
    rows = sorted(comparison.rows, key=lambda row: _sort_key(comparison, row))
    columns = [_cells(comparison, row, best) for row in rows]
    for name in columns[0] if columns else ():
        if wide or name not in _EXTRA:
            left = name in ("method", "status")
            table.add_column(name, justify="left" if left else "right", no_wrap=name != "status", overflow="fold")
    for cells in columns:
        table.add_row(*(cell for name, cell in cells.items() if wide or name not in _EXTRA))
    return table


def _best(comparison: Comparison) -> dict[str, float]:
    """Shortest time to each target."""
    best: dict[str, float] = {}
    for row in comparison.rows:
        for key, seconds in row.times.items():
            if seconds is not None:
                best[key] = min(seconds, best.get(key, seconds))
    return best


def _sort_key(comparison: Comparison, row: Row) -> tuple[float, ...]:
    """Rows by hardest target reached, then by time to it, then by final gap."""
    times = [row.times.get(f"{target:g}") for target in reversed(comparison.targets)]
    for missed, seconds in enumerate(times):
        if seconds is not None:
            return (missed, seconds)
    return (len(times), float("inf") if row.gap is None else row.gap)


def _cells(comparison: Comparison, row: Row, best: dict[str, float]) -> dict[str, Text | str]:
    """One row as cells by column."""
    cells: dict[str, Text | str] = {"method": Text(row.method, style="bold" if row.own else ""), "seed": str(row.seed)}
    for key, seconds in row.times.items():
        fastest = seconds is not None and seconds == best[key]
        cells[key] = Text(format_seconds(seconds), style="green" if fastest else "")
    last = comparison.targets[-1]
    seconds, passes = row.times.get(f"{last:g}"), comparison.passes(row, last)
    evaluations = row.counts.get("value", 0) + row.counts.get("gradient", 0)
    return cells | {
        "ratio": "-" if seconds is None else _three(seconds / (best[f"{last:g}"] or 1.0)),
        "passes": "-" if passes is None else f"{passes:.0f}",
        "set-up": format_seconds(row.setup_seconds),
        "warm-up": format_seconds(row.warmup_seconds),
        "tuning": format_seconds(row.tuning_seconds or None),
        "evals": str(evaluations) if row.repeats else "-",
        "hvp": str(row.counts.get("hvp", 0)) if row.repeats else "-",
        "gap": "-" if row.gap is None else f"{row.gap:.1e}",
        "|grad|": "-" if row.gradient_norm is None else f"{row.gradient_norm:.1e}",
        "status": _verdict(row),
    }


def _verdict(row: Row) -> Text:
    """Status, with the reason where there is more to say."""
    if row.status == "reached" or not row.reason:
        return Text(row.status)
    return Text(row.reason if row.reason.startswith(row.status) else f"{row.status}: {row.reason}")


def _notes(comparison: Comparison) -> list[str]:
    """How it was measured."""
    machine = comparison.machine
    versions = ", ".join(f"{name} {machine[name]}" for name in ("numpy", "scipy", "torch") if name in machine)
    relative = "abs(E*)" if comparison.scale == abs(comparison.reference) else f"{comparison.scale:.6g}"
    lines = [
        f"E* = {comparison.reference:.15g}: {comparison.reference_source}; gaps relative to {relative}",
        f"{comparison.clock} seconds, set-up included; warm-up (first call) and tuning apart; ratio and passes at the "
        f"smallest gap; one pass (energy and gradient) takes {format_seconds(comparison.pass_seconds)}; "
        f"each run at most {format_seconds(comparison.max_seconds)}",
        f"energy's own first calls: {format_seconds(comparison.energy_warmup_seconds)}",
        f"{machine.get('cpu', '')}, {machine.get('cores', '?')} cores; python {machine.get('python', '?')}, {versions}",
    ]
    settings = {row.method: row for row in comparison.rows if row.repeats}
    for name, tuning in comparison.tunings.items():
        row = settings.get(name)
        if row is not None:
            chosen = f" (as run: {row.settings})" if row.settings else ""
            lines.append(f"{name}: {row.version}; {tuning}{chosen}")
    return lines


def as_text(table: Table, width: int = 200) -> str:
    """A table as plain text.

    Raises
    ------
    InputError
        If ``width`` is not positive.
    """
    from rich.console import Console

    if width < 1:
        raise InputError(f"width={width}: expected a positive number of characters")
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, force_terminal=False).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
