"""Edge lists: one edge on a line, separated by comma, semicolon, tab or white space."""

from __future__ import annotations

import csv
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from evenflow.errors import FileFormatError
from evenflow.graph import Graph
from evenflow.graph.edge_list import Duplicates, SelfLoops
from evenflow.io.source import WHOLE, build, clip, index_names, read_lines, real

__all__ = ["read_edge_list"]

COMMENTS = ("#", "%")
HEADS = frozenset({("source", "target"), ("src", "dst"), ("from", "to"), ("fromnodeid", "tonodeid")})
SHORT_HEADS = frozenset({("i", "j"), ("u", "v"), ("a", "b"), ("node1", "node2")})  # could be names of nodes


def read_edge_list(path: Path, *, duplicates: Duplicates = "error", self_loops: SelfLoops = "error") -> Graph:
    """Read an edge list with two columns, or three with the weights.

    Lines that begin with ``#`` or ``%`` and blank lines are passed over; the first row may be a header such as
    ``source,target,weight`` (``i,j`` or ``u,v`` only where the nodes are numbers or the third column is named
    weight). The separator is the first of comma, semicolon and tab that the first row has, else white space.

    Parameters
    ----------
    path : Path
    duplicates, self_loops
        As in :meth:`evenflow.Graph.from_edges`.

    Returns
    -------
    Graph
        If all node names are integers, nodes are in their order, else in the order of appearance; ``names`` are the
        names unless 0 .. n-1. Only nodes with an edge (or a dropped self-loop) exist.

    Raises
    ------
    FileFormatError
        Naming the line.

    Notes
    -----
    A node that is in no edge cannot be told in this format.
    """
    rows = table(path)
    if rows and is_header([word.lower() for word in rows[0][1]], rows[1:]):
        rows = rows[1:]
    if not rows:
        raise FileFormatError(path, "holds no edges")
    width = len(rows[0][1])
    for line, words in rows:
        if len(words) not in (2, 3) or len(words) != width or not all(words):
            raise FileFormatError(
                path, f"has {len(words)} columns, expected {min(max(width, 2), 3)}: i, j (, weight)", line
            )
    names, pairs = numbered([word for _, words in rows for word in words[:2]])
    weights = None
    if width == 3:
        weights = [real(path, words[2], line, "the weight") for line, words in rows]
    return build(
        path,
        [line for line, _ in rows],
        pairs,
        n_nodes=len(names),
        weights=weights,
        names=index_names(names) if isinstance(names[0], int) else names,  # type: ignore[arg-type]
        duplicates=duplicates,
        self_loops=self_loops,
    )


def is_header(words: list[str], others: list[tuple[int, list[str]]]) -> bool:
    """Whether the first row names the columns."""
    pair = tuple(words[:2])
    if pair in HEADS or words[2:] in (["weight"], ["value"]):
        return True
    return pair in SHORT_HEADS and all(WHOLE.fullmatch(word) for _, row in others for word in row[:2])


def table(path: Path) -> list[tuple[int, list[str]]]:
    """Words of each row with its line."""
    lines = [
        (number, text)
        for number, text in enumerate(read_lines(path), 1)
        if text.strip() and not text.lstrip().startswith(COMMENTS)
    ]
    if not lines:
        return []
    delimiter = next((mark for mark in ",;\t" if mark in lines[0][1]), None)
    if delimiter is None:
        return [(number, text.split()) for number, text in lines]
    rows = []
    for number, text in lines:
        try:
            words = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True))
        except csv.Error as error:
            raise FileFormatError(path, f"{clip(text)} is no row of delimited text: {error}", number) from error
        rows.append((number, [word.strip() for word in words]))
    return rows


def numbered(words: list[str]) -> tuple[list[Hashable], list[int]]:
    """Distinct names, and the number of the name of each word."""
    if all(WHOLE.fullmatch(word) for word in words):
        distinct, inverse = np.unique([int(word) for word in words], return_inverse=True)
        return distinct.tolist(), inverse.tolist()
    number: dict[str, int] = {}
    place = [number.setdefault(word, len(number)) for word in words]
    return list(number), place
