"""Stopping rules: when a stage ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evenflow.errors import InputError
from evenflow.fresh import fresh
from evenflow.status import Status

if TYPE_CHECKING:
    from evenflow.minimizer.base import State

__all__ = [
    "AnyOf",
    "Decrement",
    "Fluctuation",
    "GradientNorm",
    "Never",
    "Plateau",
    "Stagnation",
    "Steps",
    "StoppingRule",
]

_TINY = 1e-300


def _size(energy: float, first: float) -> float:
    """What a relative gap is relative to: |E|, and where that vanishes at the minimum a trace of the descent so far."""
    return max(abs(energy), 1e-12 * abs(first - energy), _TINY)


class StoppingRule(ABC):
    """Looks at the state after every step and may end the stage. Dataclass fields are the options.

    What a rule remembers is rebuilt from the history of the stage (:meth:`reset`, then :meth:`check` on each
    row: energy, gradient norm, decrement, step), so a resumed run stops where the uninterrupted one does.
    """

    @abstractmethod
    def reset(self, state: State) -> None:
        """Begin a stage at its first state."""

    @abstractmethod
    def check(self, state: State) -> Status | None:
        """The status to end with, or None to go on."""

    def fresh(self) -> StoppingRule:
        """A copy for another stage; what this one remembers is forgotten by :meth:`reset`."""
        return fresh(self)

    def __or__(self, other: StoppingRule) -> AnyOf:
        return AnyOf([self, other])


@dataclass
class AnyOf(StoppingRule):
    """Stop as soon as one of several rules does."""

    rules: list[StoppingRule]

    def fresh(self) -> AnyOf:
        """Copies of all."""
        return AnyOf([rule.fresh() for rule in self.rules])

    def reset(self, state: State) -> None:
        """Reset all."""
        for rule in self.rules:
            rule.reset(state)

    def check(self, state: State) -> Status | None:
        """Ask all of them, so that each sees every step; the first answer counts."""
        answers = [rule.check(state) for rule in self.rules]
        return next((answer for answer in answers if answer is not None), None)


@dataclass
class Never(StoppingRule):
    """Leave stopping to the budgets."""

    def reset(self, state: State) -> None:
        """Nothing to remember."""

    def check(self, state: State) -> Status | None:
        """Go on."""
        return None


@dataclass
class Steps(StoppingRule):
    """Stop after a fixed number of steps, as the papers' Kuramoto runs do [1]_.

    References
    ----------
    .. [1] Faster Optimization on Sparse Graphs via Neural Reparametrization, LoG 2024, section 5.2.
    """

    count: int

    def reset(self, state: State) -> None:
        """Nothing to remember."""

    def check(self, state: State) -> Status | None:
        """Compare the step number."""
        return Status.MAX_ITERATIONS if state.steps >= self.count else None


@dataclass
class Fluctuation(StoppingRule):
    """Stop when the last energies fluctuate less than ``threshold``.

    The fluctuation of the last ``patience`` energies is (max - min) / max(|max|, |min|): unlike the
    quotient (max - min) / max of earlier code it is safe for negative energies.
    """

    threshold: float = 1e-10
    patience: int = 10

    def __post_init__(self) -> None:
        if self.patience < 2:
            raise InputError(f"patience={self.patience}: a fluctuation needs at least 2 energies")

    def reset(self, state: State) -> None:
        """Forget earlier energies."""
        self._window: deque[float] = deque([state.energy], maxlen=self.patience)

    def check(self, state: State) -> Status | None:
        """Compare the spread of the window with its size."""
        window = self._window
        window.append(state.energy)
        if len(window) < self.patience:
            return None
        high, low = max(window), min(window)
        spread = (high - low) / max(abs(high), abs(low), _TINY)
        return Status.PLATEAU if spread < self.threshold else None


@dataclass
class Plateau(StoppingRule):
    """Stop when ``patience`` steps bring no improvement greater than ``min_delta`` (relative if ``relative``)."""

    min_delta: float = 1e-10
    patience: int = 10
    relative: bool = False

    def reset(self, state: State) -> None:
        """Take the start as the best energy."""
        self._best, self._since = state.energy, 0

    def check(self, state: State) -> Status | None:
        """Count the steps since the last improvement."""
        delta = self.min_delta * max(abs(self._best), _TINY) if self.relative else self.min_delta
        if state.energy < self._best - delta:
            self._best, self._since = state.energy, 0
            return None
        self._since += 1
        return Status.PLATEAU if self._since >= self.patience else None


@dataclass
class GradientNorm(StoppingRule):
    """Stop when the Euclidean norm of the gradient falls to ``absolute`` or to ``relative`` times the first one."""

    absolute: float = 0.0
    relative: float = 0.0

    def reset(self, state: State) -> None:
        """Remember the first norm."""
        self._bound = max(self.absolute, self.relative * state.gradient_norm)

    def check(self, state: State) -> Status | None:
        """Compare the norms."""
        return Status.CONVERGED if state.gradient_norm <= self._bound else None


@dataclass
class Decrement(StoppingRule):
    """Stop when the minimizer's own estimate of the energy left to gain is below ``tolerance`` times |E|.

    Where the energy at the minimum is zero, 1e-12 of the descent so far takes the place of |E|.
    """

    tolerance: float = 1e-11

    def reset(self, state: State) -> None:
        """Remember the first energy."""
        self._first = state.energy

    def check(self, state: State) -> Status | None:
        """Compare the estimate; nan never stops."""
        return Status.CONVERGED if state.decrement <= self.tolerance * _size(state.energy, self._first) else None


@dataclass
class Stagnation(StoppingRule):
    """Stop when the energy left to gain, extrapolated from the last steps, is below ``tolerance`` times |E|.

    With the decreases D1, D2, D3 of three successive runs of ``window`` steps, a linearly convergent descent has
    r = D3 / D2 and D3 r / (1 - r) left to gain; the slower of D3 / D2 and D2 / D1 counts, so that a plunge from a
    far start is not taken for fast convergence. Meant for monotone first-order minimizers, where a small change
    of the energy alone says nothing about the gap. Where the energy at the minimum is zero, 1e-12 of the descent
    so far takes the place of |E|.
    """

    tolerance: float = 1e-11
    window: int = 10

    def __post_init__(self) -> None:
        if self.window < 1:
            raise InputError(f"window={self.window}: expected a number of steps of at least 1")

    def reset(self, state: State) -> None:
        """Forget earlier energies."""
        self._first = state.energy
        self._energies: deque[float] = deque([state.energy], maxlen=3 * self.window + 1)

    def check(self, state: State) -> Status | None:
        """Extrapolate geometrically."""
        energies, w = self._energies, self.window
        energies.append(state.energy)
        if len(energies) <= 3 * w:
            return None
        size = _size(state.energy, self._first)
        gains = [energies[k * w] - energies[(k + 1) * w] for k in range(3)]
        if gains[2] <= 4e-16 * size:  # only round-off is left
            return Status.PLATEAU
        rate = max(gains[2] / max(gains[1], _TINY), gains[1] / max(gains[0], _TINY))
        if rate >= 1.0:
            return None
        return Status.CONVERGED if gains[2] * rate / (1.0 - rate) <= self.tolerance * size else None
