"""ProgressBar: where a long solve stands, on a terminal only."""

from __future__ import annotations

import sys
import time
from types import TracebackType

__all__ = ["ProgressBar"]


class ProgressBar:
    """One line on standard error: stage, steps, rate, energy, gradient norm.

    Redrawn at most ten times a second.

    Parameters
    ----------
    total : int, optional
        Steps at which the solve must end, if known.
    enabled : bool, optional
        By default, whether standard error is a terminal.
    """

    def __init__(self, total: int | None = None, *, enabled: bool | None = None) -> None:
        self.active = sys.stderr.isatty() if enabled is None else enabled
        self._total = total
        self._next = 0.0
        self._begin = time.perf_counter()

    def __enter__(self) -> ProgressBar:
        if self.active:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                *([BarColumn()] if self._total else []),
                MofNCompleteColumn(),
                TextColumn(
                    "{task.fields[rate]:>8.0f} steps/s  E = {task.fields[energy]:<.10g}  |g| = {task.fields[norm]:.2e}"
                ),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(
                "solve", total=self._total, rate=0.0, energy=float("nan"), norm=float("nan")
            )
            self._bar.start()
        return self

    def update(self, step: int, energy: float, gradient_norm: float, stage: str) -> None:
        """Show a step, if it is time to."""
        if not self.active:
            return
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + 0.1
        rate = step / max(now - self._begin, 1e-9)
        self._bar.update(
            self._task, description=stage, completed=step, rate=rate, energy=energy, norm=gradient_norm, refresh=True
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.active:
            self._bar.stop()
