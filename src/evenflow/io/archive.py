"""Archives: trees of numbers, strings and arrays in one npz file, written atomically, read without pickle."""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from evenflow.errors import FileFormatError, InputError

__all__ = ["read_archive", "write_archive"]

# What NumPy, zipfile and json raise on a damaged file; a flipped bit can reach any of them.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ArithmeticError, AttributeError, EOFError, KeyError, MemoryError,
    NotImplementedError, OSError, RuntimeError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
_ARRAY = "__array__"
_TREE = "tree"


def write_archive(path: str | Path, kind: str, tree: dict[str, Any]) -> None:
    """Write a tree of dicts, lists, JSON scalars and arrays to ``path``.

    The file appears whole or not at all: it is written beside its place, flushed to disk and renamed.

    Parameters
    ----------
    path : str or Path
    kind : str
        What the file is, checked by :func:`read_archive`.
    tree : dict

    Raises
    ------
    OSError
        If the file cannot be written (a full disk, no permission); an earlier file at ``path`` is untouched.
    InputError
        If the tree holds something else.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps({"kind": kind, "version": 1, "tree": _strip(tree, arrays)})
    buffer = io.BytesIO()
    np.savez(buffer, **{_TREE: np.frombuffer(text.encode(), dtype=np.uint8)}, **arrays)  # type: ignore[arg-type]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=target.name, suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_archive(path: str | Path, kind: str) -> dict[str, Any]:
    """Read what :func:`write_archive` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is truncated, foreign, or of another kind.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        head = json.loads(arrays.pop(_TREE).tobytes())
        found, tree = head["kind"], _fill(head["tree"], arrays)
    except _DAMAGE as error:
        raise FileFormatError(path, f"not a complete evenflow {kind} file ({error}); use an earlier one") from error
    if found != kind:
        raise FileFormatError(path, f"an evenflow {found} file, expected a {kind} file")
    return tree


def _strip(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Move the arrays of a tree to ``arrays`` and leave their names."""
    if isinstance(node, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = node
        return {_ARRAY: name}
    if isinstance(node, np.generic):
        return node.item()
    if isinstance(node, dict):
        return {str(key): _strip(value, arrays) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_strip(value, arrays) for value in node]
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    raise InputError(f"cannot write a {type(node).__name__} to a file; only numbers, strings and arrays")


def _fill(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Put the arrays back."""
    if isinstance(node, dict):
        if set(node) == {_ARRAY}:
            return arrays[node[_ARRAY]]
        return {key: _fill(value, arrays) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, arrays) for value in node]
    return node
