"""Recorder: the one clock and the one ledger that every compared method runs under."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.history import Counts

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Recorder", "StopRun", "pristine"]


def pristine(energy: BaseEnergy) -> BaseEnergy:
    """A copy whose methods cannot be replaced through the original."""
    return copy.copy(energy)


class StopRun(Exception):
    """Unwinds foreign solver code when the target is reached or the time is spent."""


class Recorder:
    """Clock, evaluation counter and list of (seconds, energy) of one run.

    A solver hands its points to :meth:`record`; the recorder stops the clock, evaluates the energy itself and
    starts the clock again. What a solver claims its energy to be never enters.

    Parameters
    ----------
    energy : BaseEnergy
        What the solver works on.
    max_seconds : float
        Budget on this clock.
    target : float, optional
        Energy at which the run may stop; None lets it run on.
    clock : callable, optional
        Seconds as a float; :func:`time.perf_counter` by default.
    judge : BaseEnergy, optional
        Evaluates the points: a copy of ``energy`` that the solver never sees; made here if not given.

    Attributes
    ----------
    seconds_at, energies : list of float
        One entry for each recorded point; copies, so that the books cannot be cooked.
    counts : Counts
        Evaluations made through this object.
    setup_seconds : float
        Part of the time spent inside :meth:`setup`.
    w : ndarray or None
        The last recorded point.
    note : str
        What the solver says of its end.
    """

    def __init__(
        self,
        energy: BaseEnergy,
        *,
        max_seconds: float = math.inf,
        target: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        judge: BaseEnergy | None = None,
    ) -> None:
        self.energy, self.max_seconds, self.target = energy, max_seconds, target
        self._points: list[tuple[float, float]] = []
        self.counts = Counts()
        self.setup_seconds = 0.0
        self.w: FloatArray | None = None
        self.note = ""
        self._judge = pristine(energy) if judge is None else judge
        self._clock = clock
        self._spent = 0.0
        self._since: float | None = None

    # ------------------------------------------------------------------ clock

    @property
    def seconds(self) -> float:
        """Seconds on the clock."""
        return self._spent if self._since is None else self._spent + self._clock() - self._since

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run during a block."""
        self._since = self._clock()
        try:
            yield
        finally:
            self._pause()

    @contextlib.contextmanager
    def setup(self) -> Iterator[None]:
        """Book a block as set-up; it stays on the clock."""
        began = self.seconds
        try:
            yield
        finally:
            self.setup_seconds += self.seconds - began

    def _pause(self) -> bool:
        """Stop the clock; tell whether it was running."""
        if self._since is None:
            return False
        self._spent += self._clock() - self._since
        self._since = None
        return True

    @property
    def overdue(self) -> bool:
        """Whether the time is spent."""
        return self.seconds >= self.max_seconds

    def check(self) -> None:
        """Raise :class:`StopRun` when the time is spent."""
        if self.overdue:
            raise StopRun

    # ------------------------------------------------------------------ points

    @property
    def seconds_at(self) -> list[float]:
        """Seconds at each recorded point."""
        return [seconds for seconds, _ in self._points]

    @property
    def energies(self) -> list[float]:
        """Energy of each recorded point."""
        return [energy for _, energy in self._points]

    @property
    def reached(self) -> bool:
        """Whether the last recorded point is at the target or below."""
        return self.target is not None and bool(self._points) and self._points[-1][1] <= self.target

    def record(self, w: FloatArray | Callable[[], FloatArray]) -> bool:
        """Evaluate ``w`` with the clock stopped; return whether the run should end.

        Parameters
        ----------
        w : ndarray, or callable that returns one
            Node states, of the energy's shape or flat.
        """
        ran = self._pause()
        state = np.array(w() if callable(w) else w, dtype=np.float64).reshape(self.energy.shape)
        self._points.append((self._spent, float(self._judge.value(self._judge.impose(state)))))
        self.w = state
        if ran:
            self._since = self._clock()
        return self.reached or self.overdue

    def visit(self, w: FloatArray) -> None:
        """Record ``w`` and raise :class:`StopRun` if the run should end (for code that takes no answer)."""
        if self.record(w):
            raise StopRun

    def seconds_to(self, energy: float) -> float | None:
        """Seconds at the first recorded point at or below ``energy``; None if there is none. No interpolation."""
        return next((seconds for seconds, found in self._points if found <= energy), None)

    # ------------------------------------------------------------------ evaluations for peers

    def value(self, w: FloatArray) -> float:
        """Energy, counted; ends an overdue run."""
        self.check()
        self.counts.value += 1
        return self.energy.value(w.reshape(self.energy.shape))

    def value_and_gradient(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Energy and a fresh gradient of the shape of ``w``, counted; ends an overdue run."""
        self.check()
        self.counts.gradient += 1
        value, gradient = self.energy.value_and_gradient(w.reshape(self.energy.shape))
        return value, gradient.reshape(w.shape)

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        """Hessian product of the shape of ``v``, counted; ends an overdue run."""
        self.check()
        self.counts.hvp += 1
        shape = self.energy.shape
        return self.energy.hvp(w.reshape(shape), v.reshape(shape)).reshape(v.shape)

    def hessian(self, w: FloatArray) -> sp.csr_array:
        """Sparse Hessian, counted; ends an overdue run."""
        self.check()
        self.counts.hessian += 1
        return self.energy.hessian(w.reshape(self.energy.shape))
