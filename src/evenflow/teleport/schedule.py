"""Schedules: when to teleport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass

from evenflow.errors import InputError

__all__ = ["AtEpochs", "AtSteps", "Every", "Moment", "Schedule", "as_schedule"]


@dataclass(frozen=True)
class Moment:
    """Where a training run stands, before a step; everything counts from 0.

    Parameters
    ----------
    step : int
        Optimizer steps taken so far.
    epoch : int
        Epochs completed so far.
    batch : int
        Steps taken so far in this epoch.
    """

    step: int
    epoch: int
    batch: int


Schedule = Callable[[Moment], bool]


@dataclass(frozen=True)
class AtSteps:
    """Before the given steps (counted from 0), and before the ``batches - 1`` steps that follow each.

    Examples
    --------
    >>> due = AtSteps({5}, batches=2)
    >>> [due(Moment(t, 0, t)) for t in (4, 5, 6, 7)]
    [False, True, True, False]
    """

    steps: Set[int]
    batches: int = 1

    def __call__(self, moment: Moment) -> bool:
        """Whether to teleport now."""
        return any(0 <= moment.step - s < self.batches for s in self.steps)


@dataclass(frozen=True)
class AtEpochs:
    """After the given numbers of completed epochs, before each of the first ``batches`` steps (Algorithm 2 of [1]_).

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, appendix A.1.

    Examples
    --------
    >>> due = AtEpochs({1}, batches=4)
    >>> due(Moment(step=2403, epoch=1, batch=3)), due(Moment(step=2404, epoch=1, batch=4))
    (True, False)
    """

    epochs: Set[int]
    batches: int = 1

    def __call__(self, moment: Moment) -> bool:
        """Whether to teleport now."""
        return moment.epoch in self.epochs and moment.batch < self.batches


@dataclass(frozen=True)
class Every:
    """Every ``interval`` steps, first before step ``start``, at most ``times`` times.

    Examples
    --------
    >>> due = Every(10, start=5)
    >>> [t for t in range(30) if due(Moment(t, 0, t))]
    [5, 15, 25]
    """

    interval: int
    start: int = 0
    times: int | None = None

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise InputError(f"interval = {self.interval}, expected at least 1")

    def __call__(self, moment: Moment) -> bool:
        """Whether to teleport now."""
        count, rest = divmod(moment.step - self.start, self.interval)
        return count >= 0 and rest == 0 and (self.times is None or count < self.times)


def as_schedule(schedule: Schedule | Iterable[int], batches: int = 1) -> Schedule:
    """A schedule from a callable, or from step numbers.

    Raises
    ------
    InputError
        If it is neither, or ``batches`` is less than 1.

    Examples
    --------
    >>> as_schedule({5, 10})
    AtSteps(steps=frozenset({10, 5}), batches=1)
    """
    if batches < 1:
        raise InputError(f"batches = {batches}, expected at least 1")
    if callable(schedule):
        if batches != 1:
            raise InputError("batches= goes with step numbers; give it to AtSteps or AtEpochs instead")
        return schedule
    steps = list(schedule)
    if not all(isinstance(s, int) and s >= 0 for s in steps):
        raise InputError(f"schedule = {steps!r}, expected step numbers from 0, or AtSteps, AtEpochs, Every, a callable")
    return AtSteps(frozenset(steps), batches)
