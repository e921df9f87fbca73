"""Multigrid: one cycle over a hierarchy of ever smaller graphs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.preconditioner import cycle
from evenflow.preconditioner.base import Preconditioner, PreconditionerCost
from evenflow.preconditioner.cycle import CycleArguments
from evenflow.preconditioner.definite import definite_part
from evenflow.preconditioner.growth import grows_fast
from evenflow.preconditioner.half import find_lower, take_values
from evenflow.preconditioner.hierarchy import Aggregated, Direct, Level, Matrix, Recipe, UintArray, descend
from evenflow.preconditioner.layout import Layout
from evenflow.preconditioner.nested import Expansion, nested_iteration
from evenflow.preconditioner.pattern import Pattern, check_form, check_size, check_vectors
from evenflow.preconditioner.quartic import convex_series
from evenflow.preconditioner.ties import spans_decades

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Multigrid"]

_KINDS = {
    cycle.AGGREGATE: "aggregated",
    cycle.ELIMINATE: "eliminated",
    cycle.DIRECT: "direct",
    cycle.SMOOTH: "smoothed",
}
_SMALL = 0.1  # entries of a level beside those of the finest one
_SOLVED = 4  # visits of what is left below levels of elimination, if it is small
_INCLUSIVE, _SELECTIVE = 0.5, 0.7  # thresholds
_LONGEST = 1.9  # times the right step, where a level is visited again
_STRETCH = 1.2, 1.7  # of corrections by smoothed and by plain interpolation, where couplings do not span decades
_CHEAP = 0.3  # entries of a level that is visited twice, beside those of the one above


@dataclass
class Multigrid(Preconditioner):
    """One cycle of algebraic multigrid for graphs: smoothed aggregation with exact elimination of trees and chains.

    Nodes with at most two neighbours are eliminated exactly wherever they are many [2]_: a tree is solved
    directly, and so is a small graph that is nearly one, in the order of minimum degree [3]_. Else nodes are
    grouped with those they depend on most; the interpolation is the constant on each group, smoothed by a Jacobi
    step over the strong couplings [1]_ and truncated to ``width`` entries a row. Each level is smoothed by a
    forward Gauss-Seidel sweep before and a backward one after the coarse correction, so one cycle is a symmetric
    positive definite operator, for indefinite matrices, too: pivots that are not positive are replaced. If a
    matrix shows itself indefinite, its definite part stands in: couplings of the wrong sign and negative
    potentials left out. ``str`` reports both.

    What the diagonal has beyond the couplings, where that is nowhere negative, is carried down apart: lumped at the
    nodes of each level, and no stronger than their couplings. The rate of convergence hardly suffers, and a new
    diagonal with the same couplings costs a pass over the nodes (:meth:`refresh_diagonal`).

    For energies whose couplings are constant the hierarchy serves a second purpose: :meth:`nest` minimises the
    fourth-order expansion of such an energy level by level, coarsest first, its terms carried down as quartics.

    A refresh for a matrix of the same pattern keeps groups and patterns, and is a few passes over the matrix;
    :meth:`reset` makes the next one build anew, which pays where the couplings have changed a lot.

    Parameters
    ----------
    cycle : {"w", "v"}
        Whether levels below the second are visited twice ("w"), where they have at most three tenths of the entries
        of the one above and a tenth of those of the finest.
    threshold : float
        In (0, 1]: a node depends on neighbours whose coupling is at least this share of its strongest. 0 leaves it to
        the matrix: 0.5, or 0.7 where its couplings span decades (and ``block`` is 1): there the strongest few of a row
        say it all.
    damping : float
        Of the Jacobi step that smooths the interpolation; 0 gives plain aggregation.
    stretch : float
        In (0, 2): factor of the corrections by groups, which interpolation from few of them leaves too short [4]_. 0
        leaves it to the matrix: 1.2, 1.7 where interpolation is not smoothed, or 1 where its couplings span decades.
    width : int
        Most interpolation entries of a node. 0 leaves it to the matrix. In two dimensions it stands for 3 on a level
        of at most six entries a row, and 2 on others: there a third one makes the rows of the next level denser and
        gains little. Where balls of the graph grow faster it stands for 1, plain aggregation: a cycle more or two, all
        of which cost less, and so does the set-up.
    coarsest : int
        Size at which the rest is factored densely.
    block : int
        Components of a node's state: unknown ``block * i + c`` is component c of node i; nodes are grouped
        with all of their components.

    References
    ----------
    .. [1] P. Vanek, J. Mandel, M. Brezina, "Algebraic multigrid by smoothed aggregation for second and fourth
       order elliptic problems", Computing 56, 1996, eqs. 4-5.
    .. [2] O. Livne, A. Brandt, "Lean algebraic multigrid (LAMG): fast graph Laplacian linear solver",
       SIAM J. Sci. Comput. 34, 2012, sec. 3.2.
    .. [3] A. George, J. Liu, "The evolution of the minimum degree ordering algorithm", SIAM Review 31, 1989.
    .. [4] D. Braess, "Towards algebraic multigrid for elliptic problems of second order", Computing 55, 1995.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from evenflow.preconditioner import Multigrid
    >>> path = sp.diags_array([-np.ones(999), np.full(1000, 2.0), -np.ones(999)], offsets=[-1, 0, 1], format="csr")
    >>> multigrid = Multigrid()
    >>> multigrid.refresh(path)
    >>> x = multigrid.apply(path @ np.ones(1000))  # a path is a tree: solved exactly
    >>> bool(np.allclose(x, 1.0))
    True
    """

    name: ClassVar[str] = "multigrid"
    cycle: Literal["w", "v"] = "w"
    threshold: float = 0.0
    damping: float = 2.0 / 3.0
    stretch: float = 0.0
    width: int = 0
    coarsest: int = 64
    block: int = 1
    _cost: PreconditionerCost = field(default_factory=PreconditionerCost, init=False, repr=False, compare=False)
    _pattern: Pattern | None = field(default=None, init=False, repr=False, compare=False)
    _recipe: Recipe | None = field(default=None, init=False, repr=False, compare=False)
    _levels: list[Level] = field(default_factory=list, init=False, repr=False, compare=False)
    _layout: Layout | None = field(default=None, init=False, repr=False, compare=False)
    _places: tuple[UintArray, UintArray] | None = field(default=None, init=False, repr=False, compare=False)
    _definite: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.cycle not in ("v", "w"):
            raise InputError(f"cycle={self.cycle!r}: expected 'v' or 'w'")
        if not 0 <= self.threshold <= 1:
            raise InputError(f"threshold={self.threshold}: expected a number in (0, 1], or 0 to leave it to the matrix")
        if not 0 <= self.damping < 1:
            raise InputError(f"damping={self.damping}: expected a number in [0, 1)")
        if not 0 <= self.stretch < 2:
            raise InputError(f"stretch={self.stretch}: expected a number in (0, 2), or 0 to leave it to the matrix")
        if self.width < 0:
            raise InputError(f"width={self.width}: expected a positive integer, or 0 to leave it to the matrix")
        for name in ("coarsest", "block"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: expected a positive integer")

    @property
    def cost(self) -> PreconditionerCost:  # type: ignore[override]
        """What it cost; memory is added up when asked for."""
        levels, cost = self._levels, self._cost
        if levels:
            cost.levels = len(levels)
            cost.fill = sum(level.matrix.entries for level in levels) / max(levels[0].matrix.entries, 1)
            cost.nbytes = _nbytes(levels) + getattr(self._layout, "nbytes", 0)
            cost.nbytes += sum(places.nbytes for places in self._places or ())
        return cost

    @property
    def refresh_cost(self) -> float:
        """One application where only the potential changes, about three otherwise (when last refreshed)."""
        return 1.0 if self._levels and self._levels[0].matrix.potential is not None else 3.0

    @property
    def cycle_arguments(self) -> CycleArguments | None:
        """What :func:`~evenflow.preconditioner.cycle.run_cycle` takes after ``r`` and ``out``."""
        return None if self._layout is None else self._layout.arguments

    @property
    def pivots(self) -> FloatArray | None:
        """Those of the sweeps on the finest level, where the potential is apart."""
        finest = self._levels[0] if self._levels else None
        return finest.inverse if isinstance(finest, Aggregated) and finest.matrix.potential is not None else None

    def reset(self) -> None:
        """Forget the hierarchy: the next refresh builds it anew."""
        self._pattern = self._layout = None
        self._levels = []

    def refresh(self, matrix: sp.csr_array) -> None:
        """Build the hierarchy, or update its numbers if the pattern is that of the last call."""
        began = time.perf_counter()
        data, fresh = self._take(matrix)
        self._fill(data)
        self._definite = any(level.negative for level in self._levels)
        if self._definite:
            assert self._pattern is not None
            self._fill(definite_part(self._pattern.indptr, self._pattern.indices, data))
        self._pack()
        self._cost.record(time.perf_counter() - began, fresh=fresh)

    def _take(self, matrix: sp.csr_array) -> tuple[FloatArray, bool]:
        """Values of a matrix, and whether its pattern is new."""
        data = check_form(matrix)
        fresh = self._pattern is None or not self._pattern.holds(matrix)
        if fresh:
            if matrix.shape[0] % self.block:
                raise InputError(f"block={self.block}: {matrix.shape[0]} unknowns are no whole number of blocks")
            self._pattern, self._recipe = Pattern(matrix), None
            self._levels, self._layout = [], None
        return data, fresh

    def refresh_couplings(self, matrix: sp.csr_array) -> bool:
        """Build or update for the couplings of a matrix, as if its potential were zero: only :meth:`nest` may follow.

        Returns
        -------
        bool
            False if the diagonal is less than the couplings of its row somewhere, or states have several components.
        """
        if self.block > 1:
            return False
        began = time.perf_counter()
        data, fresh = self._take(matrix)
        apart = self._fill(data, couplings=True)
        self._definite = False
        self._cost.record(time.perf_counter() - began, fresh=fresh)
        return apart

    def refresh_diagonal(self, matrix: sp.csr_array, diagonal: FloatArray) -> None:
        """Update for a new diagonal: cheap where it is nowhere less than the couplings of its row."""
        began = time.perf_counter()
        finest = self._levels[0].matrix if self._levels else None
        known = self._pattern is not None and self._pattern.holds(matrix)
        if known and finest is not None and finest.potential is not None and not self._definite:
            finest.diagonal[:] = diagonal
            finest.recoupled = False
            finest.separate()
            if finest.potential is not None:
                for level in self._levels:
                    level.refresh()
                self._factor()
                if not any(level.negative for level in self._levels):
                    self._pack()
                    self._cost.record(time.perf_counter() - began, fresh=False)
                    return
        super().refresh_diagonal(matrix, diagonal)

    def _fill(self, data: FloatArray, *, couplings: bool = False) -> bool:
        """Build the levels for these values or refresh those there are; whether the potential is apart.

        ``couplings``: as if it were zero.
        """
        pattern = self._pattern
        assert pattern is not None
        rows = (pattern.indptr, pattern.indices)
        if self._levels:
            matrix = self._levels[0].matrix
            assert self._places is not None
            check_size(data.sum(), data)
            matrix.recoupled = bool(take_values(data, *self._places, matrix.values))
            if matrix.recoupled:
                matrix.reach = None
        else:
            matrix = self._finest(rows, data)
        matrix.data = data
        matrix.separate()
        if couplings and matrix.potential is not None:
            matrix.potential[:] = 0.0
        if not self._levels:
            self._levels = descend(matrix, self.coarsest, self.block, lambda: self._choose(rows, data))
        else:
            for level in self._levels:
                level.refresh()
        if not couplings:
            self._factor()
        matrix.data = None
        return matrix.potential is not None

    def _choose(self, rows: tuple[UintArray, UintArray], data: FloatArray) -> Recipe:
        """The options, with what they leave to the matrix, which is asked once."""
        if self._recipe is not None:
            return self._recipe
        selective = self.block == 1 and spans_decades(*rows, data)
        threshold = self.threshold or (_SELECTIVE if selective else _INCLUSIVE)
        stretch = (self.stretch, self.stretch) if self.stretch else (1.0, 1.0) if selective else _STRETCH
        width = self.width or int(grows_fast(*rows))
        self._recipe = Recipe(threshold, self.damping, stretch, width, self.block)
        return self._recipe

    def _factor(self) -> None:
        """Factor the coarsest level, if it is to be."""
        coarsest = self._levels[-1]
        if isinstance(coarsest, Direct):
            coarsest.factor()

    def _finest(self, rows: tuple[UintArray, UintArray], data: FloatArray) -> Matrix:
        """The matrix of the finest level."""
        size, room = len(rows[0]) - 1, len(rows[1]) // 2
        ptr, idx, place = np.empty(size + 1, np.uint32), np.empty(room, np.uint32), np.empty(room, np.uint32)
        centre, values, reach = np.empty(size, np.uint32), np.empty(room + size), np.empty(size)
        count, total = find_lower(*rows, data, ptr, idx, place, centre, values, reach)
        if count < 0:
            raise InputError("matrix is not symmetric: it has more entries on one side of the diagonal")
        check_size(total, data)
        self._places = place[:count], centre
        return Matrix(ptr, idx[:count], values[: count + size], rows, reach=reach)

    def _visits(self, k: int) -> int:
        """How often a cycle visits level k on each visit of the level above."""
        levels = self._levels
        if self.cycle == "v" or not isinstance(levels[k], Aggregated):
            return 1
        # Elimination is exact, so only levels of groups count. A small one below levels of elimination is all that is
        # left to solve, and solved well. The largest of the other coarse ones is visited once: twice would gain about
        # as much as it costs.
        above = [level for level in levels[:k] if isinstance(level, Aggregated)]
        entries = levels[k].matrix.entries
        small = entries <= _SMALL * levels[0].matrix.entries
        if not above:
            return _SOLVED if small else 1
        return 2 if len(above) > 1 and small and entries <= _CHEAP * above[-1].matrix.entries else 1

    def _stretches(self, visits: list[int]) -> list[float]:
        """The factor of each level's corrections, less than what it asks for where the cycle could be indefinite.

        One visit of a level makes at most ``longest`` times the right step, the factors from there down multiplied. A
        second visit mends what is too long; but what is more than twice the right step it makes worse, with the wrong
        sign, so that levels that are visited again may not get there.
        """
        factors, longest = [1.0] * len(visits), 1.0
        for k in reversed(range(len(visits))):
            level = self._levels[k]
            if isinstance(level, Aggregated):
                factors[k] = level.stretch if visits[k] == 1 else min(level.stretch, _LONGEST / longest)
                longest = max(1.0, factors[k] * longest)
            if visits[k] > 1:
                longest = 1.0 if visits[k] % 2 == 0 else 1.0 + (longest - 1.0) ** visits[k]
        return factors

    def _pack(self) -> None:
        """Hand the numbers of the levels to the cycle."""
        if self._layout is None:
            visits = [self._visits(k) for k in range(len(self._levels))]
            self._layout = Layout(self._levels, visits, self._stretches(visits))
        self._layout.fill(self._levels)

    def is_convex(self, diagonal: FloatArray) -> bool:
        """Whether the diagonal is nowhere less than the couplings of its row, where those are apart."""
        finest = self._levels[0].matrix if self._levels else None
        return finest is not None and finest.potential is not None and finest.beyond_couplings(diagonal) is not None

    def nest(
        self, gradient: FloatArray, diagonal: FloatArray, third: FloatArray, fourth: FloatArray
    ) -> FloatArray | None:
        """Return nearly the step to the minimum of an energy whose couplings are those of :meth:`refresh_couplings`.

        By nested iteration on its fourth-order expansion, coarsest level first, for a few applications' worth.

        Parameters
        ----------
        gradient, diagonal, third, fourth : ndarray, shape (n,)
            First to fourth derivatives along each unknown.

        Returns
        -------
        ndarray of shape (n,) or None
            None where the terms that the diagonal has beyond the couplings are not all convex. Zero throughout a
            component that nothing holds, if its gradient is.
        """
        finest = self._levels[0].matrix if self._levels else None
        potential = None if finest is None else finest.beyond_couplings(diagonal)
        if potential is None:
            return None
        series = np.empty((len(potential), 3))
        if not convex_series(potential, third, fourth, diagonal, series):
            return None
        return nested_iteration(self._levels, Expansion(-gradient, series))

    def apply(self, r: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return one cycle's approximation of A^-1 r."""
        if self._layout is None:
            raise InputError("the preconditioner was never refreshed: call refresh(matrix) first")
        check_vectors(self._levels[0].matrix.size, r, out)
        out = np.empty_like(r) if out is None else out
        cycle.run_cycle(r, out, *self._layout.arguments)
        return out

    def __str__(self) -> str:
        if not self._levels:
            return "Multigrid: not built"
        cost = self.cost
        lines = [
            f"Multigrid ({self.cycle}-cycle): {cost.levels} levels, operator complexity {cost.fill:.2f}, "
            f"{cost.nbytes / 1e6:.1f} MB, built in {cost.setup_seconds:.3g} s",
            f"{'level':>6} {'rows':>9} {'entries':>10}  kind",
        ]
        for k, level in enumerate(self._levels):
            lines.append(f"{k:>6} {level.matrix.size:>9} {level.matrix.entries:>10}  {_KINDS[level.kind]}")
        pinned = sum(level.zero for level in self._levels)
        if pinned:
            lines.append(f"{pinned} components held by nothing were pinned")
        if self._definite:
            lines.append("the matrix is indefinite: its definite part stands in")
        return "\n".join(lines)


def _nbytes(levels: list[Level]) -> int:
    """Bytes of all arrays of the levels, each counted once."""
    seen: dict[int, int] = {}
    for level in levels:
        for holder in (level, level.matrix):
            for value in vars(holder).values():
                for array in value if isinstance(value, tuple) else (value,):
                    if isinstance(array, np.ndarray):
                        seen[id(array)] = array.nbytes
    return sum(seen.values())
