"""Hierarchy: the levels of a multigrid preconditioner, built once and refreshed by their numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.preconditioner import cycle
from evenflow.preconditioner.aggregation import aggregate, condense, couplings
from evenflow.preconditioner.elimination import (
    NEGATIVE,
    elimination_order,
    elimination_pattern,
    elimination_values,
)
from evenflow.preconditioner.galerkin import galerkin_map, galerkin_values
from evenflow.preconditioner.half import dense_half, expand
from evenflow.preconditioner.interpolation import interpolation_pattern, interpolation_values, repeat_rows

__all__ = ["Aggregated", "Direct", "Eliminated", "Level", "Matrix", "Recipe", "Smoothed", "descend"]

IndexArray = npt.NDArray[np.int32]

TINY = 1e-10  # a pivot below this share of its diagonal entry is zero but for rounding
_NOTHING = 1e-14


@dataclass(frozen=True)
class Recipe:
    """The options of :class:`~evenflow.preconditioner.multigrid.Multigrid` that shape the levels."""

    threshold: float
    damping: float
    width: int
    coarsest: int
    block: int


@dataclass
class Matrix:
    """A symmetric matrix: strictly lower rows and diagonal in one array, and its full rows.

    ``slot`` points from the full rows into ``values`` (None on the finest level, whose full values are given).
    """

    ptr: IndexArray
    idx: IndexArray
    values: FloatArray
    rows: tuple[IndexArray, IndexArray]
    slot: IndexArray | None = None
    data: FloatArray | None = None

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.ptr) - 1

    @property
    def lower(self) -> FloatArray:
        """Strictly lower values."""
        return self.values[: len(self.idx)]

    @property
    def diagonal(self) -> FloatArray:
        """Diagonal entries."""
        return self.values[len(self.idx) :]

    @property
    def entries(self) -> int:
        """Entries of the full matrix."""
        return 2 * len(self.idx) + self.size

    def full(self) -> FloatArray:
        """Values of the full rows."""
        if self.slot is None:
            assert self.data is not None
            return self.data
        return self.values[self.slot]

    @classmethod
    def coarse(cls, ptr: IndexArray, idx: IndexArray) -> Matrix:
        """A matrix of this pattern whose values are still to come."""
        indptr, indices, slot = expand(ptr, idx)
        return cls(ptr, idx, np.empty(len(idx) + len(ptr) - 1), (indptr, indices), slot)


@dataclass
class Level(ABC):
    """One level: its matrix and how the next one follows from it.

    Attributes
    ----------
    kind : int
        One of the kinds of :mod:`evenflow.preconditioner.cycle`.
    zero, negative : int
        Pivots replaced at the last refresh because they were zero (nothing holds their component), negative.
    """

    matrix: Matrix
    zero: int = field(default=0, init=False)
    negative: int = field(default=0, init=False)
    inverse: FloatArray = field(default_factory=lambda: np.empty(0), init=False)
    scale: FloatArray | None = None

    kind = cycle.SMOOTH

    @abstractmethod
    def refresh(self) -> None:
        """Compute everything that depends on the values of the matrix, and those of the next level's."""

    def pin(self) -> None:
        """Replace diagonal entries that are not positive, in the matrix itself, by the size they should have.

        Zero up to rounding: a component that nothing holds, which is so held by one node. Negative: the matrix
        is indefinite.
        """
        d = self.matrix.diagonal
        if self.scale is None:  # the finest level: only what is nothing beside the other entries is zero
            reference, tiny = np.full(len(d), float(np.abs(d).mean()) if len(d) else 1.0), _NOTHING
        else:
            reference, tiny = self.scale, TINY
        low = ~(d > tiny * reference)
        count = np.count_nonzero(low)
        self.negative = int(np.count_nonzero(d[low] < -NEGATIVE * reference[low])) if count else 0
        self.zero = int(count) - self.negative
        if count:
            d[low] = np.where(reference[low] > 0, reference[low], 1.0)


class Smoothed(Level):
    """Coarsest level that is not worth factoring: one symmetric Gauss-Seidel sweep."""

    kind = cycle.SMOOTH

    def refresh(self) -> None:
        """Invert the pivots."""
        self.pin()
        self.inverse = 1.0 / self.matrix.diagonal


class Direct(Level):
    """Coarsest level, solved by a dense Cholesky factor."""

    kind = cycle.DIRECT
    dense: FloatArray

    def refresh(self) -> None:
        """Factor."""
        m = self.matrix
        self.pin()
        dense = dense_half(m.ptr, m.idx, m.lower, m.diagonal)
        self.dense, zero, negative = cycle.factor_dense(dense, TINY, NEGATIVE)
        self.zero += zero
        self.negative += negative


class Aggregated(Level):
    """Groups of nodes become the coarse nodes, by smoothed and truncated interpolation."""

    kind = cycle.AGGREGATE

    def build(self, recipe: Recipe) -> bool:
        """Find the groups, the interpolation pattern and the product map; False if the level does not shrink."""
        self.recipe = recipe
        m = self.matrix
        indptr, indices, data = self._nodal()
        self.mark = couplings(indptr, indices, data, recipe.threshold)
        self.group, self.n_groups = aggregate(indptr, indices, data, self.mark)
        if self.n_groups == 0 or self.n_groups * recipe.block > 0.8 * m.size:
            return False
        self.w_ptr, self.w_idx = interpolation_pattern(
            indptr, indices, data, self.mark, self.group, self.n_groups, recipe.width
        )
        self.w_val = np.empty(len(self.w_idx))
        self.p_ptr, self.p_idx, self.p_val = self.w_ptr, self.w_idx, self.w_val
        if recipe.block > 1:
            self.p_ptr, self.p_idx, self.p_val = repeat_rows(self.w_ptr, self.w_idx, self.w_val, recipe.block)
        size = self.n_groups * recipe.block
        ptr, idx, self.u_ptr, self.u_idx, self.target, self.fold = galerkin_map(
            m.ptr, m.idx, self.p_ptr, self.p_idx, size
        )
        self.coarse = Matrix.coarse(ptr, idx)
        self.coarse_scale = np.empty(size)
        return True

    def _nodal(self) -> tuple[IndexArray, IndexArray, FloatArray]:
        """Rows of the matrix over nodes: the matrix itself, or its block norms."""
        indptr, indices = self.matrix.rows
        data = self.matrix.full()
        return (indptr, indices, data) if self.recipe.block == 1 else condense(indptr, indices, data, self.recipe.block)

    def refresh(self) -> None:
        """Invert the pivots, weigh the interpolation, multiply out the coarse matrix."""
        self.pin()
        m, block = self.matrix, self.recipe.block
        self.inverse = 1.0 / m.diagonal
        indptr, indices, data = self._nodal()
        interpolation_values(
            indptr, indices, data, self.mark, self.group, self.n_groups, self.recipe.damping,
            self.w_ptr, self.w_idx, self.w_val,
        )  # fmt: skip
        if block > 1:
            self.p_val = repeat_rows(self.w_ptr, self.w_idx, self.w_val, block)[2]
        unsigned = [a.view(np.uint32) for a in (m.ptr, m.idx, self.p_ptr, self.p_idx)]
        galerkin_values(
            unsigned[0], unsigned[1], m.lower, m.diagonal, unsigned[2], unsigned[3], self.p_val,
            self.u_ptr.view(np.uint32), self.u_idx.view(np.uint32), self.target.view(np.uint32),
            self.fold.view(np.uint32), self.coarse.values, self.coarse_scale,
        )  # fmt: skip


class Eliminated(Level):
    """Nodes of degree one and two are eliminated exactly: trees vanish, chains become edges."""

    kind = cycle.ELIMINATE

    def build(self, least: float) -> bool:
        """Find the order; False if fewer than the share ``least`` of the nodes can go."""
        m = self.matrix
        degree = np.diff(m.rows[0])
        if np.count_nonzero(degree <= 3) < least * m.size:  # the diagonal counts as one
            return False
        self.order, self.first, self.second, self.fill, self.ends, used = elimination_order(m.ptr, m.idx)
        self.p_ptr, self.p_idx, self.keep, ptr, idx, self.fold = elimination_pattern(
            m.size, self.order, self.first, self.second, self.ends, used
        )
        self.p_val = np.empty(len(self.p_idx))
        self.sequence = np.concatenate([self.order, self.keep])
        self.coarse = Matrix.coarse(ptr, idx)
        self.coarse_scale = np.empty(len(self.keep))
        self.inverse = np.empty(len(self.order))
        return True

    def refresh(self) -> None:
        """Eliminate."""
        m = self.matrix
        self.pin()
        zero, negative = elimination_values(
            m.lower, m.diagonal, self.order, self.first, self.second, self.fill, self.ends, self.keep, self.fold,
            TINY, self.p_val, self.inverse, self.coarse.values,
        )  # fmt: skip
        self.zero += zero
        self.negative += negative
        np.abs(m.diagonal[self.keep], out=self.coarse_scale)


def descend(matrix: Matrix, recipe: Recipe, max_levels: int = 40) -> list[Level]:
    """Build all levels below and with ``matrix``, refreshed."""
    levels: list[Level] = []
    scale: FloatArray | None = None
    while True:
        level = _next_level(matrix, recipe, scale, last=len(levels) + 1 >= max_levels)
        level.refresh()
        levels.append(level)
        if not isinstance(level, Aggregated | Eliminated):
            return levels
        matrix, scale = level.coarse, level.coarse_scale


def _next_level(matrix: Matrix, recipe: Recipe, scale: FloatArray | None, *, last: bool) -> Level:
    if matrix.size > recipe.coarsest and not last:
        if recipe.block == 1:
            eliminated = Eliminated(matrix, scale=scale)
            if eliminated.build(0.15):
                return eliminated
        aggregated = Aggregated(matrix, scale=scale)
        if aggregated.build(recipe):
            return aggregated
    return Direct(matrix, scale=scale) if matrix.size <= 8 * recipe.coarsest else Smoothed(matrix, scale=scale)
