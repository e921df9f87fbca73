"""The command line: one JSON object, exit codes, clear lines for wrong input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def evenflow(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a user does."""
    command = [sys.executable, "-W", "error", "-c", "from evenflow.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)  # type: ignore[call-overload]


def test_solve_prints_one_json_object(tmp_path: Path) -> None:
    run = evenflow("solve", "heat", "--graph", "lattice:8x8", "--method", "lbfgs", "--seed", "0", "--json")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    contract = {
        "energy",
        "gradient_norm",
        "status",
        "message",
        "method",
        "stages",
        "seconds",
        "setup_seconds",
        "counts",
        "graph",
        "seed",
    }
    assert contract <= set(record)
    assert {"value", "gradient", "hvp", "factorisation", "forward"} <= set(record["counts"])
    assert record["graph"] == {"nodes": 64, "edges": 112, "components": 1}


def test_solve_writes_everything_it_says(tmp_path: Path) -> None:
    run = evenflow(
        "solve", "kuramoto", "--graph", "ring:12", "--method", "lbfgs", "--out", str(tmp_path / "run"),
        "--checkpoint", str(tmp_path / "c.npz"),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert {entry.name for entry in (tmp_path / "run").iterdir()} == {
        "result.npz", "result.json", "history.png", "state.png",
    }  # fmt: skip
    assert "order_parameter" in json.loads((tmp_path / "run" / "result.json").read_text())
    again = evenflow("solve", "kuramoto", "--graph", "ring:12", "--checkpoint", str(tmp_path / "c.npz"))
    assert "continuing from" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solve", "heat", "--graph", "lattice:8xx8"], "lattice"),
        (["solve", "heat", "--graph", "nowhere.ply"], "nowhere.ply"),
        (["solve", "heatt", "--graph", "ring:9"], "heatt"),
        (["solve", "heat", "--graph", "ring:9", "--method", "lbgfs"], "did you mean 'lbfgs'"),
        (["solve", "heat", "--graph", "ring:9", "--param", "t_hot"], "NAME=VALUE"),
        (["solve", "heat", "--graph", "ring:9", "--param", "t_hto=1"], "t_hto"),
        (["solve", "heat", "--graph", "ring:9", "--param", "t_hot=warm"], "t_hot"),
        (["solve", "heat", "--graph", "ring:9", "--method", "adam", "--option", "lr=fast"], "lr"),
        (["compare", "heat", "--graph", "ring:9", "--targets", "small"], "--targets"),
        (["compare", "heat", "--graph", "ring:9", "--methods", "magic"], "magic"),
    ],
)
def test_wrong_input_is_one_clear_line_and_code_2(arguments: list[str], said: str) -> None:
    run = evenflow(*arguments)
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_malformed_file_is_code_2(tmp_path: Path) -> None:
    path = tmp_path / "broken.obj"
    path.write_text("v 0 0 0\nv 1 0 zero\n")
    run = evenflow("solve", "heat", "--graph", str(path))
    assert run.returncode == 2
    assert "broken.obj:2" in run.stderr


def test_failed_solve_is_code_1() -> None:
    run = evenflow("solve", "heat", "--graph", "ring:9", "--method", "sgd", "--option", "lr=1e6", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["status"] == "NOT_FINITE"


@pytest.mark.parametrize("command", ["methods", "energies", "graphs"])
def test_lists(command: str) -> None:
    run = evenflow(command, "--json")
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)
    assert len(rows) >= 3
    assert all(all(row.values()) for row in rows)
    assert evenflow(command).returncode == 0


def test_help_has_examples() -> None:
    run = evenflow("solve", "--help")
    assert run.returncode == 0
    assert "evenflow solve heat" in run.stdout


def test_ctrl_c_returns_the_best_point(tmp_path: Path) -> None:
    saved = tmp_path / "c.npz"
    arguments = ["solve", "heat", "--graph", "lattice:60x60", "--method", "rk4", "--json", "--param", "baths=sides"]
    child = subprocess.Popen(
        [sys.executable, "-c", "from evenflow.cli import main; main()", *arguments, "--checkpoint", str(saved)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not saved.exists() and child.poll() is None:  # under way as soon as it has saved itself once
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert json.loads(out)["status"] == "INTERRUPTED"
