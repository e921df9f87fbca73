"""The heat benchmarks run: what is not run rots."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up, and one benchmark the other
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def diffusion():
    yield load("diffusion")
    del sys.modules["diffusion"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("EVENFLOW_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_runs_and_sums_up(diffusion, tmp_path, capsys):
    options = "--sizes 100,400 --cases lattice --baths sides --methods auto,newton-cg,adam --max-seconds 2 --repeats 1"
    diffusion.main([*options.split(), "--out", str(tmp_path), "--twice"])
    text = capsys.readouterr().out
    assert "=== lattice/sides/100: lattice:10x10" in text
    assert "auto / best" in text or "lattice/sides/100" in text
    assert "second run:" in text
    assert "auto against SciPy L-BFGS-B" in text
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".parquet", ".png"}


def test_anatomy_adds_up(diffusion, capsys):
    load("anatomy").main(["--cases", "lattice,lattice3d", "--sizes", "2500", "--repeats", "1"])
    del sys.modules["anatomy"]
    text = capsys.readouterr().out
    for part in ("hierarchy, built", "nested iteration", "cycle", "rest", "whole"):
        assert part in text
    assert "lattice3d/sides/2500: auto does not nest here" in text


def test_every_family_builds(diffusion):
    seen = set()
    for case in diffusion.cases([500], None):
        if case.family == "road":
            continue  # its size is fixed, and too large for a test
        energy = case.energy()
        assert energy.graph.components[0] == 1, case.name
        assert len(energy.hot) == len(energy.cold) > 0
        seen.add(case.family)
    assert {"lattice", "lattice3d", "triangular", "sbm", "rgg", "ba", "tree", "decades"} <= seen


def test_what_was_hopeless_is_not_run_on_larger_graphs(diffusion, monkeypatch):
    case = next(iter(diffusion.cases([100], ["ba"])))
    book = {"ba/random": {"adam": "missed 1e-08 at 100 nodes (deadline)"}}
    skipped = diffusion.choose(case, 10_000, ["adam", "auto", "newton-superlu"], book)
    assert skipped == {
        "adam": "missed 1e-08 at 100 nodes (deadline)",
        "newton-superlu": "the fill-in of its factor would not fit into memory",
    }
