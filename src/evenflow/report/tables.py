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


def comparison_table(comparison: Comparison) -> Table:
    """One row for each method and seed, fastest first; how it was measured, below.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    rich.table.Table
    """
    graph = comparison.graph
    where = f" on {graph['nodes']} nodes, {graph['edges']} edges" if graph else ""
    table = Table(
        title=f"{comparison.energy}{where}: time to a relative gap",
        caption=escape("\n".join(_notes(comparison))),
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
        box=None,
    )
    table.add_column("method", style="bold", no_wrap=True)
    table.add_column("seed", justify="right")
    for target in comparison.targets:
        table.add_column(f"{target:.0e}", justify="right", no_wrap=True)
    for name in ("ratio", "passes", "set-up", "warm-up", "tuning", "evals", "hvp", "final gap", "|grad|"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", overflow="fold")
    best = _best(comparison)
    for row in sorted(comparison.rows, key=lambda row: _sort_key(comparison, row)):
        table.add_row(*_cells(comparison, row, best))
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


def _cells(comparison: Comparison, row: Row, best: dict[str, float]) -> list[Text | str]:
    """One row as cells."""
    cells: list[Text | str] = [Text(row.method, style="" if row.own else "not bold"), str(row.seed)]
    for key, seconds in row.times.items():
        cells.append(
            Text(format_seconds(seconds), style="green" if seconds is not None and seconds == best[key] else "")
        )
    last = comparison.targets[-1]
    seconds, passes = row.times.get(f"{last:g}"), comparison.passes(row, last)
    cells.append("-" if seconds is None else f"{seconds / best[f'{last:g}']:.3g}" if best[f"{last:g}"] else "1")
    cells.append("-" if passes is None else f"{passes:.0f}")
    cells += [format_seconds(row.setup_seconds), format_seconds(row.warmup_seconds)]
    cells.append(format_seconds(row.tuning_seconds) if row.tuning_seconds else "-")
    evaluations = row.counts.get("value", 0) + row.counts.get("gradient", 0)
    cells += [str(evaluations) if row.repeats else "-", str(row.counts.get("hvp", 0)) if row.repeats else "-"]
    cells += [
        "-" if row.gap is None else f"{row.gap:.1e}",
        "-" if row.gradient_norm is None else f"{row.gradient_norm:.1e}",
    ]
    if row.status == "reached" or not row.reason:
        cells.append(row.status)
    else:
        cells.append(Text(row.reason if row.reason.startswith(row.status) else f"{row.status}: {row.reason}"))
    return cells


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
