"""The kernel cache as other processes see it; each test starts its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    exec(sys.argv[1])
    from evenflow.energy import Energy
    from evenflow.graph import Graph
    energy = Energy(Graph.from_edges([[0, 1], [1, 2]]), pair=lambda x: x**2)
    for _ in range(2):
        value, gradient = energy.value_and_gradient(np.array([0.0, 1.0, 3.0]))
kernels = energy._engine._kernels
print(json.dumps({
    "value": value,
    "gradient": gradient.tolist(),
    "sympy": "sympy" in sys.modules,
    "hits": sum(kernels._module.gradient.stats.cache_hits.values()),
    "misses": sum(kernels._module.gradient.stats.cache_misses.values()),
    "file": getattr(kernels._module, "__file__", None),
    "warnings": [w.category.__name__ for w in caught],
}))
"""


def start(folder: Path, before: str = "") -> subprocess.Popen[str]:
    environment = os.environ | {"EVENFLOW_CACHE": str(folder)}
    command = [sys.executable, "-c", SCRIPT, before]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(output)
    assert found["value"] == 5.0
    assert found["gradient"] == [-2.0, -2.0, 4.0]
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that a first process has filled."""
    folder = tmp_path_factory.mktemp("kernels")
    first = finish(start(folder))
    assert first["sympy"]
    assert first["misses"] == 1
    assert first["warnings"] == []
    return folder


@pytest.fixture
def copied(filled: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(filled, tmp_path / "kernels"))


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_second_process_compiles_nothing_and_needs_no_sympy(filled: Path) -> None:
    before = snapshot(filled)
    found = finish(start(filled))
    assert not found["sympy"]
    assert (found["hits"], found["misses"]) == (1, 0)
    assert snapshot(filled) == before


def test_processes_that_start_together_do_not_disturb_each_other(tmp_path: Path) -> None:
    for process in [start(tmp_path / "new") for _ in range(2)]:
        assert finish(process)["warnings"] == []
    assert not list((tmp_path / "new").glob("*.tmp"))


def test_unusable_folder_warns_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = finish(start(tmp_path / "file" / "folder"))
    assert found["warnings"] == ["CacheWarning"]
    assert not Path(found["file"]).exists(), "the temporary folder is gone"


def test_read_only_folder_is_still_read(filled: Path) -> None:
    found = finish(start(filled, "from evenflow.energy import cache; cache._writable = lambda folder: False"))
    assert not found["sympy"]
    assert (found["hits"], found["misses"]) == (1, 0)
    assert found["warnings"] == ["CacheWarning"]


@pytest.mark.parametrize("bytes_left", [100, 16_000])
def test_full_disk_falls_back_to_memory(tmp_path: Path, bytes_left: int) -> None:
    """Neither the module (100 bytes) nor the compiled code (16 kB) can be written."""
    pytest.importorskip("resource")
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_left}, {bytes_left}))"
    found = finish(start(tmp_path, limit))
    assert found["warnings"] == ["CacheWarning"]
    assert not list(tmp_path.glob("*.tmp"))


def test_damaged_module_is_generated_again(copied: Path) -> None:
    (module,) = copied.glob("*.py")
    whole = module.read_text()
    module.write_text(whole[: len(whole) // 2])
    found = finish(start(copied))
    assert found["sympy"]
    assert module.read_text() == whole


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_damaged_compiled_code_is_replaced(copied: Path, suffix: str) -> None:
    for compiled in copied.rglob(f"*.{suffix}"):
        compiled.write_bytes(compiled.read_bytes()[:100])
    assert finish(start(copied))["warnings"] == ["CacheWarning"]
    again = finish(start(copied))
    assert again["warnings"] == []
    assert again["misses"] == 1
