"""Archives hold trees, appear whole or not at all, and refuse foreign files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evenflow.errors import FileFormatError, InputError
from evenflow.io.archive import read_archive, write_archive

scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=5)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tree=st.dictionaries(st.text(max_size=3), trees, max_size=3))
def test_round_trip_of_trees(tmp_path: Path, tree: dict[str, Any]) -> None:
    write_archive(tmp_path / "a.npz", "test", tree)
    assert read_archive(tmp_path / "a.npz", "test") == tree


def test_round_trip_of_arrays_bit_for_bit(tmp_path: Path, rng: np.random.Generator) -> None:
    tree = {"x": rng.normal(size=(3, 2)), "deep": [{"i": np.arange(4)}, 1.0 / 3.0], "s": np.float64(0.1)}
    write_archive(tmp_path / "a.npz", "test", tree)
    found = read_archive(tmp_path / "a.npz", "test")
    assert found["x"].tobytes() == tree["x"].tobytes()
    assert found["deep"][0]["i"].tolist() == [0, 1, 2, 3]
    assert (found["deep"][1], found["s"]) == (1.0 / 3.0, 0.1)


def test_refuses_what_is_not_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write a function"):
        write_archive(tmp_path / "a.npz", "test", {"f": run_nothing})
    assert list(tmp_path.iterdir()) == []


def run_nothing() -> None:
    """Stand for a callable."""


@pytest.mark.parametrize("cut", [0, 1, 10, 100, 200])
def test_truncated_file_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.npz"
    write_archive(path, "test", {"x": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FileFormatError, match="not a complete evenflow test file"):
        read_archive(path, "test")


@pytest.mark.parametrize("content", [b"hello", b"\x93NUMPY\x01\x00", b"PK\x03\x04junk"])
def test_foreign_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        read_archive(path, "test")
    np.savez(path, other=np.arange(3))
    with pytest.raises(FileFormatError):
        read_archive(path, "test")


def test_other_kind_and_absence(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_archive(path, "result", {})
    with pytest.raises(FileFormatError, match="an evenflow result file, expected a checkpoint file"):
        read_archive(path, "checkpoint")
    with pytest.raises(FileNotFoundError):
        read_archive(tmp_path / "b.npz", "result")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(where=st.floats(0, 1), byte=st.integers(0, 255))
@example(where=0.873046875, byte=1)  # the name of an array, in the directory of the file
def test_a_damaged_byte_never_escapes_as_another_error(tmp_path: Path, where: float, byte: int) -> None:
    path = tmp_path / "a.npz"
    write_archive(path, "test", {"x": np.arange(20.0), "y": "text"})
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] = byte
    path.write_bytes(content)
    with contextlib.suppress(FileFormatError):
        assert set(read_archive(path, "test")) == {"x", "y"}
