"""Checkpoints: a solve under way, written so that it continues bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evenflow.energy.base import BaseEnergy
from evenflow.energy.storage import export_energy, restore_energy
from evenflow.errors import InputError
from evenflow.history import History
from evenflow.io.archive import read_archive, write_archive
from evenflow.method.base import Method
from evenflow.method.codec import decode, encode
from evenflow.minimizer.base import State
from evenflow.result import StageReport
from evenflow.solve import Clock, Solve, Stage, StageProgress
from evenflow.status import Status

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]


@dataclass
class Checkpoint:
    """What a checkpoint file holds, decoded.

    Attributes
    ----------
    energy : BaseEnergy or None
        None where the energy holds code and must be given again.
    shape : tuple of int
        Shape of its states.
    method : Method
    options : dict
        Seed, tolerance, ``every`` and budget of the solve.
    progress : dict
        The loop's own numbers and arrays.
    """

    energy: BaseEnergy | None
    shape: tuple[int, ...]
    method: Method
    options: dict[str, Any]
    progress: dict[str, Any]

    def load(self, solve: Solve) -> None:
        """Put the finished stages and the history back into a fresh solve."""
        saved = self.progress
        solve.clock = Clock(saved["seconds"])
        solve.history = History(**{name: column.tolist() for name, column in saved["history"].items()})
        solve.reports = [StageReport.from_dict(report) for report in saved["reports"]]
        solve.iterations, solve.setup_seconds, solve.w = saved["iterations"], saved["setup_seconds"], saved["w"]

    def state(self, solve: Solve, stage: Stage) -> State:
        """Put the running stage and the counts back; the minimizer rebuilds what follows from its memory."""
        saved, row = self.progress, self.progress["state"]
        solve.progress_of_stage = StageProgress(**saved["stage"])
        solve.best_energy, solve.best_theta = saved["best_energy"], saved["best_theta"]
        state = State(
            row["theta"],
            row["energy"],
            row["gradient"],
            row["gradient_norm"],
            row["steps"],
            row["decrement"],
            row["inner"],
            Status[row["status"]] if row["status"] else None,
            row["note"],
        )
        stage.minimizer.restore(solve.problem, state, row["memory"])
        for name, count in saved["counts"].items():  # rebuilding the map and the minimizer is no new work
            setattr(solve.counts, name, count)
        return state


def write_checkpoint(path: str | Path, solve: Solve, method: Method, options: Mapping[str, Any]) -> None:
    """Write the solve to ``path``, atomically.

    Raises
    ------
    OSError
        If the file cannot be written; an earlier checkpoint is untouched.
    """
    state = solve.state
    if state is None:
        raise InputError("nothing to save: the solve has not begun")
    tree = {
        "energy": export_energy(solve.energy),
        "shape": list(solve.energy.shape),
        "method": encode(method),
        "options": dict(options),
        "progress": {
            "seconds": solve.clock.seconds,
            "counts": solve.counts.as_dict(),
            "history": solve.history.arrays(),
            "reports": [report.as_dict() for report in solve.reports],
            "iterations": solve.iterations,
            "setup_seconds": solve.setup_seconds,
            "w": solve.w,
            "stage": asdict(solve.progress_of_stage),
            "best_energy": solve.best_energy,
            "best_theta": solve.best_theta,
            "state": {
                "theta": state.theta,
                "energy": state.energy,
                "gradient": state.gradient,
                "gradient_norm": state.gradient_norm,
                "steps": state.steps,
                "decrement": state.decrement,
                "inner": state.inner,
                "status": state.status.name if state.status else None,
                "note": state.note,
                "memory": solve.stage.minimizer.export(state),
            },
        },
    }
    write_archive(path, "checkpoint", tree)


def read_checkpoint(path: str | Path, energy: BaseEnergy | None = None) -> Checkpoint:
    """Read a checkpoint; ``energy`` replaces the stored one (needed where that holds code).

    Raises
    ------
    FileFormatError
        If the file is truncated or foreign.
    InputError
        If the energy is not stored and not given, or has another shape.
    """
    tree = read_archive(path, "checkpoint")
    shape = tuple(tree["shape"])
    found = energy if energy is not None else restore_energy(tree["energy"])
    if found is None:
        raise InputError(f"{path}: the energy of this solve holds code and is not in the file; pass energy= again")
    if found.shape != shape:
        raise InputError(f"energy has shape {found.shape}, but the checkpoint was written for {shape}")
    return Checkpoint(found, shape, decode(tree["method"]), tree["options"], tree["progress"])
