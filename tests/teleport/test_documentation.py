"""The page and the example run as they stand."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def test_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "teleport.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/teleport.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert len(blocks) == 2
    assert len(lines) == 4
    assert all("nan" not in line for line in lines)


def test_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "teleport_training_loop.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("teleport:") for line in lines) == 4
    assert len(lines) == 11
