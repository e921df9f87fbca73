"""Wavefront OBJ: vertices, faces and polylines."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from evenflow.errors import FileFormatError
from evenflow.io.source import clip, read_lines, real, whole
from evenflow.io.surface import Surface

__all__ = ["read_obj"]

# what the format knows besides v, f and l, and a graph has no use for
# fmt: off
IGNORED = frozenset({
    "vt", "vn", "vp", "g", "o", "s", "mg", "p", "usemtl", "mtllib", "usemap", "maplib", "lod", "shadow_obj",
    "trace_obj", "bevel", "c_interp", "d_interp", "cstype", "deg", "bmat", "step", "curv", "curv2", "surf",
    "parm", "trim", "hole", "scrv", "sp", "end", "con", "ctech", "stech",
})
# fmt: on


def read_obj(path: Path) -> Surface:
    """Read the vertices, faces and lines of an OBJ file; texture, normals and materials are passed over.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Surface

    Raises
    ------
    FileFormatError
        Naming the line.
    """
    vertices: list[list[float]] = []
    sizes: list[int] = []
    corners: list[int] = []
    pairs: list[tuple[int, int]] = []
    face_lines: list[int] = []
    pair_lines: list[int] = []
    for line, words in statements(read_lines(path)):
        if words[0] == "v":
            if len(words) < 4:
                raise FileFormatError(path, f"a vertex has {len(words) - 1} coordinates, expected 3", line)
            vertices.append([real(path, word, line, "a coordinate") for word in words[1:4]])
        elif words[0] in ("f", "l"):
            ends = [corner(path, word, line, len(vertices)) for word in words[1:]]
            if words[0] == "f":
                sizes.append(len(ends))
                corners.extend(ends)
                face_lines.append(line)
            else:
                pairs.extend(pairwise(ends))
                pair_lines.extend([line] * (len(ends) - 1))
        elif words[0] not in IGNORED:
            raise FileFormatError(path, f"{clip(words[0])} is no statement of OBJ", line)
    return Surface(
        np.array(vertices, dtype=np.float64).reshape(-1, 3),
        np.array(sizes, dtype=np.int64),
        np.array(corners, dtype=np.int64),
        np.array(pairs, dtype=np.int64).reshape(-1, 2),
        np.array(face_lines, dtype=np.int64),
        np.array(pair_lines, dtype=np.int64),
    )


def statements(lines: list[str]) -> list[tuple[int, list[str]]]:
    """Words of each statement with its first line: comments cut, lines that end in a backslash joined."""
    found: list[tuple[int, list[str]]] = []
    words: list[str] = []
    start = 0
    for number, text in enumerate(lines, 1):
        bare = text.split("#", 1)[0].rstrip()
        start = start or number
        words += bare.removesuffix("\\").split()
        if bare.endswith("\\"):
            continue
        if words:
            found.append((start, words))
        words, start = [], 0
    return [*found, (start, words)] if words else found


def corner(path: Path, word: str, line: int, n_vertices: int) -> int:
    """Vertex of ``v``, ``v/vt``, ``v//vn`` or ``v/vt/vn``: numbered from 1, or backwards from -1."""
    number = whole(path, word.split("/", 1)[0], line, "a corner")
    if number == 0:
        raise FileFormatError(path, "a corner is 0: vertices are numbered from 1", line)
    vertex = number - 1 if number > 0 else n_vertices + number
    if vertex < 0:
        raise FileFormatError(path, f"corner {number} goes back beyond the first of {n_vertices} vertices", line)
    return vertex
