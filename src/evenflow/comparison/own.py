"""OwnMethod: a method of evenflow, run under the same recorder as the peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from evenflow.comparison.peers.base import Peer
from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.status import Status

if TYPE_CHECKING:
    from evenflow.comparison.recorder import Recorder
    from evenflow.method import Method
    from evenflow.minimizer import Minimizer
    from evenflow.solve import Snapshot

__all__ = ["OwnMethod"]


@dataclass(frozen=True)
class OwnMethod(Peer):
    """A recipe of :func:`evenflow.minimize`; every step is recorded by the harness's own clock and evaluation.

    Attributes
    ----------
    method : str, Method or Minimizer
    label : str
        Name in the table.
    tolerance : float
        Relative gap at which the recipe may stop by itself.
    matched_start : bool
        Start every map from the common w0 (fitted, on the clock); False leaves networks their own random start.
    options : mapping
        Options of a method given by name.
    """

    name: ClassVar[str] = "own"
    description: ClassVar[str] = "a method of evenflow"
    tuning: ClassVar[str] = "none"
    package: ClassVar[str] = "evenflow"
    module: ClassVar[str] = "evenflow"

    method: str | Method | Minimizer
    label: str
    tolerance: float = 1e-11
    matched_start: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """Options that differ from the recipe's own."""
        return ", ".join(f"{name}={value}" for name, value in self.options.items())

    def refuses(self, energy: BaseEnergy) -> str | None:
        """Nothing is refused beforehand; an input error of the run is shown as the reason."""
        return None

    def run(self, run: Recorder, w0: FloatArray, seed: int) -> FloatArray:
        """Minimise; counts and set-up (wall) time are the solver's own books, the clock is the recorder's."""
        from evenflow.front import minimize

        def callback(snapshot: Snapshot) -> bool:
            return run.record(lambda: snapshot.w)  # the copy is the recorder's, so its clock stands still

        if self.matched_start:
            run.record(w0)
        result = minimize(
            run.energy,
            w0 if self.matched_start else None,
            method=self.method,
            seed=seed,
            tolerance=self.tolerance,
            callback=callback,
            progress=False,
            **self.options,
        )
        run.counts, run.setup_seconds = result.counts, result.setup_seconds
        if result.status is not Status.STOPPED_BY_CALLBACK:
            run.note = result.status.value
        return result.w
