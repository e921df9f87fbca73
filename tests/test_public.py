"""The public face: every name loads, importing is light, arrows go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import evenflow as ef

SOURCE = Path(ef.__file__).parent
HEAVY = ["torch", "matplotlib", "networkx", "sympy", "numba", "pyamg", "meshio", "pandas", "pyarrow", "typer", "rich"]
ORDER = [
    {"errors", "status", "memory", "fresh", "interrupt", "graph"},
    {"gallery", "io"},
    {"energy"},
    {"preconditioner", "reparametrization", "minimizer", "stopping", "history", "progress", "result"},
    {"solve"},
    {"method", "teleport"},
    {"checkpoint"},
    {"front"},
    {"comparison", "experiment", "report", "scipy_door"},
    {"cli"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
# A public method may open a door further up, and only there: Graph.from_mesh, Result.plot, Result.plot_state.
DOORS = {("graph", "io"), ("result", "report")}


@pytest.mark.parametrize("name", ef.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(ef, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="minimise"):
        ef.minimise


@pytest.mark.parametrize("module", ["evenflow", "evenflow.energy.heat", "evenflow.energy.kuramoto"])
def test_import_is_light(module: str) -> None:
    """An energy is compiled when it is built, not when its class is named."""
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def imports(path: Path) -> list[str]:
    """Rooms of evenflow that a file imports."""
    return [
        str(node.module).split(".")[1]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evenflow.")
    ]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_go_one_way(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    upward = {target for target in imports(path) if RANK[target] > RANK[room] and (room, target) not in DOORS}
    assert upward == set()
