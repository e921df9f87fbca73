"""Harness: runs contestants under one recorder each and turns the runs into rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evenflow.comparison.outcome import Row, target_key
from evenflow.comparison.own import OwnMethod
from evenflow.comparison.peers.base import Peer
from evenflow.comparison.recorder import Recorder, StopRun, pristine
from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.history import Counts

__all__ = ["Entry", "Harness"]

_CURVE_POINTS = 400
_SHORT = 1.0  # seconds: longer runs are not repeated
_BRIEF, _OFTEN = 0.05, 10  # seconds in all until which brief runs are repeated more often, and how much more, at most
_PASSES = 3
_BOUT, _BOUTS = 1e-3, 5  # seconds of a bout of passes, and how many of those there are at least
_RARELY = 5  # turns of brief runs between bouts, which take the cache from them
_GIVEN = "given"


@dataclass
class Entry:
    """A contestant and what became of it."""

    peer: Peer
    refusal: str | None = None
    error: dict[int, str] = field(default_factory=dict)
    mismatch: dict[int, str] = field(default_factory=dict)
    warm: Recorder | None = None
    tuning_seconds: float = 0.0
    runs: dict[int, list[Recorder]] = field(default_factory=dict)
    finals: dict[int, FloatArray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in the table."""
        return self.peer.label if isinstance(self.peer, OwnMethod) else self.peer.name


class Harness:
    """Everything the runs share."""

    def __init__(
        self,
        energy: BaseEnergy,
        starts: dict[int, FloatArray],
        targets: tuple[float, ...],
        *,
        max_seconds: float,
        tune_seconds: float,
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self.energy, self.judge = energy, pristine(energy)
        self.starts, self.targets = starts, targets
        self.max_seconds, self.tune_seconds, self.clock, self.tell = max_seconds, tune_seconds, clock, tell
        self.first_start = next(iter(starts.values()))
        self._pass_times: list[float] = []
        self.start_energy = float(energy.value(energy.impose(self.first_start)))
        if not math.isfinite(self.start_energy):
            raise InputError(f"w0: the energy there is {self.start_energy}; start where it is finite")

    # ------------------------------------------------------------------ before the runs

    def warm_energy(self) -> float:
        """Call every function of the energy twice; return how much more the first calls took."""
        import torch

        w = self.energy.impose(self.first_start)
        calls: list[Callable[[], Any]] = [
            lambda: self.energy.value(w),
            lambda: self.energy.value_and_gradient(w),
            lambda: self.energy.hvp(w, w),
            lambda: self.energy.torch_value(torch.from_numpy(w.copy())),
        ]
        if self.energy.sparse_hessian:
            calls.append(lambda: self.energy.hessian(w))
        extra = 0.0
        for call in calls:
            times = []
            for _ in range(2):
                began = self.clock()
                call()
                times.append(self.clock() - began)
            extra += max(0.0, times[0] - times[1])
        return extra

    def warm(self, entries: Sequence[Entry], limit: float) -> None:
        """Run each contestant once, unmeasured, so that compilation and imports are done."""
        if limit <= 0:
            return
        seed = next(iter(self.starts))
        for entry in entries:
            if entry.refusal is None:
                self.tell(f"warm-up of {entry.name}")
                entry.warm = self.run(entry, seed, limit=min(limit, self.max_seconds), target=None)

    def find_reference(self, given: float | None) -> None:
        """Settle E* and the scale of the gaps before anything is measured."""
        if given is not None:
            self._refer(float(given), _GIVEN)
            return
        from evenflow.front import minimize

        self.tell("reference energy")
        lowest = min(
            minimize(
                self.energy, w0, method="auto", tolerance=1e-13, max_seconds=10 * self.max_seconds, progress=False
            ).energy
            for w0 in self.starts.values()
        )
        bound = self.energy.reference()
        if bound is not None and lowest - bound <= 1e-2 * min(self.targets) * max(abs(bound), abs(lowest)):
            self._refer(bound, "exact minimum or bound known to the energy, attained")
        else:
            self._refer(lowest, "lowest energy of all runs and of an unmeasured solve by auto from every start")

    def _refer(self, value: float, source: str) -> None:
        self.reference, self.source = value, source
        drop = self.start_energy - value
        self.scale = abs(value) if abs(value) > 1e-12 * abs(drop) else abs(drop) or 1.0

    def threshold(self, target: float) -> float:
        """Energy at a relative gap."""
        return self.reference + target * self.scale

    def tune(self, entries: Sequence[Entry]) -> None:
        """Choose the knobs of each peer that has some, by trial runs from the first start."""
        seed = next(iter(self.starts))
        for entry in entries:
            candidates = entry.peer.candidates() if entry.refusal is None else ()
            best: tuple[tuple[float, ...], Peer] | None = None
            limit = self.tune_seconds
            for candidate in candidates:
                self.tell(f"tuning {entry.name}: {candidate.settings}")
                trial = self.run(Entry(candidate), seed, limit=limit, target=self.threshold(self.targets[-1]))
                entry.tuning_seconds += trial.seconds
                score = self._score(trial)
                if best is None or score < best[0]:
                    best = score, candidate
                finish = trial.seconds_to(self.threshold(self.targets[-1]))
                if finish is not None:
                    limit = min(limit, finish)
            if best is not None:
                entry.peer = best[1]

    def _score(self, trial: Recorder) -> tuple[float, ...]:
        """Sort key: hardest target reached and how soon, then the lowest energy."""
        for missed, target in enumerate(reversed(self.targets)):
            seconds = trial.seconds_to(self.threshold(target))
            if seconds is not None:
                return float(missed), seconds
        lowest = min((e for e in trial.energies if math.isfinite(e)), default=math.inf)
        return float(len(self.targets)), lowest

    # ------------------------------------------------------------------ the runs

    def measure(self, entries: Sequence[Entry], repeats: int) -> None:
        """Run everything; again where a lower energy than the reference turned up after a run had stopped at it."""
        pending = [(entry, seed) for entry in entries if entry.refusal is None for seed in self.starts]
        for passes_left in reversed(range(_PASSES)):
            for turn in range(repeats if repeats == 1 else _OFTEN * repeats):
                if turn < repeats or turn % _RARELY == 0:
                    self._time_passes()
                order = pending if turn % 2 == 0 else pending[::-1]
                made = [self._measure_once(entry, seed, turn, repeats) for entry, seed in order]
                if not any(made):
                    break
            if not self._beaten(entries) or passes_left == 0:
                return
            goal = self.threshold(self.targets[-1])
            pending = [
                (entry, seed)
                for entry in entries
                for seed, runs in entry.runs.items()
                if runs[0].reached and runs[0].seconds_to(goal) is None
            ]
            for entry, seed in pending:
                del entry.runs[seed]

    def _beaten(self, entries: Sequence[Entry]) -> bool:
        """Lower the reference if a run came out below it."""
        points = (e for entry in entries for runs in entry.runs.values() for run in runs for e in run.energies)
        lowest = min(filter(math.isfinite, points), default=self.reference)
        if lowest >= self.reference - 1e-2 * self.targets[-1] * self.scale:
            return False
        if self.source == _GIVEN:
            note = f" (the given reference {self.reference:.17g} was beaten)"
            self.find_reference(None)
            lowest, self.source = min(lowest, self.reference), self.source + note
        else:
            self.source = "lowest energy of all runs"
        self._refer(lowest, self.source)
        return True

    def _measure_once(self, entry: Entry, seed: int, turn: int, repeats: int) -> bool:
        """One measured run, unless the first one was long or failed, or there were enough; whether it was made."""
        runs = entry.runs.setdefault(seed, [])
        if turn >= repeats and sum(run.seconds for run in runs) >= _BRIEF:
            return False
        if turn and (not runs or runs[0].seconds > _SHORT or seed in entry.error or seed in entry.mismatch):
            return False
        self.tell(f"{entry.name}, seed {seed}")
        runs.append(self.run(entry, seed, limit=self.max_seconds, target=self.threshold(self.targets[-1])))
        return True

    def run(self, entry: Entry, seed: int, *, limit: float, target: float | None) -> Recorder:
        """One run under a fresh recorder; errors and warnings of the method become data."""
        recorder = Recorder(self.energy, max_seconds=limit, target=target, clock=self.clock, judge=self.judge)
        entry.error.pop(seed, None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                with recorder.running():
                    final = entry.peer.run(recorder, self.starts[seed].copy(), seed)
                entry.finals[seed] = np.array(final)
                recorder.record(entry.finals[seed])
            except StopRun:
                if recorder.w is not None:
                    entry.finals[seed] = recorder.w
            except InputError as error:
                entry.mismatch[seed] = str(error)
            except (Exception, MemoryError) as error:  # a method that fails is a result, shown with its reason
                entry.error[seed] = f"{type(error).__name__}: {error}".splitlines()[0]
        if caught and not recorder.note:
            recorder.note = f"warned: {str(caught[0].message).splitlines()[0]}"
        return recorder

    def pass_seconds(self) -> float:
        """Median time of a value-and-gradient pass, at moments between the runs."""
        while len(self._pass_times) < _BOUTS:
            self._time_passes()
        return float(np.median(self._pass_times))

    def _time_passes(self) -> None:
        """Add the mean time of a pass over a bout of them, after one that tells how many."""
        w = self.judge.impose(self.first_start)
        gradient = np.empty_like(w)

        def bout(count: int) -> float:
            began = self.clock()
            for _ in range(count):
                self.judge.value_and_gradient(w, gradient)
            return (self.clock() - began) / count

        self._pass_times.append(bout(max(1, int(_BOUT / max(bout(1), 1e-9)))))

    # ------------------------------------------------------------------ the rows

    def row(self, entry: Entry, seed: int, rerun: Callable[[str, int], str]) -> Row:
        """Sum up one contestant at one seed."""
        row = Row(
            entry.name, isinstance(entry.peer, OwnMethod), seed, "not applicable", command=rerun(entry.name, seed)
        )
        row.times = {target_key(target): None for target in self.targets}
        row.counts = Counts().as_dict()
        refusal = entry.refusal or entry.mismatch.get(seed)
        if refusal is not None:
            row.reason = refusal
            return row
        row.version, row.settings, row.tuning_seconds = entry.peer.version, entry.peer.settings, entry.tuning_seconds
        runs = entry.runs[seed]
        first = runs[0]
        row.times = {
            target_key(target): _median([r.seconds_to(self.threshold(target)) for r in runs]) for target in self.targets
        }
        row.repeats, row.seconds = len(runs), _median([r.seconds for r in runs])
        row.setup_seconds = _median([r.setup_seconds for r in runs])
        row.counts, row.steps = first.counts.as_dict(), max(0, len(first.energies) - 1)
        row.reason = entry.error.get(seed, first.note)
        row.status = self._status(entry, seed, row)
        if entry.warm is not None and entry.warm.seconds_at and first.seconds_at:
            last = min(len(entry.warm.seconds_at), len(first.seconds_at)) - 1
            row.warmup_seconds = max(0.0, entry.warm.seconds_at[last] - first.seconds_at[last])
        typical = sorted(runs, key=lambda run: run.seconds)[(len(runs) - 1) // 2]
        row.curve_seconds, row.curve_energy = _thin(typical)
        if first.energies:
            row.energy_start = _finite(first.energies[0])
        if seed in entry.finals:
            self._judge(row, entry.finals[seed])
        return row

    def _judge(self, row: Row, w: FloatArray) -> None:
        """Energy, gap and gradient norm of the point handed back."""
        value, gradient = self.judge.value_and_gradient(self.judge.impose(w))
        row.energy, row.gap = _finite(value), _finite((value - self.reference) / self.scale)
        row.gradient_norm = _finite(np.linalg.norm(gradient))

    def _status(self, entry: Entry, seed: int, row: Row) -> str:
        if row.times[target_key(self.targets[-1])] is not None:
            return "reached"
        if seed in entry.error:
            return "failed"
        return "deadline" if entry.runs[seed][0].overdue else "stopped"


def _median(values: Sequence[float | None]) -> float | None:
    """Median of the numbers, None if a majority is missing."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if 2 * len(known) > len(values) else None


def _finite(value: Any) -> float | None:
    """The number, or None if it is infinite or not a number."""
    return float(value) if math.isfinite(value) else None


def _thin(run: Recorder) -> tuple[list[float], list[float]]:
    """The finite points of a run, at most a few hundred, evenly in the logarithm of the step number."""
    points = [(s, e) for s, e in zip(run.seconds_at, run.energies, strict=True) if math.isfinite(e)]
    count = len(points)
    chosen = np.arange(count)
    if count > _CURVE_POINTS:
        chosen = np.unique(np.geomspace(1, count, _CURVE_POINTS).astype(int) - 1)
    return [points[k][0] for k in chosen], [points[k][1] for k in chosen]
