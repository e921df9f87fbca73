"""TeleportingOptimizer: a torch optimizer that teleports on a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from evenflow.errors import InputError
from evenflow.teleport.optimizer_state import carry_over, curvature_limit, learning_rates
from evenflow.teleport.report import TeleportReport
from evenflow.teleport.schedule import Moment, Schedule, as_schedule
from evenflow.teleport.teleporter import Teleporter

__all__ = ["TeleportingOptimizer"]

Closure = Callable[[], torch.Tensor]


class TeleportingOptimizer(torch.optim.Optimizer):
    """Any torch optimizer, with teleports at scheduled steps.

    Two lines change in a training loop: wrap the optimizer, and call :meth:`teleport` with the loss of the batch
    before the usual ``zero_grad``, ``backward``, ``step``. Or give ``step`` a closure that returns the loss without
    calling backward. Learning-rate schedulers, ``param_groups`` and checkpoints work as with the bare optimizer.

    Parameters
    ----------
    base : torch.optim.Optimizer
        Does the steps.
    teleporter : Teleporter
        Does the teleports.
    schedule : callable or iterable of int
        Step numbers from 0, or :class:`AtSteps`, :class:`AtEpochs`, :class:`Every`, or a callable of a
        :class:`Moment`.
    batches : int
        With step numbers: teleport before this many consecutive steps, each on its own batch.
    steps_per_epoch : int, optional
        Makes epochs count themselves; without it call :meth:`next_epoch` at the end of each epoch.
    state : {"auto", "keep", "reset"}
        The optimizer's memory after an accepted teleport: ``"auto"`` zeroes momentum and first moments and keeps
        squared accumulators, ``"keep"`` keeps everything, ``"reset"`` starts afresh.
    objective : {"grad_norm", "decay_rate"}
        What teleports maximise: ``|g|^2``, or ``sum(eta * g**2)`` with the learning rates eta that the optimizer
        would apply now (Proposition 5.1 of [1]_).
    stability : float, optional
        A searched point is refused if the next step would overshoot there: the curvature along the step, times the
        step length, must stay below this (or below what it was). Steps descend monotonically up to 1 and diverge above
        2; without it a series of teleports, each within its own cap, can blow up training. Known for SGD (momentum
        included), and with ``objective="decay_rate"`` for the other optimizers; None switches it off.

    Attributes
    ----------
    reports : list of TeleportReport
        One for each teleport, rejected ones included.

    Raises
    ------
    InputError
        If an option is unknown.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, algorithms 1 and 2.

    Examples
    --------
    >>> import torch
    >>> from evenflow.teleport import Booth, Teleporter
    >>> booth = Booth()
    >>> x = torch.tensor([5.0, -5.0], dtype=torch.float64, requires_grad=True)
    >>> opt = TeleportingOptimizer(torch.optim.SGD([x], lr=0.08), Teleporter(x, group=booth), schedule={4})
    >>> for _ in range(10):
    ...     _ = opt.step(lambda: booth.value(x))
    >>> round(booth.value(x).item(), 6)
    0.000945
    """

    def __init__(
        self,
        base: torch.optim.Optimizer,
        teleporter: Teleporter,
        schedule: Schedule | Iterable[int],
        *,
        batches: int = 1,
        steps_per_epoch: int | None = None,
        state: str = "auto",
        objective: str = "grad_norm",
        stability: float | None = 1.0,
    ) -> None:
        if state not in ("auto", "keep", "reset"):
            raise InputError(f"state = {state!r}, expected 'auto', 'keep' or 'reset'")
        if objective not in ("grad_norm", "decay_rate"):
            raise InputError(f"objective = {objective!r}, expected 'grad_norm' or 'decay_rate'")
        if steps_per_epoch is not None and steps_per_epoch < 1:
            raise InputError(f"steps_per_epoch = {steps_per_epoch}, expected at least 1")
        if stability is not None and not stability > 0.0:
            raise InputError(f"stability = {stability!r}, expected positive, or None")
        self.base: torch.optim.Optimizer | None = None
        super().__init__(base.param_groups, base.defaults)
        self.base, self.teleporter = base, teleporter
        self.schedule = as_schedule(schedule, batches)
        self.steps_per_epoch, self.state_policy = steps_per_epoch, state
        self.objective, self.stability = objective, stability
        self.moment = Moment(0, 0, 0)
        self.reports: list[TeleportReport] = []
        self._asked = -1
        self._share()

    def _share(self) -> None:
        """Look at the base optimizer's own groups and state, so that both always agree."""
        self.param_groups, self.state = self._base().param_groups, self._base().state

    def _base(self) -> torch.optim.Optimizer:
        assert self.base is not None
        return self.base

    @property
    def due(self) -> bool:
        """Whether a teleport is scheduled before the next step and has not been tried yet."""
        return self._asked != self.moment.step and self.schedule(self.moment)

    def teleport(self, closure: Closure) -> TeleportReport | None:
        """Teleport if it is due, on the batch of the closure; None if it is not.

        Parameters
        ----------
        closure : callable
            Returns the loss on one fixed batch, without backward.
        """
        if not self.due:
            return None
        self._asked = self.moment.step
        rates = None
        if self.objective == "decay_rate":
            rates = learning_rates(self._base(), self.teleporter.parameters)
        limit = math.inf
        if self.stability is not None:
            limit = self.stability * curvature_limit(self._base(), scaled=rates is not None)
        report = self.teleporter.teleport(closure, learning_rates=rates, max_curvature=limit)
        self.reports.append(report)
        if report.accepted:
            carry_over(self._base(), self.state_policy)
        return report

    def step(self, closure: Closure | None = None) -> torch.Tensor | None:  # type: ignore[override]
        """One step of the base optimizer.

        Parameters
        ----------
        closure : callable, optional
            Returns the loss, without backward: teleports if that is due, then computes gradients and steps.
            Without it gradients must be there, and :meth:`teleport` must have been called where it was due.

        Returns
        -------
        Tensor or None
            The loss of the closure before the step.

        Raises
        ------
        InputError
            If a teleport is due and there is no closure to do it with.
        """
        if closure is None:
            if self.due:
                raise InputError(
                    f"a teleport is due before step {self.moment.step} and needs the loss: call "
                    "optimizer.teleport(lambda: loss of the batch) before backward, or step(closure)"
                )
            self._base().step()
            loss = None
        else:
            self.teleport(closure)
            loss = self._base().step(self._with_backward(closure))
        self._advance()
        return loss

    def _with_backward(self, closure: Closure) -> Any:
        def evaluate() -> torch.Tensor:
            with torch.enable_grad():
                self._base().zero_grad()
                loss = closure()
                torch.autograd.backward(loss)
            return loss.detach()

        return evaluate

    def _advance(self) -> None:
        step, batch = self.moment.step + 1, self.moment.batch + 1
        full = self.steps_per_epoch is not None and batch >= self.steps_per_epoch
        self.moment = Moment(step, self.moment.epoch + full, 0 if full else batch)

    def next_epoch(self) -> None:
        """Tell that an epoch has ended.

        Raises
        ------
        InputError
            If ``steps_per_epoch`` already counts them.
        """
        if self.steps_per_epoch is not None:
            raise InputError("epochs count themselves because steps_per_epoch was given; drop one of the two")
        self.moment = Moment(self.moment.step, self.moment.epoch + 1, 0)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the base optimizer."""
        if self.base is None:  # called by the parent's constructor
            super().add_param_group(param_group)
        else:
            self.base.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The base optimizer's state, with the position of the schedule under ``"teleport"``."""
        place = {"step": self.moment.step, "epoch": self.moment.epoch, "batch": self.moment.batch, "asked": self._asked}
        generator = self.teleporter.generator
        if generator is not None:
            place["generator"] = generator.get_state()  # type: ignore[assignment]
        return {**self._base().state_dict(), "teleport": place}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of :meth:`state_dict`.

        Raises
        ------
        InputError
            If the dictionary is that of a bare optimizer.
        """
        if "teleport" not in state_dict:
            raise InputError(
                "state_dict has no 'teleport' entry: it was saved from a bare optimizer, and the schedule would not "
                "know its place; load it into the base optimizer before wrapping it"
            )
        place = state_dict["teleport"]
        self._base().load_state_dict({key: value for key, value in state_dict.items() if key != "teleport"})
        self._share()
        self.moment = Moment(int(place["step"]), int(place["epoch"]), int(place["batch"]))
        self._asked = int(place["asked"])
        if self.teleporter.generator is not None and "generator" in place:
            self.teleporter.generator.set_state(place["generator"])
