"""Nested iteration: a quartic expansion is minimised on the coarsest level first, then refined level by level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.preconditioner import quartic
from evenflow.preconditioner.hierarchy import Aggregated, Eliminated, Level

__all__ = ["Expansion", "nested_iteration"]

_SWEEPS = 2  # on the finest level
_CYCLES = 10  # at most, where a level is eliminated to the end
_FOREST, _LOOPS = 5e-3, 0.5  # of the largest state: a cycle that moves nothing by more was the last there


@dataclass
class Expansion:
    """x.A x / 2 - r.x plus the nodes' own terms: ``r`` of shape (n,), ``series`` of shape (n, 3)."""

    r: FloatArray
    series: FloatArray

    @classmethod
    def empty(cls, size: int) -> Expansion:
        """Room for one."""
        return cls(np.empty(size), np.empty((size, 3)))

    def copy(self) -> Expansion:
        """A copy."""
        return Expansion.empty(len(self.r)).take(self)

    def take(self, other: Expansion) -> Expansion:
        """Become like another one of the same size."""
        self.r[:], self.series[:] = other.r, other.series
        return self

    def move(self, level: Level, x: FloatArray) -> Expansion:
        """Expand anew at x, in place."""
        m = level.matrix
        quartic.subtract(m.ptr, m.idx, m.lower, m.diagonal, self.series, x, self.r)
        quartic.recentre(self.series, x)
        return self


def nested_iteration(levels: list[Level], expansion: Expansion) -> FloatArray:
    """Approximate minimiser of an expansion over the finest level, whose nodes' terms are convex; it is used up.

    Full multigrid [1]_ with full approximation: the terms go down the levels as quartics, nothing is linearised. On
    the way up each level makes one cycle, but the finest, which would cost as much as all others, only sweeps.

    Parameters
    ----------
    levels : list of Level
        Of couplings alone: wherever the potential is mixed with them, it must have been zero at the last refresh.
    expansion : Expansion

    Returns
    -------
    ndarray, shape (n,)

    References
    ----------
    .. [1] A. Brandt, "Multi-level adaptive solutions to boundary-value problems", Math. Comp. 31, 1977, secs. 5-6.
    """
    level, x = levels[0], np.zeros(len(expansion.r))
    if isinstance(level, Aggregated):
        m = level.matrix
        _go_up(level, _refine(levels[1:], _go_down(level, expansion, x, expansion.r)), x)
        for _ in range(_SWEEPS):
            quartic.backward(m.ptr, m.idx, m.lower, m.diagonal, expansion.series, x, expansion.r.copy())
        return x
    return _refine(levels, expansion)


def _refine(levels: list[Level], expansion: Expansion) -> FloatArray:
    """Nested iteration with a cycle on this level, too."""
    level, x = levels[0], np.zeros(len(expansion.r))
    if isinstance(level, Aggregated):
        _go_up(level, _refine(levels[1:], _go_down(level, expansion, x, expansion.r)), x)
    elif isinstance(level, Eliminated):
        gathered = expansion.copy()
        coarse = _eliminate(level, gathered, quartic.carry_elimination)
        if level.coarse.size == 0:
            _substitute(level, gathered, coarse.r, x)
            _repeat(levels, expansion, x, _FOREST if len(level.p_idx) < level.matrix.size else _LOOPS)
            return x
        _substitute(level, gathered, _refine(levels[1:], coarse), x)
    else:
        return _settle(level, expansion)
    x += _cycle(levels, expansion.move(level, x), visits=1)
    return x


def _repeat(levels: list[Level], expansion: Expansion, x: FloatArray, settled: float) -> None:
    """Cycles where there is nothing to nest on; they converge quadratically where it is a forest."""
    moved = Expansion.empty(len(x))  # of every cycle: memory that was just used is fast
    for _ in range(_CYCLES):
        if quartic.add(_cycle(levels, moved.take(expansion).move(levels[0], x)), x) <= settled:
            return


def _cycle(levels: list[Level], expansion: Expansion, visits: int = 2) -> FloatArray:
    """One cycle from zero; ``visits`` of the next level, then two of each below. The expansion is used up."""
    level, x = levels[0], np.empty_like(expansion.r)
    if isinstance(level, Eliminated):
        coarse = _eliminate(level, expansion, quartic.settle_elimination)
        kept = coarse.r if level.coarse.size == 0 else _cycle(levels[1:], coarse, visits)
        _substitute(level, expansion, kept, x)
        return x
    if not isinstance(level, Aggregated):
        return _settle(level, expansion)
    m, residual = level.matrix, np.empty_like(x)
    quartic.forward(m.ptr, m.idx, m.lower, m.diagonal, expansion.r, expansion.series, x, residual)
    coarse = _go_down(level, expansion, x, residual)
    again = coarse.copy() if visits > 1 else None
    correction = _cycle(levels[1:], coarse)
    if again is not None:
        correction += _cycle(levels[1:], again.move(levels[1], correction))
    _go_up(level, correction, x)
    quartic.backward(m.ptr, m.idx, m.lower, m.diagonal, expansion.series, x, expansion.r)
    return x


def _settle(level: Level, expansion: Expansion) -> FloatArray:
    """Minimise on the coarsest level."""
    m, x = level.matrix, np.empty_like(expansion.r)
    quartic.settle(m.ptr, m.idx, m.lower, m.diagonal, expansion.r, expansion.series, x)
    return x


def _go_down(level: Aggregated, expansion: Expansion, x: FloatArray, residual: FloatArray) -> Expansion:
    """The expansion of the next level at x."""
    coarse = Expansion.empty(level.coarse.size)
    quartic.carry(level.p_ptr, level.p_idx, level.weights, residual, expansion.series, x, coarse.r, coarse.series)
    return coarse


def _go_up(level: Aggregated, correction: FloatArray, x: FloatArray) -> None:
    """Add the interpolated states of the next level to x."""
    quartic.prolong(level.p_ptr, level.p_idx, level.weights, correction, x)


def _eliminate(level: Eliminated, expansion: Expansion, kernel: Callable[..., None]) -> Expansion:
    """The expansion of the kept nodes; this one becomes what each node had at its turn."""
    coarse = Expansion.empty(level.coarse.size)
    kernel(
        level.p_ptr, level.p_idx, level.p_val, level.inverse, level.sequence, expansion.r, expansion.series,
        coarse.r, coarse.series,
    )  # fmt: skip
    return coarse


def _substitute(level: Eliminated, gathered: Expansion, kept: FloatArray, x: FloatArray) -> None:
    """Write the states of all nodes, given those of the kept ones."""
    quartic.substitute(
        level.p_ptr, level.p_idx, level.p_val, level.inverse, level.sequence, kept, gathered.r, gathered.series, x
    )
