"""OFF, the object file format of Geomview (ascii)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from evenflow.errors import FileFormatError
from evenflow.io.source import clip, read_lines, real, whole
from evenflow.io.surface import Surface

__all__ = ["read_off"]

HEADER = re.compile(r"(ST)?(C)?(N)?OFF", re.ASCII)


def read_off(path: Path) -> Surface:
    """Read the vertices and faces of an OFF file; colours, normals and texture are passed over.

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
    rows = [
        (number, words) for number, text in enumerate(read_lines(path), 1) if (words := text.split("#", 1)[0].split())
    ]
    if not rows or not HEADER.fullmatch(rows[0][1][0]):
        raise FileFormatError(path, "not an OFF file: the first word is not OFF", 1)
    first, words = rows[0]
    rest = words[1:]
    if rest and rest[0] == "BINARY":
        raise FileFormatError(
            path, "is a binary OFF file, which is not supported: convert it to ascii or to PLY", first
        )
    rows = [(first, rest), *rows[1:]] if rest else rows[1:]
    if not rows or len(rows[0][1]) not in (2, 3):
        raise FileFormatError(path, "expected the numbers of vertices, faces and edges", rows[0][0] if rows else first)
    line, words = rows[0]
    n_vertices, n_faces = (whole(path, word, line, "a count") for word in words[:2])
    body = rows[1:]
    if min(n_vertices, n_faces) < 0 or n_vertices + n_faces != len(body):
        raise FileFormatError(
            path, f"declares {n_vertices} vertices and {n_faces} faces, but {len(body)} lines follow: truncated?", line
        )
    vertices = np.array([point(path, *row) for row in body[:n_vertices]], dtype=np.float64).reshape(-1, 3)
    faces = [face(path, *row) for row in body[n_vertices:]]
    return Surface(
        vertices,
        np.array([len(corners) for corners in faces], dtype=np.int64),
        np.array([vertex for corners in faces for vertex in corners], dtype=np.int64),
        face_lines=np.array([number for number, _ in body[n_vertices:]], dtype=np.int64),
    )


def point(path: Path, line: int, words: list[str]) -> list[float]:
    """Coordinates of a vertex line."""
    if len(words) < 3:
        raise FileFormatError(path, f"a vertex has {len(words)} coordinates, expected 3", line)
    return [real(path, word, line, "a coordinate") for word in words[:3]]


def face(path: Path, line: int, words: list[str]) -> list[int]:
    """Corners of a face line."""
    size = whole(path, words[0], line, "the number of corners")
    if not 0 <= size < len(words):
        raise FileFormatError(path, f"the face promises {clip(words[0])} corners, the line has {len(words) - 1}", line)
    return [whole(path, word, line, "a corner") for word in words[1 : 1 + size]]
