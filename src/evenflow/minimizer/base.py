"""Minimizer and State: one step at a time, no loop, no clock, no stopping rule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.minimizer.problem import Problem
from evenflow.status import Status

__all__ = ["Minimizer", "State"]


@dataclass
class State:
    """Where a minimizer stands: always consistent (energy and gradient belong to theta).

    Attributes
    ----------
    theta : ndarray, shape (size,)
    energy : float
    gradient : ndarray, shape (size,)
        With respect to theta.
    gradient_norm : float
        Its Euclidean norm.
    steps : int
        Steps made in this stage; the loop counts them.
    decrement : float
        The minimizer's own estimate of how much energy is left to gain (nan where it has none).
    inner : int
        Inner iterations (conjugate-gradient steps) of the last step.
    status : Status or None
        Set when the minimizer cannot go on.
    note : str
        A few words on what the last step did, for messages.
    memory : dict
        Everything else the next step depends on: arrays, numbers, strings. Written to checkpoints whole.
    """

    theta: FloatArray
    energy: float
    gradient: FloatArray
    gradient_norm: float
    steps: int = 0
    decrement: float = float("nan")
    inner: int = 0
    status: Status | None = None
    note: str = ""
    memory: dict[str, Any] = field(default_factory=dict)


class Minimizer(ABC):
    """Drives theta downhill. Subclasses are dataclasses whose fields are the user's options.

    Live objects that follow from the state (factorisations, buffers) may be kept in attributes that are not
    fields; :meth:`restore` must rebuild them so that a resumed run continues bit for bit.

    Attributes
    ----------
    name : str
    needs_hvp : bool
        Whether the problem must offer Hessian products.
    monotone : bool
        Whether no step ever raises the energy (then the current point is the best one).
    setup_seconds : float
        Seconds spent so far on building and refreshing preconditioners (part of the solve's set-up).
    """

    name: ClassVar[str]
    needs_hvp: ClassVar[bool] = False
    monotone: ClassVar[bool] = False
    setup_seconds: float = 0.0

    def init(self, problem: Problem, theta: FloatArray) -> State:
        """Evaluate the start. Takes ownership of ``theta``."""
        energy, gradient = problem.value_and_gradient(theta)
        return State(theta, energy, np.array(gradient), math.sqrt(gradient @ gradient))

    @abstractmethod
    def step(self, problem: Problem, state: State) -> None:
        """Advance ``state`` in place by one step; set ``state.status`` if no step can be made."""

    def look_ahead(self, problem: Problem, state: State) -> None:  # noqa: B027
        """Do that part of the next step which tells how much energy is left, and set ``state.decrement``.

        The loop asks for it after every step that did not end the solve, before any stopping rule; a run to a target
        is spared the last one. It may move the state on. Asked again before the next step it does nothing.
        """

    def remark(self) -> str:
        """What was done beyond stepping, in a few words for the report of the stage."""
        return ""

    def export(self, state: State) -> dict[str, Any]:
        """The memory as numbers, strings and arrays, for a checkpoint."""
        return dict(state.memory)

    def restore(self, problem: Problem, state: State, saved: Mapping[str, Any]) -> None:
        """Take back what :meth:`export` gave, and rebuild live objects."""
        state.memory = dict(saved)
