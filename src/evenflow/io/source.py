"""What all readers share: the bytes of a file, its numbers, and errors that name the line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evenflow.errors import FileFormatError, InputError
from evenflow.graph import Graph
from evenflow.graph.arrays import EdgeError

__all__ = ["build", "clip", "index_names", "read_bytes", "read_lines", "real", "whole"]

WHOLE = re.compile(r"[+-]?\d{1,18}")


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; anything else is an InputError."""
    try:
        if not path.is_file():
            raise InputError(f"no file {str(path)!r}: check the path" + (" (a folder)" if path.is_dir() else ""))
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the file {str(path)!r} cannot be read: {error}") from error


def read_lines(path: Path, errors: str = "strict") -> list[str]:
    """Return the lines of a UTF-8 text file; a byte that is not text is a FileFormatError with its line."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileFormatError(path, "not UTF-8 text: convert the file, or check that it is no binary", line) from error
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def clip(text: str) -> str:
    """Return a text quoted, and shortened where it would flood a message."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def real(path: Path, token: str, line: int, what: str) -> float:
    """Return a finite number from a token, or raise FileFormatError naming the line and what it stands for."""
    try:
        value = float(token) if "_" not in token else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FileFormatError(path, f"{what} is {clip(token)}, expected a finite number", line)
    return value


def whole(path: Path, token: str, line: int, what: str) -> int:
    """Return an integer from a token, or raise FileFormatError naming the line and what it stands for."""
    if not WHOLE.fullmatch(token):
        raise FileFormatError(path, f"{what} is {clip(token)}, expected an integer", line)
    return int(token)


def index_names(numbers: Sequence[int]) -> Sequence[int] | None:
    """Return node names, or None where they are 0, 1, 2, ... anyway."""
    return None if list(numbers) == list(range(len(numbers))) else numbers


def build(path: Path, lines: Sequence[int] | npt.NDArray[np.int64], pairs: npt.ArrayLike, **arguments: Any) -> Graph:
    """Graph.from_edges, errors told with the line (from ``lines``, one for each pair) of the file."""
    try:
        return Graph.from_edges(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), **arguments)
    except EdgeError as error:
        line = int(lines[error.row]) if error.row < len(lines) else None
        raise FileFormatError(path, str(error), line) from error
    except InputError as error:
        raise FileFormatError(path, str(error)) from error
