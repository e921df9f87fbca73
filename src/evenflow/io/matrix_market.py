"""MatrixMarket: a square matrix as weighted adjacency [1]_.

References
----------
.. [1] R. F. Boisvert, R. Pozo, K. A. Remington, "The Matrix Market Exchange Formats: Initial Design",
   NISTIR 5935 (1996).
"""

# Not by scipy.io.mmread: damaged files crash its compiled parser (SciPy 1.17), which no caller can catch.

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evenflow.errors import FileFormatError
from evenflow.graph import Graph
from evenflow.graph.arrays import EdgeError
from evenflow.graph.edge_list import Duplicates, SelfLoops, Symmetrize, symmetrised
from evenflow.io.source import build, read_lines, whole

__all__ = ["read_matrix_market"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Rows = list[tuple[int, str]]

ROWS_PER_BYTE = 16  # a file with more rows than this describes (almost) nothing but isolated nodes
FORMATS = ("coordinate", "array")
FIELDS = ("real", "double", "integer", "pattern")
SYMMETRIES = ("general", "symmetric", "hermitian")


def read_matrix_market(
    path: Path,
    *,
    duplicates: Duplicates = "error",
    self_loops: SelfLoops = "error",
    symmetrize: Symmetrize = "error",
) -> Graph:
    """Read a MatrixMarket file; every stored entry off the diagonal is an edge (pattern: weight 1).

    Parameters
    ----------
    path : Path
    duplicates, self_loops
        As in :meth:`evenflow.Graph.from_edges`; a diagonal entry that is not 0 is a self-loop.
    symmetrize : {"error", "mean", "sum", "max"}
        For matrices declared "general": how to join a_ij and a_ji where they differ.

    Returns
    -------
    Graph

    Raises
    ------
    FileFormatError
        If the file is malformed, complex, antisymmetric or not square, or breaks a rule; with the line.
    """
    lines = read_lines(path, errors="replace")
    layout, field, symmetry = banner(path, lines[0])
    rows = [
        (number, text) for number, text in enumerate(lines[1:], 2) if text.strip() and not text.lstrip().startswith("%")
    ]
    if not rows:
        raise FileFormatError(path, "ends before the line of sizes")
    n = sizes(path, rows, layout, symmetry, sum(map(len, lines)))
    width = 1 if layout == "array" else 2 if field == "pattern" else 3
    values = numbers(path, rows[1:], width)
    at = np.array([number for number, _ in rows[1:]], dtype=np.int64)
    if layout == "array":
        pairs = dense_places(n, symmetry)
        keep = values[:, 0] != 0.0
    else:
        pairs = places(path, values[:, :2], at, n, symmetry)
        keep = (pairs[:, 0] != pairs[:, 1]) | (values[:, -1] != 0.0)
    weights = np.ones(len(pairs)) if field == "pattern" else values[:, -1]
    pairs, weights, at = pairs[keep], weights[keep], at[keep]
    if symmetry == "general":
        try:
            pairs, weights, _ = symmetrised(pairs, n, weights, {}, duplicates=duplicates, rule=symmetrize)
        except EdgeError as error:
            raise FileFormatError(path, f"{error} (rows and columns from 0)", int(at[error.row])) from error
        at = at[:0]
    return build(path, at, pairs, n_nodes=n, weights=weights, duplicates=duplicates, self_loops=self_loops)


def banner(path: Path, line: str) -> tuple[str, str, str]:
    """Layout, field and symmetry from the first line."""
    words = line.lower().split()
    if len(words) != 5 or words[:2] != ["%%matrixmarket", "matrix"]:
        raise FileFormatError(path, "not a MatrixMarket file: the first line is not '%%MatrixMarket matrix ...'", 1)
    for word, known in zip(words[2:], (FORMATS, FIELDS, SYMMETRIES), strict=True):
        if word not in known:
            raise FileFormatError(path, f"{word!r} is no adjacency matrix: expected {' or '.join(known)}", 1)
    if words[2:4] == ["array", "pattern"]:
        raise FileFormatError(path, "an array has values, so it cannot be a pattern", 1)
    return words[2], words[3], words[4]


def sizes(path: Path, rows: Rows, layout: str, symmetry: str, length: int) -> int:
    """Number of nodes; refused if the entries that follow are more or fewer than declared."""
    line, text = rows[0]
    found = [whole(path, word, line, "a size") for word in text.split()]
    if len(found) != (2 if layout == "array" else 3) or min(found) < 0:
        raise FileFormatError(path, "expected rows and columns, and the number of entries if sparse", line)
    n = found[0]
    if n != found[1]:
        raise FileFormatError(path, f"the matrix is {n} x {found[1]}: an adjacency matrix is square", line)
    expected = found[2] if layout == "coordinate" else n * n if symmetry == "general" else n * (n + 1) // 2
    if expected != len(rows) - 1:
        raise FileFormatError(path, f"declares {expected} entries, but {len(rows) - 1} lines follow: truncated?", line)
    if n > ROWS_PER_BYTE * length:
        raise FileFormatError(path, f"declares {n} rows in a file of {length} characters: nearly all are empty", line)
    return n


def numbers(path: Path, rows: Rows, width: int) -> FloatArray:
    """Columns of the entries, all finite."""
    if not rows:
        return np.zeros((0, width))
    try:
        values = np.loadtxt([text for _, text in rows], dtype=np.float64, comments=None, ndmin=2)
    except ValueError as error:
        found = re.search(r"at row (\d+)", str(error))
        line = rows[min(int(found[1]), len(rows) - 1)][0] if found else None
        raise FileFormatError(path, f"an entry is malformed: {error}", line) from error
    if values.shape[1] != width:
        raise FileFormatError(path, f"an entry has {values.shape[1]} numbers, expected {width}", rows[0][0])
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise FileFormatError(path, "an entry is not finite", rows[int(np.argmax(bad))][0])
    return values


def places(path: Path, values: FloatArray, lines: IntArray, n: int, symmetry: str) -> IntArray:
    """Rows and columns from 0."""
    bad = ((values != np.floor(values)) | (values < 1) | (values > n)).any(axis=1)
    if bad.any():
        at = int(np.argmax(bad))
        raise FileFormatError(path, f"the entry is at {values[at].tolist()}, expected 1 to {n}", int(lines[at]))
    pairs = values.astype(np.int64) - 1
    above = pairs[:, 0] < pairs[:, 1]
    if symmetry != "general" and above.any():
        line = int(lines[int(np.argmax(above))])
        raise FileFormatError(path, "the entry is above the diagonal, but the matrix is declared symmetric", line)
    return pairs


def dense_places(n: int, symmetry: str) -> IntArray:
    """Rows and columns of an array, which is listed by columns (below the diagonal where symmetric)."""
    column, row = np.divmod(np.arange(n * n), n) if n else (np.zeros(0, dtype=np.int64),) * 2
    pairs = np.stack([row, column], axis=1)
    return pairs if symmetry == "general" else pairs[row >= column]
