"""The one loop: stages, budgets, history, best point, callbacks, progress, checkpoints, interrupts."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import EvenflowWarning, InputError
from evenflow.fresh import fresh
from evenflow.history import Counts, History
from evenflow.interrupt import Interrupt
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.problem import Problem
from evenflow.reparametrization.base import Reparametrization
from evenflow.reparametrization.identity import Identity
from evenflow.result import StageReport
from evenflow.status import Status
from evenflow.stopping import Never, StoppingRule

if TYPE_CHECKING:
    from evenflow.progress import ProgressBar

__all__ = ["Budget", "Clock", "Plan", "Snapshot", "Solve", "Stage", "Teleport"]


Teleport = Callable[[BaseEnergy, FloatArray, int], tuple[FloatArray, int] | None]
"""Moves w at a step, or not; tells how many energy evaluations that took."""


@dataclass
class Stage:
    """A reparametrization, a minimizer and a stopping rule.

    Attributes
    ----------
    minimizer : Minimizer
    reparametrization : Reparametrization
    stop : StoppingRule
    name : str
    own_start : bool
        Begin at the map's own random parameters (as the papers do) rather than at the current point. Only the
        first stage of a solve without a given start can do so.
    teleport : callable, optional
        ``(energy, w, step) -> (w, evaluations) or None``: asked before every step, and on the clock; moves the
        point along its level set (``EnergyTeleport(...).at(steps)`` of :mod:`evenflow.teleport`).
    """

    minimizer: Minimizer
    reparametrization: Reparametrization = field(default_factory=Identity)
    stop: StoppingRule = field(default_factory=Never)
    name: str = ""
    own_start: bool = False
    teleport: Teleport | None = None

    def fresh(self) -> Stage:
        """A copy for one solve: others may share the minimizer, the map and the rule."""
        parts = fresh(self.minimizer), self.reparametrization.fresh(), self.stop.fresh()
        return Stage(*parts, self.name, self.own_start, self.teleport)


_ROUND_OFF = 1e-14  # of an energy: where no more than this is left to gain, no step need lower it
_NOTHING = 1e-24  # of the first energy
_BRIEF = 5e-3  # seconds: a solve that is over sooner leaves Ctrl-C alone, if it shows and saves nothing: it costs less

Plan = Generator[Stage, StageReport, str]
"""A method at work: yields stages, is sent the report of each, returns a closing remark."""


@dataclass
class Budget:
    """Limits of a whole solve; None means no limit.

    Attributes
    ----------
    target : float, optional
        Energy at which to stop.
    gtol : float, optional
        Euclidean norm of the gradient in w at which to stop.
    max_seconds, max_iterations, max_evaluations : float or int, optional
    """

    target: float | None = None
    gtol: float | None = None
    max_seconds: float | None = None
    max_iterations: int | None = None
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        for name in ("gtol", "max_seconds", "max_iterations", "max_evaluations"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                raise InputError(f"{name}={limit}: expected a non-negative number, or None for no limit")

    def met(self, solve: Solve, state: State) -> Status | None:
        """CONVERGED at a small gradient, of which the minimizer has made sure that it is no saddle point's."""
        if self.gtol is not None and solve.problem.is_identity and state.gradient_norm <= self.gtol:
            return Status.CONVERGED
        return None

    def spent(self, solve: Solve, state: State) -> Status | None:
        """The status that ends the whole solve whatever the minimizer may think, if any."""
        if self.target is not None and state.energy <= self.target:
            return Status.TARGET
        if self.max_iterations is not None and solve.iterations >= self.max_iterations:
            return Status.MAX_ITERATIONS
        if self.max_evaluations is not None and solve.counts.evaluations >= self.max_evaluations:
            return Status.MAX_EVALUATIONS
        if self.max_seconds is not None and solve.clock.seconds >= self.max_seconds:
            return Status.DEADLINE
        return None


class Clock:
    """Seconds of work; runs only between :meth:`start` and :meth:`stop`, or inside ``with clock:``."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def start(self) -> None:
        """Let it run."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Halt it."""
        self._seconds = self.seconds
        self._since = None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._seconds if self._since is None else self._seconds + time.perf_counter() - self._since

    def __enter__(self) -> Clock:
        self.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self.stop()


@dataclass
class StageProgress:
    """Where the running stage began: clock, seconds of set-up, first row of the history."""

    began: float
    setup_seconds: float
    first_row: int


@dataclass
class Snapshot:
    """What a callback sees after every step; ``w`` is computed when asked for."""

    step: int
    stage: int
    seconds: float
    energy: float
    gradient_norm: float
    _solve: Solve = field(repr=False)
    _theta: FloatArray = field(repr=False)

    @property
    def w(self) -> FloatArray:
        """A copy of the node states."""
        return np.array(self._solve.energy.impose(self._solve.map.decode(self._theta)))


class Solve:
    """One minimisation under way: everything the loop knows, so that it can be saved and taken up again.

    Parameters
    ----------
    energy : BaseEnergy
    budget : Budget
    seed : int
    callback : callable, optional
        Called with a :class:`Snapshot` after every step; stops the solve by returning True or raising StopIteration.
    progress : ProgressBar, optional
    save : callable, optional
        Called with this object every ``every`` steps and at the end, to write a checkpoint.
    every : int
    """

    def __init__(
        self,
        energy: BaseEnergy,
        budget: Budget,
        *,
        seed: int = 0,
        callback: Callable[[Snapshot], Any] | None = None,
        progress: ProgressBar | None = None,
        save: Callable[[Solve], None] | None = None,
        every: int = 100,
    ) -> None:
        self.energy, self.budget, self.seed = energy, budget, seed
        self.callback, self.progress, self.save, self.every = callback, progress, save, every
        self.clock, self.counts, self.history = Clock(), Counts(), History()
        self.reports: list[StageReport] = []
        self.setup_seconds = 0.0
        self.iterations = 0
        self.w: FloatArray | None = None  # best point of the stages before this one
        self.state: State | None = None
        self._interrupt = Interrupt()

    # ------------------------------------------------------------------ stages

    def run(self, plan: Plan, w0: FloatArray | None, resume: Callable[[Solve, Stage], State] | None = None) -> str:
        """Carry out a plan from ``w0`` (or the energy's own start); return the plan's closing remark."""
        self._began = time.perf_counter()
        # A run that blows up ends with a status, so NumPy need not warn as well.
        with self._interrupt, np.errstate(over="ignore", invalid="ignore"):
            if self.progress is not None or self.save is not None:
                self._interrupt.listen()
            try:
                stage = next(plan)
                for report in self.reports:
                    stage = plan.send(report)
                if resume is None:
                    self.w = w0
                while True:
                    report, final = self._stage(stage, resume)
                    resume = None
                    if final:
                        plan.close()
                        return ""
                    stage = plan.send(report)
            except StopIteration as end:
                return str(end.value or "")

    def _stage(self, stage: Stage, resume: Callable[[Solve, Stage], State] | None) -> tuple[StageReport, bool]:
        """Run one stage; tell whether the whole solve ends with it."""
        self.stage = stage = stage.fresh()
        self.map = stage.reparametrization
        self.stage_rng = self._generator()
        began = self.clock.seconds
        with self.clock:
            self.map.setup(self.energy, self.stage_rng, self.counts)
            self.problem = Problem(self.energy, self.map, self.counts)
            self._check_fit(stage)
            state = self._begin(stage, began) if resume is None else resume(self, stage)
        self.state = state
        status, final = self._loop(stage, state)
        if self.save is not None:
            self._write(self.save)
        return self._close(stage, state, status), final

    def _generator(self) -> Any:
        """What a stage draws from, if it draws."""
        return np.random.default_rng([self.seed, len(self.reports)]) if self.map.draws else None

    def _check_fit(self, stage: Stage) -> None:
        """Refuse a minimizer that the map cannot serve."""
        if stage.minimizer.needs_hvp and not self.problem.has_hvp:
            raise InputError(
                f"minimizer={stage.minimizer.name}: needs Hessian products, which the nonlinear map "
                f"{self.map.name} does not offer; use a first-order minimizer or lbfgs"
            )

    def _start(self, stage: Stage) -> FloatArray:
        """Parameters to begin a stage with."""
        if self.w is None and stage.own_start:
            theta = self.map.initial(self.stage_rng)
            if theta is not None:
                return theta
        if self.w is None:
            self.w = self.energy.initial(np.random.default_rng(self.seed))
        return self.map.encode(self.energy.impose(self.w), self.stage_rng)

    def _begin(self, stage: Stage, began: float) -> State:
        """First state of a stage; a start that is not finite is an input error."""
        theta = self._start(stage)
        self.progress_of_stage = StageProgress(began, self.clock.seconds - began, len(self.history))
        state = stage.minimizer.init(self.problem, theta)
        if not (math.isfinite(state.energy) and math.isfinite(state.gradient_norm)):
            bad = int(np.count_nonzero(~np.isfinite(state.gradient)))
            raise InputError(
                f"w0: the energy there is {state.energy} and {bad} of {state.gradient.size} gradient entries are not "
                "finite; start where the energy is finite"
            )
        self._record(state)
        self.best_energy, self.best_theta = state.energy, state.theta.copy()
        return state

    def _close(self, stage: Stage, state: State, status: Status) -> StageReport:
        """Write the report of a stage and keep its best point."""
        theta, energy = (state.theta, state.energy) if stage.minimizer.monotone else (self.best_theta, self.best_energy)
        self.w = np.array(self.energy.impose(self.map.decode(theta)))
        row = self.progress_of_stage
        setup = row.setup_seconds + stage.minimizer.setup_seconds
        self.setup_seconds += setup
        report = StageReport(
            name=stage.name or stage.minimizer.name,
            reparametrization=self.map.name,
            minimizer=stage.minimizer.name,
            status=status,
            steps=state.steps,
            seconds=self.clock.seconds - row.began,
            setup_seconds=setup,
            energy_start=self.history.energy[row.first_row],
            energy=energy,
            inner=state.inner,
            encode_error=self.map.encode_error,
            note="; ".join(filter(None, (state.note, stage.minimizer.remark()))),
        )
        self.reports.append(report)
        return report

    # ------------------------------------------------------------------ steps

    def _loop(self, stage: Stage, state: State) -> tuple[Status, bool]:
        """Step until a rule, a budget, the minimizer, the callback or the user ends the stage."""
        ended = self._conclude(stage, state, lambda state: self._reset_rule(stage.stop, state))
        while ended is None:
            if time.perf_counter() - self._began > _BRIEF:  # callbacks included
                self._interrupt.listen()
            with self.clock:
                self._teleport(stage, state)
                stage.minimizer.step(self.problem, state)
            state.steps += 1
            self.iterations += 1
            self._record(state)
            if not stage.minimizer.monotone and state.energy < self.best_energy:
                self.best_energy = state.energy
                np.copyto(self.best_theta, state.theta)
            ended = self._ask_outside(state) or self._conclude(stage, state, stage.stop.check)
            if self.save is not None and ended is None and self.iterations % self.every == 0:
                self._write(self.save)
        return ended

    def _record(self, state: State) -> None:
        """Add a row to the history."""
        self.history.append(self.clock.seconds, state.energy, state.gradient_norm, state.decrement, len(self.reports))

    def _conclude(
        self, stage: Stage, state: State, check: Callable[[State], Status | None]
    ) -> tuple[Status, bool] | None:
        """(status, does the whole solve end) or None to go on; ``check``, the stage's rule, sees what lies ahead."""
        ended = self._exhausted(state)
        if ended is None:
            self._look_ahead(stage, state)
            ended = self._judge(stage, state, check(state))
        return ended

    def _look_ahead(self, stage: Stage, state: State) -> None:
        """Let the minimizer say how much is left, and write it into the last row."""
        with self.clock:
            stage.minimizer.look_ahead(self.problem, state)
        self.history.amend(self.clock.seconds, state.energy, state.gradient_norm, state.decrement)

    def _exhausted(self, state: State) -> tuple[Status, bool] | None:
        """As :meth:`_judge`, for what needs no looking ahead."""
        if not math.isfinite(state.energy):
            return Status.NOT_FINITE, False
        status = self.budget.spent(self, state)
        return None if status is None else (status, True)

    def _judge(self, stage: Stage, state: State, verdict: Status | None) -> tuple[Status, bool] | None:
        """(status, does the whole solve end) or None to go on."""
        if (status := self.budget.met(self, state)) is not None:
            return status, True
        own = state.status
        if own is Status.LINE_SEARCH_FAILED and self._is_at_round_off(state):
            own = Status.PLATEAU
        if (status := own or verdict) is not None:
            return status, False
        if state.gradient_norm == 0.0 and not stage.minimizer.needs_hvp:
            return Status.CONVERGED, False
        return None

    def _is_at_round_off(self, state: State) -> bool:
        """Whether no more is left to gain than the energy's round-off, or no energy is left of a sum of squares."""
        left = abs(state.energy) <= _NOTHING * abs(self.history.energy[0])
        return left or state.decrement <= _ROUND_OFF * abs(state.energy)

    def _ask_outside(self, state: State) -> tuple[Status, bool] | None:
        """Progress bar, callback and Ctrl-C, all off the clock."""
        if self.progress is not None:
            self.progress.update(self.iterations, state.energy, state.gradient_norm, self.stage.name)
        if self.callback is not None:
            row = Snapshot(
                self.iterations,
                len(self.reports),
                self.clock.seconds,
                state.energy,
                state.gradient_norm,
                self,
                state.theta,
            )
            try:
                stop = self.callback(row)
            except StopIteration:
                stop = True
            except KeyboardInterrupt:  # in a brief solve, which does not listen
                return Status.INTERRUPTED, True
            if stop is True:
                return Status.STOPPED_BY_CALLBACK, True
        return (Status.INTERRUPTED, True) if self._interrupt.requested else None

    def _teleport(self, stage: Stage, state: State) -> None:
        """Let a symmetry move the point before the step, and evaluate it anew if it did."""
        if stage.teleport is None:
            return
        moved = stage.teleport(self.energy, self.map.decode(state.theta), state.steps)
        if moved is not None:
            self.counts.gradient += moved[1]
            found = stage.minimizer.init(self.problem, self.map.encode(moved[0], self.stage_rng))
            state.theta, state.energy, state.gradient = found.theta, found.energy, found.gradient
            state.gradient_norm = found.gradient_norm

    def _reset_rule(self, rule: StoppingRule, state: State) -> Status | None:
        """Show the rule the stage so far (one row when it begins, more after a resume); return its verdict."""
        rows = slice(self.progress_of_stage.first_row, len(self.history))
        if rows.stop - rows.start == 1:  # nothing to replay
            rule.reset(state)
            return None
        past = copy.copy(state)
        past.steps, verdict = 0, None
        history = self.history
        for past.energy, past.gradient_norm, past.decrement in zip(
            history.energy[rows], history.gradient_norm[rows], history.decrement[rows], strict=True
        ):
            if past.steps == 0:
                rule.reset(past)
            else:
                verdict = rule.check(past)
            past.steps += 1
        return verdict

    def _write(self, save: Callable[[Solve], None]) -> None:
        """Write a checkpoint; a full disk costs the checkpoint, not the solve."""
        try:
            save(self)
        except OSError as error:
            warnings.warn(f"checkpoint not written ({error}); the earlier one is kept", EvenflowWarning, stacklevel=2)
