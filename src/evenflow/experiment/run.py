"""run_experiment: run one by name and write what it found."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from evenflow.experiment.base import Outcome, Progress, Setting
from evenflow.experiment.registry import experiment

__all__ = ["run_experiment"]


def run_experiment(
    name: str,
    *,
    quick: bool = False,
    seeds: int | None = None,
    out: str | Path | None = None,
    progress: Progress = lambda line: None,
) -> tuple[dict[str, Any], Outcome]:
    """Run an experiment and return its record for JSON and its outcome.

    Parameters
    ----------
    name : str
        A key of ``EXPERIMENTS``.
    quick : bool
        The short form.
    seeds : int, optional
        Number of seeds; the experiment's own default otherwise.
    out : str or Path, optional
        Folder for ``result.json``, ``tables.md``, ``curves.npz`` and the pictures.
    progress : callable
        Told what is being done.

    Raises
    ------
    InputError
        If the name is unknown or ``seeds`` is less than 1.
    """
    found = experiment(name)
    own = found.quick_seeds if quick else found.seeds
    setting = Setting(own if seeds is None else seeds, quick, progress)
    module, function = found.entry.split(":")
    began = time.perf_counter()
    outcome: Outcome = getattr(import_module(module), function)(setting)
    record = {
        "experiment": name,
        "summary": found.summary,
        "source": found.source,
        "quick": quick,
        "seeds": setting.seeds,
        "seconds": time.perf_counter() - began,
        "findings": outcome.findings,
        "numbers": outcome.numbers,
        "tables": [table.as_dict() for table in outcome.tables],
        "environment": _environment(),
        "files": [],
    }
    record = _finite(record)
    if out is not None:
        record["files"] = _write(Path(out), record, outcome)
    return record, outcome


def _environment() -> dict[str, Any]:
    versions = {package: metadata.version(package) for package in ("evenflow", "numpy", "torch")}
    return {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(), **versions}


def _finite(value: Any) -> Any:
    """JSON has no nan and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _write(folder: Path, record: dict[str, Any], outcome: Outcome) -> list[str]:
    from matplotlib import rc_context

    from evenflow.report.style import STYLE, finish

    folder.mkdir(parents=True, exist_ok=True)
    names = ["result.json", "tables.md"]
    if outcome.arrays:
        np.savez_compressed(folder / "curves.npz", **outcome.arrays)  # type: ignore[arg-type]
        names.append("curves.npz")
    with rc_context(STYLE):
        for name, draw in outcome.pictures.items():
            finish(draw(), folder / f"{name}.png")
            names.append(f"{name}.png")
    text = [f"# {record['experiment']}", "", *(f"- {line}" for line in outcome.findings), ""]
    text += [f"{table.markdown()}\n" for table in outcome.tables]
    (folder / "tables.md").write_text("\n".join(text), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps({**record, "files": names}, indent=1) + "\n", encoding="utf-8")
    return names
