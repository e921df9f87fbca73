"""The frame: settings, tables, registry, files, command line."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evenflow.cli.experiment import app
from evenflow.errors import InputError
from evenflow.experiment import EXPERIMENTS, Experiment, Outcome, Setting, Table, experiment, run_experiment
from evenflow.experiment.base import format_cell, mean_spread
from evenflow.teleport.plots import plot_curves


def toy(setting: Setting) -> Outcome:
    """A small experiment that the tests register."""
    setting.progress("working")
    return Outcome(
        findings=[f"{setting.seeds} seeds, quick: {setting.quick}"],
        tables=[Table("T", ("what", "|x|"), [("a", (1.0, math.nan)), ("b", None)], "a note")],
        numbers={"bad": math.inf, "list": [np.float64(1.0), math.nan], "count": np.int64(3)},
        arrays={"a/b": np.ones((2, 3))},
        pictures={"curve": lambda: plot_curves({"T": {"a": np.ones((2, 3))}})},
    )


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Experiment("toy", "a toy", "nowhere", f"{__name__}:toy", seeds=4, quick_seeds=2)
    monkeypatch.setitem(EXPERIMENTS, "toy", entry)
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or import_module(__name__))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_loads_and_is_described(name: str) -> None:
    entry = EXPERIMENTS[name]
    module, function = entry.entry.split(":")
    assert callable(getattr(import_module(module), function))
    assert entry.name == name
    assert entry.summary
    assert entry.source
    assert entry.seeds >= entry.quick_seeds >= 2


def test_unknown_names_and_seeds() -> None:
    with pytest.raises(InputError, match="teleport-mnist"):
        experiment("banana")
    with pytest.raises(InputError, match="seeds = 0"):
        run_experiment("teleport-functions", seeds=0)


@pytest.mark.usefixtures("registered")
def test_record_and_files(tmp_path: Path) -> None:
    lines: list[str] = []
    record, outcome = run_experiment("toy", quick=True, out=tmp_path / "new", progress=lines.append)
    assert lines == ["working"]
    assert outcome.findings == ["2 seeds, quick: True"]
    assert record["numbers"] == {"bad": None, "list": [1.0, None], "count": 3}
    assert record["files"] == ["result.json", "tables.md", "curves.npz", "curve.png"]
    saved = json.loads((tmp_path / "new" / "result.json").read_text())
    assert saved == json.loads(json.dumps(record))
    assert "| what | \\|x\\| |" in (tmp_path / "new" / "tables.md").read_text()
    with np.load(tmp_path / "new" / "curves.npz") as arrays:
        assert arrays["a/b"].shape == (2, 3)
    assert run_experiment("toy")[0]["seeds"] == 4
    assert run_experiment("toy", seeds=7)[0]["seeds"] == 7


@pytest.mark.usefixtures("registered")
def test_command_line(tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["list", "--json"])
    assert {row["name"] for row in json.loads(listed.stdout)} == set(EXPERIMENTS)
    assert "teleport-mnist" in runner.invoke(app, ["list"]).stdout
    done = runner.invoke(app, ["run", "toy", "--quick", "--seeds", "3", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["seeds"] == 3
    assert (tmp_path / "curve.png").is_file()
    text = runner.invoke(app, ["run", "toy"])
    assert "| a | 1 |" in text.stdout
    assert isinstance(runner.invoke(app, ["run", "banana"]).exception, InputError)


def test_cells() -> None:
    assert format_cell((1.0, 0.5)) == "1 ± 0.5"
    assert format_cell(3) == "3"
    mean, spread = mean_spread([2.0])
    assert mean == 2.0
    assert math.isnan(spread)
