"""MATPOWER cases: power grids as graphs of buses [1]_.

References
----------
.. [1] R. D. Zimmerman, C. E. Murillo-Sanchez, R. J. Thomas, "MATPOWER: Steady-State Operations, Planning and
   Analysis Tools for Power Systems Research and Education", IEEE Trans. Power Systems 26, 12 (2011).
"""

from __future__ import annotations

import re
from pathlib import Path

from evenflow.errors import FileFormatError
from evenflow.graph import Graph
from evenflow.graph.edge_list import Duplicates, SelfLoops
from evenflow.io.source import build, clip, index_names, read_lines, real

__all__ = ["read_matpower"]

START = re.compile(r"\s*mpc\.(\w+)\s*=\s*\[(.*)", re.DOTALL)
REACTANCE, STATUS = 3, 10  # columns of mpc.branch
BUS_COLUMNS, BRANCH_COLUMNS = 2, 11

Rows = list[tuple[int, list[str]]]


def read_matpower(path: Path, *, duplicates: Duplicates = "sum", self_loops: SelfLoops = "error") -> Graph:
    """Read the buses and branches of a MATPOWER case file.

    Parameters
    ----------
    path : Path
    duplicates : {"error", "sum", "first"}
        By default the couplings of parallel branches are added, as currents add.
    self_loops : {"error", "drop"}

    Returns
    -------
    Graph
        One node for each bus (``names`` are the bus numbers); weight 1/x with x the reactance of the branch per
        unit, negative for series capacitors. Branches out of service are left out, taps are passed over.

    Raises
    ------
    FileFormatError
        Naming the line.
    """
    tables = matrices(path, read_lines(path, errors="replace"))
    for name, width in (("bus", BUS_COLUMNS), ("branch", BRANCH_COLUMNS)):
        if name not in tables:
            raise FileFormatError(path, f"not a MATPOWER case: it has no table mpc.{name} = [ ... ];")
        for line, words in tables[name]:
            if len(words) < width:
                raise FileFormatError(path, f"mpc.{name} has {len(words)} columns, expected at least {width}", line)
    number: dict[int, int] = {}
    for line, words in tables["bus"]:
        bus = bus_number(path, words[0], line)
        if bus in number:
            raise FileFormatError(path, f"bus {bus} is given twice", line)
        number[bus] = len(number)
    pairs, weights, lines = [], [], []
    for line, words in tables["branch"]:
        status = real(path, words[STATUS], line, "the status")
        if status not in (0.0, 1.0):
            raise FileFormatError(path, f"the status is {clip(words[STATUS])}, expected 0 or 1", line)
        ends = [bus_number(path, word, line) for word in words[:2]]
        for bus in ends:
            if bus not in number:
                raise FileFormatError(path, f"the branch names bus {bus}, which mpc.bus does not have", line)
        x = real(path, words[REACTANCE], line, "the reactance x")
        if status == 0.0:
            continue
        if abs(x) < 1e-300:
            raise FileFormatError(path, "the reactance x is 0, so that the coupling 1/x is infinite", line)
        pairs.append([number[bus] for bus in ends])
        weights.append(1.0 / x)
        lines.append(line)
    return build(
        path,
        lines,
        pairs,
        n_nodes=len(number),
        weights=weights,
        names=index_names(list(number)),
        duplicates=duplicates,
        self_loops=self_loops,
    )


def bus_number(path: Path, word: str, line: int) -> int:
    """A bus number; MATLAB may write it as a float."""
    value = real(path, word, line, "the bus number")
    if not value.is_integer() or not 0 < value < 2**53:
        raise FileFormatError(path, f"the bus number is {clip(word)}, expected a positive integer", line)
    return int(value)


def matrices(path: Path, lines: list[str]) -> dict[str, Rows]:
    """Rows of every ``mpc.name = [ ... ]``, each with its line; comments are cut."""
    tables: dict[str, Rows] = {}
    current: Rows | None = None
    start = 0
    for line, text in enumerate(lines, 1):
        code = text.split("%", 1)[0]
        if current is None:
            found = START.match(code)
            if not found:
                continue
            if found[1] in tables:
                raise FileFormatError(path, f"mpc.{found[1]} is given twice", line)
            current, code, start = tables.setdefault(found[1], []), found[2], line
        inside, closed, _ = code.partition("]")
        for row in inside.split(";"):
            words = row.replace(",", " ").split()
            if words:
                current.append((line, words))
        if closed:
            current = None
    if current is not None:
        raise FileFormatError(path, "the table has no closing ']'", start)
    return tables
