"""Hierarchy: the levels of a multigrid preconditioner, built once and refreshed by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.preconditioner import cycle
from evenflow.preconditioner.aggregation import aggregate, condense
from evenflow.preconditioner.dense import factor_dense
from evenflow.preconditioner.elimination import (
    NEGATIVE,
    count_thin,
    elimination_order,
    elimination_pattern,
    elimination_values,
)
from evenflow.preconditioner.galerkin import multiply_new, multiply_out
from evenflow.preconditioner.half import dense_half, expand, invert_pivots, reach, subtract_reach
from evenflow.preconditioner.interpolation import (
    carry_potential,
    coupling_sizes,
    interpolate,
    interpolation_weights,
    repeat_rows,
    scale_rows,
)
from evenflow.preconditioner.minimum_degree import factor_values, minimum_degree

__all__ = ["Aggregated", "Direct", "Eliminated", "Factored", "Level", "Matrix", "Recipe", "Smoothed", "descend"]

UintArray = npt.NDArray[np.uint32]

TINY = 1e-10  # a pivot below this share of its diagonal entry is zero but for rounding
_NOTHING = 1e-14
_NO_SCALE = np.zeros(0)
_SPARSE = 6.0  # entries a row
_THIN = 0.15  # of the nodes have at most two neighbours where those are eliminated
_SMALL = 4_096  # unknowns of such a matrix that may be eliminated to the end
_DENSE = 0.75  # entries of a coarse matrix beside those of the fine one


@dataclass(frozen=True)
class Recipe:
    """The options of :class:`~evenflow.preconditioner.multigrid.Multigrid` that shape levels of groups."""

    threshold: float
    damping: float
    stretch: tuple[float, float]  # where the interpolation is smoothed, and where it is not
    width: int
    block: int


@dataclass
class Matrix:
    """A symmetric matrix: strictly lower rows (``lower``) and ``diagonal`` in one array, and its full rows.

    The pattern of the full rows is given on the finest level, and found when it is first asked for on others. Their
    values ``data`` are kept only while levels are built. ``recoupled``: whether ``values`` differ from the last
    refresh. ``potential``, where it is given, is the part of the diagonal that ``values`` leave out, and ``reach`` the
    sum of the sizes of the couplings of each row, once it was asked for.
    """

    ptr: UintArray
    idx: UintArray
    values: FloatArray
    pattern: tuple[UintArray, UintArray] | None = None
    data: FloatArray | None = None
    recoupled: bool = True
    potential: FloatArray | None = None
    reach: FloatArray | None = None
    size: int = field(init=False)
    lower: FloatArray = field(init=False)
    diagonal: FloatArray = field(init=False)
    _slot: UintArray | None = None

    def __post_init__(self) -> None:
        self.size = len(self.ptr) - 1
        self.lower, self.diagonal = self.values[: len(self.idx)], self.values[len(self.idx) :]

    @property
    def pivots(self) -> FloatArray:
        """Diagonal entries, the potential included."""
        return self.diagonal if self.potential is None else self.diagonal + self.potential

    def separate(self) -> None:
        """Take the potential, what each diagonal entry has beyond the couplings of its row, out of ``values``.

        Only if it is negative nowhere; else the matrix stays whole.
        """
        apart = self.potential is not None
        if self.reach is None:
            self.reach = reach(self.ptr, self.idx, self.lower)
        self.potential = self.beyond_couplings(self.diagonal)
        if self.potential is not None:
            self.diagonal[:] = self.reach
        self.recoupled |= apart != (self.potential is not None)

    def beyond_couplings(self, diagonal: FloatArray) -> FloatArray | None:
        """What diagonal entries have beyond the couplings of their rows; None where that is negative somewhere."""
        potential = np.empty(self.size)
        return potential if subtract_reach(diagonal, self.reach, _NOTHING, potential) else None

    @property
    def entries(self) -> int:
        """Entries of the full matrix."""
        return 2 * len(self.idx) + self.size

    @property
    def rows(self) -> tuple[UintArray, UintArray]:
        """Pattern of the full rows (indptr, indices)."""
        if self.pattern is None:
            indptr, indices, self.data = expand(self.ptr, self.idx, self.values)
            self.pattern = indptr, indices
        return self.pattern

    def full(self) -> FloatArray:
        """Values of the full rows."""
        if self.data is not None:
            return self.data
        if self._slot is None:
            self._slot = expand(self.ptr, self.idx, np.arange(len(self.values), dtype=np.uint32))[2]
        return self.values[self._slot]


@dataclass
class Level:
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
    stretch: float = field(default=1.0, init=False)

    kind = cycle.SMOOTH

    def refresh(self) -> None:
        """Compute everything that depends on the values of the matrix, and those of the next level's: here, pivots."""
        self.invert()

    def invert(self) -> None:
        """Invert the pivots; those that are not positive are replaced, in the matrix itself, by what they should be.

        Zero up to rounding: a component that nothing holds, which is so held by one node. Negative: the matrix
        is indefinite.
        """
        m = self.matrix
        if len(self.inverse) != m.size:
            self.inverse = np.empty(m.size)
        # on the finest level only what is nothing beside the other entries is zero
        scale, tiny = (_NO_SCALE, _NOTHING) if self.scale is None else (self.scale, TINY)
        apart = m.potential is not None
        self.zero, self.negative = invert_pivots(
            m.diagonal, m.potential if apart else m.diagonal, apart, scale, tiny, NEGATIVE, self.inverse
        )


class Smoothed(Level):
    """Coarsest level that is not worth factoring: one symmetric Gauss-Seidel sweep."""

    kind = cycle.SMOOTH


class Direct(Level):
    """Coarsest level, solved by a dense Cholesky factor."""

    kind = cycle.DIRECT
    dense: FloatArray

    def factor(self) -> None:
        """Factor, which nested iteration can do without."""
        m = self.matrix
        self.dense = dense_half(m.ptr, m.idx, m.lower, m.pivots)
        zero, negative = factor_dense(self.dense, TINY, NEGATIVE)
        self.zero += zero
        self.negative += negative


class Aggregated(Level):
    """Groups of nodes become the coarse nodes, by smoothed and truncated interpolation."""

    kind = cycle.AGGREGATE

    def build(self, recipe: Recipe) -> bool:
        """Find the groups, the interpolation pattern and the product map; False if the level does not shrink.

        Where smoothed interpolation would make the coarse matrix dense after all (hubs), plain aggregation takes its
        place: there a few smoothing steps are enough anyway.
        """
        self.recipe = recipe
        self.size: FloatArray | None = None  # sums of the couplings of each node, once they are asked for
        m = self.matrix
        rows = self._nodal()
        ptr, place, mark = np.empty_like(rows[0]), np.empty_like(rows[1]), np.empty(len(rows[1]), np.uint8)
        count, self.group, self.n_groups = aggregate(*rows, recipe.threshold, ptr, place, mark)
        self.strong = ptr, place[:count], mark[:count]
        size = self.n_groups * recipe.block
        if size == 0 or size > 0.8 * m.size:
            return False
        wide = 1 if recipe.damping == 0 else recipe.width or (3 if m.entries <= _SPARSE * m.size else 2)
        for width, limit in ((wide, int(_DENSE * m.entries)), (1, m.entries)):
            self._interpolate(rows, width)
            p_val = self._scale() if m.potential is None else self.plain
            found = multiply_new(
                (m.ptr, m.idx, m.lower, m.diagonal), (self.p_ptr, self.p_idx, p_val), size, limit
            )  # fmt: skip
            if found is not None:
                break
        assert found is not None
        ptr, idx, values, self.coarse_scale, self.products = found
        self.coarse = Matrix(ptr, idx, values)
        self.couplings_scale = self.coarse_scale.copy()
        m.recoupled = False  # so that the refresh to come does not do it all again
        return True

    @property
    def weights(self) -> FloatArray:
        """Interpolation weights of the couplings alone, where they are apart."""
        return self.p_val if self.matrix.potential is None else self.plain

    def _interpolate(self, rows: tuple[UintArray, UintArray, FloatArray], width: int) -> None:
        """Interpolation over nodes (w) and over unknowns (p)."""
        n = len(self.group)
        self.damping = self.recipe.damping if width > 1 else 0.0
        self.stretch = self.recipe.stretch[self.damping == 0.0]
        self.w_ptr, idx, val = np.empty(n + 1, np.uint32), np.empty(n * width, np.uint32), np.empty(n * width)
        interpolate(*self.strong, *rows[1:], self.group, self.n_groups, width, self.damping, self.w_ptr, idx, val)
        self.w_idx, self.w_val = idx[: self.w_ptr[-1]], val[: self.w_ptr[-1]]
        self.p_ptr, self.p_idx, self.plain = self.w_ptr, self.w_idx, self.w_val
        if self.recipe.block > 1:
            self.p_ptr, self.p_idx, self.plain = repeat_rows(self.w_ptr, self.w_idx, self.w_val, self.recipe.block)
        self.p_val = np.empty_like(self.plain)

    def _nodal(self) -> tuple[UintArray, UintArray, FloatArray]:
        """Rows of the matrix over nodes: the matrix itself, or its block norms."""
        indptr, indices = self.matrix.rows
        data = self.matrix.full()
        return (indptr, indices, data) if self.recipe.block == 1 else condense(indptr, indices, data, self.recipe.block)

    def _weigh(self, rows: tuple[UintArray, UintArray, FloatArray]) -> None:
        """Interpolation weights of the couplings: ``plain``, over unknowns."""
        interpolation_weights(
            *self.strong, *rows[1:], self.group, self.n_groups, self.damping, self.w_ptr, self.w_idx, self.w_val
        )
        self.plain, self.size = self._over_unknowns(self.w_val), None

    def _over_unknowns(self, weights: FloatArray) -> FloatArray:
        """Weights of the unknowns from those of the nodes."""
        return weights if self.recipe.block == 1 else repeat_rows(self.w_ptr, self.w_idx, weights, self.recipe.block)[2]

    def _scale(self) -> FloatArray:
        """The weights of a matrix whose potential is not apart: a node held fast follows its neighbours less."""
        if self.size is None:
            self.size = coupling_sizes(*self._nodal())
        scaled, diagonal = np.empty(len(self.w_val)), self.matrix.diagonal
        if self.recipe.block > 1:
            diagonal = diagonal.reshape(-1, self.recipe.block).mean(axis=1)
        scale_rows(self.w_ptr, self.w_val, self.size, diagonal, scaled)
        return self._over_unknowns(scaled)

    def refresh(self) -> None:
        """Invert the pivots, weigh the interpolation, multiply out the coarse matrix.

        Where the potential is apart it goes down lumped, node by node, and the couplings only if they have changed: a
        matrix whose potential alone has changed costs one pass over the nodes.
        """
        self.invert()
        m, coarse = self.matrix, self.coarse
        if m.recoupled:
            self._weigh(self._nodal())
        if m.potential is None:
            self.p_val = self._scale()
            self._multiply(self.p_val, self.coarse_scale)
            coarse.potential, coarse.recoupled = None, True
            return
        if m.recoupled:
            self._multiply(self.plain, self.couplings_scale)
        coarse.recoupled, coarse.potential = m.recoupled, np.empty(coarse.size)
        carry_potential(
            self.p_ptr, self.p_idx, self.plain, m.diagonal, m.potential, self.couplings_scale, self.p_val,
            coarse.potential, self.coarse_scale,
        )  # fmt: skip

    def _multiply(self, p_val: FloatArray, scale: FloatArray) -> None:
        """Coarse matrix of the values of this one, for these interpolation weights."""
        m = self.matrix
        multiply_out(
            m.ptr, m.idx, m.lower, m.diagonal, self.p_ptr, self.p_idx, p_val, self.products, self.coarse.values, scale
        )


class Eliminated(Level):
    """Nodes of degree one and two are eliminated exactly: trees vanish, chains become edges."""

    kind = cycle.ELIMINATE

    def build(self) -> bool:
        """Find the order, which there is wherever some node has at most two neighbours."""
        m = self.matrix
        self.order, self.p_ptr, self.p_idx, self.edge, self.fill, ends = elimination_order(m.ptr, m.idx)
        self.keep, ptr, idx, self.fold = elimination_pattern(m.size, self.order, ends)
        self.p_val = np.empty(len(self.p_idx))
        self.sequence = np.concatenate([self.order, self.keep])
        self.coarse = Matrix(ptr, idx, np.empty(len(idx) + len(ptr) - 1))
        self.coarse_scale = np.empty(len(self.keep))
        return True

    def refresh(self) -> None:
        """Eliminate."""
        m = self.matrix
        self.invert()
        zero, negative = elimination_values(
            m.lower, m.pivots, self.order, self.p_ptr, self.p_idx, self.edge, self.fill, self.keep, self.fold,
            TINY, self.p_val, self.inverse, self.coarse.values, self.coarse_scale,
        )  # fmt: skip
        self.zero += zero
        self.negative += negative


class Factored(Eliminated):
    """All nodes of a small thin graph are eliminated."""

    def build(self) -> bool:
        """Find the order; False if there is none that makes little new."""
        m = self.matrix
        self.order, self.p_ptr, self.p_idx, *self.places = minimum_degree(m.ptr, m.idx)
        self.sequence, self.p_val = self.order, np.empty(len(self.p_idx))
        self.coarse = Matrix(self.p_ptr[:1], self.p_idx[:0], self.p_val[:0])
        self.coarse_scale = self.p_val[:0]
        return len(self.order) == m.size

    def refresh(self) -> None:
        """Factor."""
        m = self.matrix
        self.invert()
        zero, negative = factor_values(
            m.lower, m.pivots, self.order, self.p_ptr, self.p_idx, *self.places, TINY, self.p_val, self.inverse
        )
        self.zero += zero
        self.negative += negative


def descend(
    matrix: Matrix, coarsest: int, block: int, recipe: Callable[[], Recipe], max_levels: int = 40
) -> list[Level]:
    """Build all levels below and with ``matrix``, refreshed; the recipe is asked for if there are groups."""
    levels: list[Level] = []
    scale: FloatArray | None = None
    while True:
        largest = matrix.size if len(levels) + 1 >= max_levels else coarsest
        level = _split(matrix, block, recipe, scale) if matrix.size > largest else None
        if level is None:
            level = (Direct if matrix.size <= 8 * coarsest else Smoothed)(matrix, scale=scale)
        level.refresh()
        matrix.data = None  # the finest one's belong to the caller, and all may change
        levels.append(level)
        if not isinstance(level, Aggregated | Eliminated) or level.coarse.size == 0:
            return levels
        matrix, scale = level.coarse, level.coarse_scale


def _split(matrix: Matrix, block: int, recipe: Callable[[], Recipe], scale: FloatArray | None) -> Level | None:
    """A level from which another one follows, if there can be one."""
    if block == 1 and count_thin(matrix.rows[0]) >= _THIN * matrix.size:
        # Further down terms of many nodes have been added up, which nested iteration settles better level by level.
        whole = scale is None and matrix.size <= _SMALL
        for kind in (Factored, Eliminated) if whole else (Eliminated,):
            eliminated = kind(matrix, scale=scale)
            if eliminated.build():
                return eliminated
    aggregated = Aggregated(matrix, scale=scale)
    return aggregated if aggregated.build(recipe()) else None
