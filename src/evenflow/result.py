"""Result: where a solve ended, and everything that was measured on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenflow.history import Counts, History
from evenflow.io.archive import read_archive, write_archive
from evenflow.status import Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evenflow.energy.base import BaseEnergy, FloatArray

__all__ = ["Observables", "Result", "StageReport"]


@dataclass
class StageReport:
    """How one stage went.

    ``seconds`` includes ``setup_seconds`` (building the map, fitting its start, factorising).
    """

    name: str
    reparametrization: str
    minimizer: str
    status: Status
    steps: int
    seconds: float
    setup_seconds: float
    energy_start: float
    energy: float
    inner: int = 0
    encode_error: float = 0.0
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON scalars."""
        return {**asdict(self), "status": self.status.name}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> StageReport:
        """Inverse of :meth:`as_dict`."""
        return cls(**{**saved, "status": Status[saved["status"]]})


class Observables(Mapping[str, float]):
    """An energy's report on a point, computed when it is first read: that takes a few passes, which few want.

    Parameters
    ----------
    energy : BaseEnergy
    w : ndarray

    Examples
    --------
    >>> import evenflow as ef
    >>> energy = ef.Kuramoto(ef.gallery.ring(12))
    >>> round(ef.minimize(energy).report["order_parameter"], 6)
    1.0
    """

    def __init__(self, energy: BaseEnergy, w: FloatArray) -> None:
        self._energy, self._w = energy, w

    @cached_property
    def _values(self) -> dict[str, float]:
        return self._energy.report(self._w)

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass
class Result:
    """Outcome of :func:`evenflow.minimize`.

    Attributes
    ----------
    w : ndarray (or torch.Tensor where the start was one)
        The best point found, of the shape of the energy.
    energy : float
        Its energy.
    gradient_norm : float
        Euclidean norm of the gradient there.
    status : Status
        Why the solve ended.
    message : str
        The same in words, with what was done and what to do next.
    method : str
    stages : list of StageReport
    history : History
        One row for each step.
    counts : Counts
    seconds : float
        Time spent solving, set-up included, bookkeeping and callbacks excluded.
    setup_seconds : float
        The part of ``seconds`` that went into building maps and preconditioners.
    seed : int
    report : mapping of str to float
        The energy's own observables at ``w``, computed when they are first read.
    problem : BaseEnergy or None
        The energy minimised (None after loading a result whose energy holds code).
    """

    w: Any
    energy: float
    gradient_norm: float
    status: Status
    message: str
    method: str
    stages: list[StageReport] = field(repr=False)
    history: History = field(repr=False)
    counts: Counts
    seconds: float
    setup_seconds: float
    seed: int
    report: Mapping[str, float]
    problem: BaseEnergy | None = field(repr=False, default=None)

    @property
    def success(self) -> bool:
        """Whether the solve converged or was stopped by a rule, as against failed."""
        return not self.status.failed

    def __repr__(self) -> str:
        lines = [
            f"  energy:        {self.energy:.12g}",
            f"  gradient norm: {self.gradient_norm:.3g}",
            f"  status:        {self.status.name} ({self.message})",
            f"  method:        {self.method}",
            f"  seconds:       {self.seconds:.3g} (set-up {self.setup_seconds:.2g})",
        ]
        lines += [
            f"    {s.name}: {s.reparametrization} / {s.minimizer}, {s.steps} steps, {s.seconds:.3g} s, {s.status.name}"
            for s in self.stages
        ]
        lines += [f"  {name + ':':<14} {value:.6g}" for name, value in self.report.items()]
        return "Result\n" + "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Everything but arrays and history, as JSON values (nan and infinity as None)."""
        import math

        def finite(node: Any) -> Any:
            if isinstance(node, float):
                return node if math.isfinite(node) else None
            if isinstance(node, dict):
                return {key: finite(value) for key, value in node.items()}
            return [finite(value) for value in node] if isinstance(node, list) else node

        graph = None if self.problem is None else self.problem.graph
        summary = {
            "energy": self.energy,
            "gradient_norm": self.gradient_norm,
            "status": self.status.name,
            "message": self.message,
            "method": self.method,
            "stages": [stage.as_dict() for stage in self.stages],
            "seconds": self.seconds,
            "setup_seconds": self.setup_seconds,
            "counts": self.counts.as_dict(),
            "seed": self.seed,
            **self.report,
        }
        if graph is not None:
            summary["graph"] = {"nodes": graph.n_nodes, "edges": graph.n_edges, "components": graph.components[0]}
        return finite(summary)

    def save(self, path: str | Path) -> None:
        """Write the result to one npz file, atomically and without pickle.

        Examples
        --------
        >>> import evenflow as ef, tempfile, pathlib
        >>> energy = ef.HeatDiffusion(ef.gallery.lattice(4, 4), hot=[0], cold=[15])
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.npz"
        >>> result = ef.minimize(energy)
        >>> result.save(path)
        >>> bool(ef.Result.load(path).energy == result.energy)
        True
        """
        import numpy as np

        from evenflow.energy.storage import export_energy

        tree = {
            "w": np.asarray(self.w),
            "energy": self.energy,
            "gradient_norm": self.gradient_norm,
            "status": self.status.name,
            "message": self.message,
            "method": self.method,
            "stages": [stage.as_dict() for stage in self.stages],
            "history": self.history.arrays(),
            "counts": self.counts.as_dict(),
            "seconds": self.seconds,
            "setup_seconds": self.setup_seconds,
            "seed": self.seed,
            "report": dict(self.report),
            "problem": export_energy(self.problem),
        }
        write_archive(path, "result", tree)

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a result back.

        Raises
        ------
        FileFormatError
            If the file is truncated or is not a result.
        """
        from evenflow.energy.storage import restore_energy

        tree = read_archive(path, "result")
        history = History(**{name: column.tolist() for name, column in tree.pop("history").items()})
        return cls(
            **{
                **tree,
                "status": Status[tree["status"]],
                "stages": [StageReport.from_dict(stage) for stage in tree["stages"]],
                "counts": Counts(**tree["counts"]),
                "problem": restore_energy(tree["problem"]),
            },
            history=history,
        )

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the energy against time and steps, stage switches marked; write it to ``path`` if given."""
        from evenflow.report.plots import plot_history

        return plot_history(self, path)

    def plot_state(self, path: str | Path | None = None) -> Figure:
        """Draw w on its graph: a mesh in 3-D, a lattice as an image, a network by its layout."""
        from evenflow.report.plots import plot_state

        return plot_state(self, path)
