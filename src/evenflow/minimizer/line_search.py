"""Line search for the strong Wolfe conditions, safe at round-off and against values that are not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.minimizer.base import State
from evenflow.minimizer.linear_algebra import move, slopes
from evenflow.minimizer.problem import Problem

__all__ = ["LineSearch"]

_EPS = 2.2e-16
_WIDEST = 10.0  # largest factor between two trial steps while no upper end is known
_PATIENCE = 3  # trials that only round-off can explain before it is believed
_CREDIBLE = 10_000  # units in the last place that it may explain at most; Hager and Zhang allow 1e-6 of the energy


@dataclass
class _End:
    """A trial: step, energy and slope there."""

    step: float
    energy: float
    slope: float


@dataclass
class LineSearch:
    """Finds a step along a direction that satisfies the strong Wolfe conditions [1]_.

    Every trial costs one fused energy-and-gradient pass; the first trial is taken if it satisfies them. The
    bracket is narrowed by cubic interpolation, or by the secant of the slopes where differences of the energy
    are no larger than its round-off; there the sufficient decrease is read from the slopes, too (approximate
    Wolfe conditions [2]_, eq. 4.1). The size of the round-off is found out, not assumed: it starts at a few
    units in the last place and grows to what trials show that only round-off can explain.

    Parameters
    ----------
    decrease : float
        Constant c1 of the sufficient decrease.
    curvature : float
        Constant c2 of the slope condition.
    max_trials : int

    Attributes
    ----------
    noise : float
        Round-off of the energy seen so far.
    scale : float
        Largest absolute energy seen so far.

    References
    ----------
    .. [1] J. Nocedal, S. Wright, "Numerical Optimization", 2nd edition, 2006, eq. 3.7 and algorithm 3.5.
    .. [2] W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line
       search", SIAM J. Optim. 16, 2005.
    """

    decrease: float = 1e-4
    curvature: float = 0.9
    max_trials: int = 40
    noise: float = 0.0
    scale: float = 0.0
    theta: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)
    gradient: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)

    def start(self, state: State) -> None:
        """Allocate the buffers of the trial point."""
        self.theta, self.gradient = np.empty_like(state.theta), np.empty_like(state.theta)
        self.noise, self.scale = 0.0, abs(state.energy)

    def evaluate(
        self, problem: Problem, state: State, direction: FloatArray, step: float
    ) -> tuple[float, float, float]:
        """Step, energy (inf where anything is not finite) and slope at theta + step direction."""
        move(state.theta, direction, step, self.theta)
        energy, gradient = problem.value_and_gradient(self.theta, self.gradient)
        if gradient.base is not self.gradient and gradient is not self.gradient:
            self.gradient[:] = gradient
        slope, self.square = slopes(self.gradient, direction)
        if not (math.isfinite(energy) and math.isfinite(slope) and math.isfinite(self.square)):
            return step, math.inf, math.nan
        return step, energy, slope

    def first_scale(self, problem: Problem, state: State, descent: FloatArray) -> float:
        """Factor on ``-descent`` that leads to the least energy on that line, from one extra gradient.

        The curvature along the line is the difference of two gradients; where it is negative its size counts.
        """
        length = math.sqrt(slopes(descent, descent)[1])
        reach = max(1.0, math.sqrt(slopes(state.theta, state.theta)[1]))
        slope = slopes(state.gradient, descent)[0]
        h = 1e-6 * reach / length
        bend = (slope - self.evaluate(problem, state, descent, -h)[2]) / h
        if abs(bend) > 1e-12 * slope * length / reach:
            return slope / abs(bend)
        return 1e-3 * reach / length

    def accept(self, state: State, energy: float) -> None:
        """Make the last trial the state; its former arrays become the buffers of the next search."""
        state.theta, self.theta = self.theta, state.theta
        state.gradient, self.gradient = self.gradient, state.gradient
        state.energy, state.gradient_norm = energy, math.sqrt(self.square)
        self.scale = max(self.scale, abs(energy))

    def __call__(self, problem: Problem, state: State, direction: FloatArray, slope: float, step: float) -> float:
        """Search along ``direction`` from ``step``; return the step taken, 0.0 if none was found.

        The trial buffers hold the point that was left; :meth:`accept` was called for the one taken.
        """
        trial = self.evaluate(problem, state, direction, step)
        if trial[1] <= state.energy + self.decrease * step * slope and abs(trial[2]) <= -self.curvature * slope:
            self.accept(state, trial[1])
            return step
        return self._bracket(problem, state, direction, slope, _End(*trial))

    def _bracket(self, problem: Problem, state: State, direction: FloatArray, slope: float, trial: _End) -> float:
        """Narrow or widen the range of steps after a first trial that did not serve."""
        f0, c1, c2 = state.energy, self.decrease, self.curvature
        root = math.sqrt(direction.size)  # sums of n terms round off like this
        credible = _EPS * (_CREDIBLE + 4 * root) * self.scale
        self._tolerance = max(self.noise, _EPS * (8 + root) * abs(f0))
        before = low = _End(0.0, f0, slope)
        high: _End | None = None
        calm: _End | None = None
        width, waited = math.inf, 0
        for _ in range(self.max_trials):
            rise = trial.energy - f0
            enough = rise <= c1 * trial.step * slope
            if enough and abs(trial.slope) <= -c2 * slope:
                return self._take(state, trial)
            if not enough and c2 * slope <= trial.slope <= -0.8 * slope and rise <= credible:
                if rise <= self._tolerance:
                    return self._take(state, trial)
                calm = trial if calm is None or abs(trial.slope) < abs(calm.slope) else calm
            waited += calm is not None
            low_enough = (enough or rise <= self._tolerance) and trial.energy <= low.energy + self._tolerance
            if low_enough and trial.slope < 0:
                before, low = low, trial
            else:
                high = trial
            step, width = (self._beyond(before, low), width) if high is None else self._between(low, high, width)
            if waited > _PATIENCE or (high is not None and abs(high.step - low.step) <= 1e-15 * high.step):
                break
            trial = _End(*self.evaluate(problem, state, direction, step))
        return self._settle(problem, state, direction, low, calm)

    def _take(self, state: State, trial: _End) -> float:
        """Accept the last trial."""
        self.accept(state, trial.energy)
        return trial.step

    def _settle(self, problem: Problem, state: State, direction: FloatArray, low: _End, calm: _End | None) -> float:
        """End a search that found no Wolfe point: what the slopes approve of, else what is lower at all."""
        if calm is not None:
            self.noise = max(self.noise, 2 * (calm.energy - state.energy))
        elif low.step == 0.0 or low.energy >= state.energy:
            return 0.0
        chosen = calm or low
        return self._take(state, _End(*self.evaluate(problem, state, direction, chosen.step)))

    @staticmethod
    def _beyond(before: _End, low: _End) -> float:
        """Where the secant of the slopes vanishes beyond the bracket, within bounds."""
        bend = low.slope - before.slope
        secant = low.step - low.slope * (low.step - before.step) / bend if bend > 0 else math.inf
        return min(max(secant, 1.5 * low.step), _WIDEST * low.step)

    def _between(self, low: _End, high: _End, width: float) -> tuple[float, float]:
        """Next step to try inside the bracket, and the width of the bracket."""
        span = high.step - low.step
        if not math.isfinite(high.energy):
            return low.step + 0.1 * span, span
        if span > 0.66 * width:  # two trials that did not shrink the bracket enough
            return low.step + 0.5 * span, span
        return low.step + min(max(self._minimiser(low, high, span), 0.1), 0.9) * span, span

    def _minimiser(self, low: _End, high: _End, span: float) -> float:
        """Where in the bracket (0 to 1) the cubic through both ends is least."""
        a, b, rise = low.slope * span, high.slope * span, high.energy - low.energy
        if abs(rise) <= self._tolerance:
            return a / (a - b) if b > 0 else 0.5
        middle = a + b - 3 * rise
        square = middle * middle - a * b
        if square < 0:
            return 0.5
        root = math.sqrt(square)
        bottom = b - a + 2 * root
        return (root - a + middle) / bottom if abs(bottom) > 1e-300 else 0.5
