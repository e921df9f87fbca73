"""PLY, the polygon file format: ascii and both binary orders [1]_.

References
----------
.. [1] G. Turk, "The PLY Polygon File Format", Stanford University, 1994.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evenflow.errors import FileFormatError
from evenflow.io.source import clip, read_bytes, real, whole
from evenflow.io.surface import Surface

__all__ = ["read_ply"]

IntArray = npt.NDArray[np.int64]

TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
MAX_HEADER = 1 << 20
WANTED = {"vertex": "x y z", "face": "vertex_indices vertex_index", "edge": "vertex1 vertex2"}


@dataclass
class Property:
    """One column of an element; a list where ``count`` (the type of its length) is not None."""

    name: str
    type: str
    count: str | None = None


@dataclass
class Element:
    """One table of the file."""

    name: str
    rows: int
    line: int
    properties: list[Property] = field(default_factory=list)


@dataclass
class Table:
    """Values of one element: scalars (rows,), lists as (lengths (rows,), items); and the lines of an ascii file."""

    scalars: dict[str, npt.NDArray[Any]]
    lists: dict[str, tuple[IntArray, npt.NDArray[Any]]]
    lines: IntArray


def read_ply(path: Path) -> Surface:
    """Read the vertices, faces and edges of a PLY file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Surface

    Raises
    ------
    FileFormatError
        If the file is not what its header promises.
    """
    content = read_bytes(path)
    order, elements, body, line = header(path, content)
    tables = (
        ascii_tables(path, content, elements, line)
        if order == ""
        else binary_tables(path, memoryview(content)[body:], elements, order)
    )
    vertex = tables.get("vertex")
    axes = [axis for axis in "xyz" if vertex is not None and axis in vertex.scalars]
    if vertex is None or axes[:2] != ["x", "y"]:
        raise FileFormatError(path, "has no element vertex with properties x and y")
    vertices = np.stack([vertex.scalars[axis].astype(np.float64) for axis in axes], axis=1)
    sizes = corners = np.zeros(0, dtype=np.int64)
    lines: IntArray = sizes
    if "face" in tables:
        face = tables["face"]
        name = next((name for name in ("vertex_indices", "vertex_index") if name in face.lists), None)
        if name is None:
            raise FileFormatError(path, "element face has no list vertex_indices")
        sizes, items = face.lists[name]
        corners, lines = integers(path, items, name), face.lines
    pairs, pair_lines = np.zeros((0, 2), dtype=np.int64), lines[:0]
    edge = tables.get("edge")
    if edge is not None and {"vertex1", "vertex2"} <= set(edge.scalars):
        pairs = np.stack([integers(path, edge.scalars[name], name) for name in ("vertex1", "vertex2")], axis=1)
        pair_lines = edge.lines
    return Surface(vertices, sizes, corners, pairs, lines, pair_lines)


def integers(path: Path, values: npt.NDArray[Any], name: str) -> IntArray:
    """Vertex numbers as int64; fractions are refused."""
    with np.errstate(invalid="ignore"):
        result = values.astype(np.int64)
        bad = result != values
    if bad.any():
        raise FileFormatError(path, f"{name} holds {values[np.argmax(bad)]}, expected integers")
    return result


def header(path: Path, content: bytes) -> tuple[str, list[Element], int, int]:
    """Byte order, elements, first byte of the body, and number of header lines."""
    ends = [b"\r\n", b"\n", b"\r"]
    end = next((end for end in ends if content.startswith(b"ply" + end)), None)
    if end is None:
        raise FileFormatError(path, "not a PLY file: the first line is not 'ply'", 1)
    stop = content.find(b"end_header" + end, 0, MAX_HEADER)
    if stop < 0:
        raise FileFormatError(path, "the header has no line 'end_header'")
    lines = content[:stop].decode("latin-1").split(end.decode())[:-1]
    order: str | None = None
    elements: list[Element] = []
    for number, text in enumerate(lines[1:], 2):
        words = text.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3 and words[1] in ORDERS:
            order = ORDERS[words[1]]
        elif words[0] == "element" and len(words) == 3:
            rows = whole(path, words[2], number, f"the number of elements {clip(words[1])}")
            if rows < 0 or words[1] in (element.name for element in elements):
                raise FileFormatError(path, f"element {clip(text)} is negative or declared twice", number)
            elements.append(Element(words[1], rows, number))
        elif words[0] == "property" and elements:
            new = column(path, words, number)
            if new.name in (p.name for p in elements[-1].properties):
                raise FileFormatError(path, f"property {clip(new.name)} is declared twice", number)
            elements[-1].properties.append(new)
        else:
            raise FileFormatError(path, f"{clip(text)} is no header line of PLY", number)
    if order is None:
        raise FileFormatError(path, f"the header has no 'format' line with one of {', '.join(ORDERS)}")
    return order, elements, stop + len(b"end_header" + end), len(lines) + 1


def column(path: Path, words: list[str], line: int) -> Property:
    """The property that a header line declares."""
    if len(words) == 3 and words[1] in TYPES:
        return Property(words[2], TYPES[words[1]])
    if len(words) == 5 and words[1] == "list" and words[3] in TYPES and TYPES.get(words[2], "f")[0] != "f":
        return Property(words[4], TYPES[words[3]], TYPES[words[2]])
    raise FileFormatError(path, f"{clip(' '.join(words))} is no property: expected 'property TYPE NAME'", line)


def claim(path: Path, element: Element, least: int, have: int) -> None:
    """Refuse a row count that the rest of the file cannot hold, before anything is allocated for it."""
    if element.rows * least > have:
        raise FileFormatError(
            path,
            f"declares {element.rows} elements {element.name!r}, at least {element.rows * least} bytes, "
            f"but only {have} are left: truncated?",
            element.line,
        )


def ascii_tables(path: Path, content: bytes, elements: list[Element], line: int) -> dict[str, Table]:
    """Tables of an ascii file, one row on each line that is not blank."""
    text = content.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    rows = [
        (number, words) for number, row in enumerate(text.split("\n"), 1) if number > line and (words := row.split())
    ]
    tables, done = {}, 0
    for element in elements:
        if not element.properties:
            continue
        if done + element.rows > len(rows):
            raise FileFormatError(
                path,
                f"declares {element.rows} elements {element.name!r}, but only {len(rows) - done} lines follow",
                element.line,
            )
        tables[element.name] = ascii_table(path, element, rows[done : done + element.rows])
        done += element.rows
    if done < len(rows):
        raise FileFormatError(path, "has more lines than its header declares", rows[done][0])
    return tables


def ascii_table(path: Path, element: Element, rows: list[tuple[int, list[str]]]) -> Table:
    """Values of one element of an ascii file, as far as a graph needs them."""
    wanted = WANTED.get(element.name, "").split()
    found: dict[str, list[list[float]]] = {p.name: [] for p in element.properties if p.name in wanted}
    for line, words in rows:
        at = 0
        for p in element.properties:
            if at >= len(words):
                raise FileFormatError(path, f"the line ends before {p.name!r} of {element.name!r}", line)
            size = 1
            if p.count is not None:
                size = whole(path, words[at], line, f"the length of {p.name!r}")
                at += 1
            if not 0 <= size <= len(words) - at:
                raise FileFormatError(path, f"{p.name!r} promises {size} entries, {len(words) - at} are left", line)
            if p.name in found:
                found[p.name].append([real(path, word, line, f"{p.name!r}") for word in words[at : at + size]])
            at += size
        if at != len(words):
            raise FileFormatError(path, f"the line has {len(words)} values, expected {at} for {element.name!r}", line)
    table = Table({}, {}, np.array([line for line, _ in rows], dtype=np.int64))
    for p in element.properties:
        if p.name in found:
            values = np.array(list(chain.from_iterable(found[p.name])), dtype=np.float64)
            if p.count is None:
                table.scalars[p.name] = values
            else:
                table.lists[p.name] = (np.array([len(row) for row in found[p.name]], dtype=np.int64), values)
    return table


def binary_tables(path: Path, body: memoryview, elements: list[Element], order: str) -> dict[str, Table]:
    """Tables of a binary file."""
    tables, at = {}, 0
    for element in elements:
        if not element.properties:
            continue
        claim(path, element, sum(np.dtype(p.count or p.type).itemsize for p in element.properties), len(body) - at)
        table, used = uniform_table(element, body[at:], order) or ragged_table(path, element, body[at:], order)
        tables[element.name] = table
        at += used
    if at < len(body):
        raise FileFormatError(path, f"has {len(body) - at} bytes more than its header declares")
    return tables


def uniform_table(element: Element, body: memoryview, order: str) -> tuple[Table, int] | None:
    """Values and bytes of an element whose lists are as long in every row as in the first; None if they are not."""
    if element.rows == 0:
        return None
    fields: list[tuple[Any, ...]] = []
    at = 0
    for k, p in enumerate(element.properties):
        if p.count is not None:
            length = np.dtype(order + p.count)
            if at + length.itemsize > len(body):
                return None
            size = int(np.frombuffer(body, length, 1, at)[0])
            if not 0 <= size * np.dtype(p.type).itemsize <= len(body):
                return None
            fields.append((f"n{k}", length))
            fields.append((f"v{k}", order + p.type, (size,)))
            at += length.itemsize + size * np.dtype(p.type).itemsize
        else:
            fields.append((f"v{k}", order + p.type))
            at += np.dtype(p.type).itemsize
    if element.rows * at > len(body):
        return None
    rows = np.frombuffer(body, np.dtype(fields), element.rows)
    table = Table({}, {}, np.zeros(0, dtype=np.int64))
    for k, p in enumerate(element.properties):
        values = rows[f"v{k}"]
        if p.count is None:
            table.scalars[p.name] = values
        else:
            if (rows[f"n{k}"] != values.shape[1]).any():
                return None
            table.lists[p.name] = (rows[f"n{k}"].astype(np.int64), values.ravel())
    return table, element.rows * at


def ragged_table(path: Path, element: Element, body: memoryview, order: str) -> tuple[Table, int]:
    """Values and bytes of an element whose lists vary in length, row by row."""
    scalars: dict[str, list[float]] = {p.name: [] for p in element.properties if p.count is None}
    lists: dict[str, tuple[list[int], list[float]]] = {p.name: ([], []) for p in element.properties if p.count}
    at = 0

    def take(kind: str, number: int) -> tuple[Any, ...]:
        nonlocal at
        size = np.dtype(kind).itemsize * number
        if number < 0 or at + size > len(body):
            raise FileFormatError(path, f"ends within (or has a negative list in) element {element.name!r}: truncated?")
        at += size
        return struct.unpack_from(f"{order}{number}{CODES[kind]}", body, at - size)

    for _ in range(element.rows):
        for p in element.properties:
            if p.count is None:
                scalars[p.name].append(take(p.type, 1)[0])
            else:
                sizes, items = lists[p.name]
                sizes.append(int(take(p.count, 1)[0]))
                items.extend(take(p.type, sizes[-1]))
    table = Table(
        {name: np.array(values) for name, values in scalars.items()},
        {name: (np.array(sizes, dtype=np.int64), np.array(items)) for name, (sizes, items) in lists.items()},
        np.zeros(0, dtype=np.int64),
    )
    return table, at
