from __future__ import annotations

import json
import sys

import pytest

from evenflow.comparison import Comparison, Row
from evenflow.errors import FileFormatError, InputError
from evenflow.history import Counts

TARGETS = (1e-4, 1e-8)


@pytest.fixture
def comparison() -> Comparison:
    counts = Counts(gradient=12, hvp=30).as_dict()
    quick = {
        "version": "evenflow 0.1.0",
        "seconds": 0.011,
        "setup_seconds": 0.001,
        "warmup_seconds": 0.2,
        "counts": counts,
        "energy_start": 9.0,
        "energy": 2.0,
        "gap": 1e-9,
        "gradient_norm": 1e-7,
        "steps": 2,
        "repeats": 3,
        "curve_seconds": [0.0, 0.005, 0.01],
        "curve_energy": [9.0, 2.0001, 2.0],
        "command": "rerun",
    }
    rows = [
        Row("auto", True, 0, "reached", times={"0.0001": 0.005, "1e-08": 0.01}, **quick),
        Row("auto", True, 1, "reached", times={"0.0001": 0.005, "1e-08": 0.03}, **quick),
        Row("slow", False, 0, "deadline", times={"0.0001": 0.5, "1e-08": None}, **quick),
        Row("slow", False, 1, "reached", times={"0.0001": 0.5, "1e-08": 1.0}, **quick),
        Row(
            "none",
            False,
            0,
            "not applicable",
            "needs a graph [of edges]",
            times=dict.fromkeys(("0.0001", "1e-08")),
            counts=Counts().as_dict(),
        ),
    ]
    return Comparison(
        energy="heat",
        graph={"nodes": 9, "edges": 12, "components": 1},
        targets=TARGETS,
        reference=2.0,
        reference_source="given",
        scale=2.0,
        pass_seconds=1e-4,
        energy_warmup_seconds=0.3,
        clock="wall",
        max_seconds=60.0,
        machine={"cpu": "some", "cores": "2", "python": "3.11"},
        tunings={"slow": "none"},
        rows=rows,
    )


def test_json_round_trip(comparison, tmp_path):
    path = tmp_path / "c.json"
    text = comparison.to_json(path)
    assert json.loads(text)["rows"][4]["reason"] == "needs a graph [of edges]"
    assert Comparison.from_json(path) == comparison
    assert Comparison.from_json(text) == comparison


def test_parquet_round_trip(comparison, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "c.parquet"
    comparison.to_parquet(path)
    assert Comparison.from_parquet(path) == comparison
    first = parquet.read_table(path).to_pylist()[0]  # each row tells its case and its machine
    assert (first["graph_nodes"], first["machine_cores"], first["energy_name"]) == (9, "2", "heat")


def test_foreign_files_are_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x"
    path.write_text("no")
    with pytest.raises(FileFormatError, match="not JSON"):
        Comparison.from_json(path)
    with pytest.raises(FileFormatError, match="parquet"):
        Comparison.from_parquet(path)
    path.write_text("{}")
    with pytest.raises(FileFormatError, match="not a comparison"):
        Comparison.from_json(path)
    parquet.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(FileFormatError, match="no comparison"):
        Comparison.from_parquet(path)


def test_missing_pyarrow_names_the_extra(comparison, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"evenflow\[store\]"):
        comparison.to_parquet(tmp_path / "c.parquet")


def test_ranking_and_passes(comparison):
    assert comparison.ranking() == ["auto"]  # slow missed it at one of two seeds: its median is infinite
    assert comparison.ranking(1e-4) == ["auto", "slow"]
    assert comparison.passes(comparison.rows[0], 1e-8) == pytest.approx(100)
    assert comparison.passes(comparison.rows[2], 1e-8) is None


def test_row_lookup(comparison):
    assert comparison.row("slow", 1).times["1e-08"] == 1.0
    with pytest.raises(InputError, match="no such row"):
        comparison.row("fast")


def test_table_tells_everything(comparison):
    text = str(comparison)
    assert "not applicable: needs a graph [of edges]" in text
    assert "E* = 2: given" in text
    for word in ("10 ms", "1e-08", "passes", "set-up", "warm-up", "wall seconds", "slow: evenflow 0.1.0; none", "3.11"):
        assert word in text
    lines = text.splitlines()
    order = [
        next(k for k, line in enumerate(lines) if line.startswith(f"{m} ") and f" {s} " in line)
        for m, s in (("auto", 0), ("auto", 1), ("slow", 1), ("slow", 0))
    ]
    assert order == sorted(order)


def test_narrow_table_keeps_what_matters(comparison):
    from evenflow.report.tables import as_text, comparison_table

    text = as_text(comparison_table(comparison, 80), 80)
    assert max(map(len, text.splitlines())) <= 80
    header = next(line for line in text.splitlines() if line.startswith("method"))
    assert header.split() == ["method", "seed", "0.0001", "1e-08", "ratio", "set-up", "gap", "status"]
    assert "…" not in text


def test_plot(comparison):
    figure = comparison.plot()
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "gap" in axes.get_ylabel()
    assert "(s)" in axes.get_xlabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["auto", "slow"]
