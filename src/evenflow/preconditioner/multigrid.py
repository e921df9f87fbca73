"""Multigrid: one cycle over a hierarchy of ever smaller graphs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.preconditioner.base import Preconditioner, PreconditionerCost
from evenflow.preconditioner.cycle import CycleArguments, run_cycle
from evenflow.preconditioner.definite import definite_part
from evenflow.preconditioner.hierarchy import Hierarchy
from evenflow.preconditioner.pattern import Pattern, check_form, check_vectors
from evenflow.preconditioner.table import AGGREGATE, DIRECT, ELIMINATE, SIZE, SMOOTH, ZERO

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Multigrid"]

_KINDS = {AGGREGATE: "aggregated", ELIMINATE: "eliminated", DIRECT: "direct", SMOOTH: "smoothed"}


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
    _hierarchy: Hierarchy | None = field(default=None, init=False, repr=False, compare=False)
    _ready: bool = field(default=False, init=False, repr=False, compare=False)  # to be applied, not only to nest
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
        hierarchy, cost = self._hierarchy, self._cost
        if hierarchy is not None:
            entries = hierarchy.entries
            cost.levels, cost.fill, cost.nbytes = len(entries), sum(entries) / max(entries[0], 1), hierarchy.nbytes
        return cost

    @property
    def refresh_cost(self) -> float:
        """One application where only the potential changes, about three otherwise (when last refreshed)."""
        return 1.0 if self._hierarchy is not None and self._hierarchy.apart else 3.0

    @property
    def cycle_arguments(self) -> CycleArguments | None:
        """What :func:`~evenflow.preconditioner.cycle.run_cycle` takes after ``r`` and ``out``."""
        return self._hierarchy.cycle_arguments if self._hierarchy is not None and self._ready else None

    @property
    def pivots(self) -> FloatArray | None:
        """Those of the sweeps on the finest level, where the potential is apart."""
        hierarchy = self._hierarchy
        swept = hierarchy is not None and hierarchy.kinds[0] == AGGREGATE and hierarchy.apart
        return hierarchy.pivots if hierarchy is not None and swept else None

    def reset(self) -> None:
        """Forget the hierarchy: the next refresh builds it anew."""
        self._pattern = self._hierarchy = None
        self._ready = False

    def refresh(self, matrix: sp.csr_array) -> None:
        """Build the hierarchy, or update its numbers if the pattern is that of the last call."""
        began = time.perf_counter()
        hierarchy, data, fresh = self._fill(matrix)
        hierarchy.factor()
        self._definite = hierarchy.negative > 0
        if self._definite:
            assert self._pattern is not None
            hierarchy.refresh(definite_part(self._pattern.indptr, self._pattern.indices, data), couplings=False)
            hierarchy.factor()
        self._ready = True
        self._cost.record(time.perf_counter() - began, fresh=fresh)

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
        hierarchy, _, fresh = self._fill(matrix, couplings=True)
        self._definite = self._ready = False
        self._cost.record(time.perf_counter() - began, fresh=fresh)
        return hierarchy.apart

    def refresh_diagonal(self, matrix: sp.csr_array, diagonal: FloatArray) -> None:
        """Update for a new diagonal: cheap where it is nowhere less than the couplings of its row."""
        began = time.perf_counter()
        hierarchy = self._hierarchy
        known = self._pattern is not None and self._pattern.holds(matrix)
        cheap = known and hierarchy is not None and hierarchy.apart and not self._definite
        if hierarchy is not None and cheap and hierarchy.refresh_diagonal(diagonal):
            hierarchy.factor()
            if not hierarchy.negative:
                self._ready = True
                self._cost.record(time.perf_counter() - began, fresh=False)
                return
        super().refresh_diagonal(matrix, diagonal)

    def _fill(self, matrix: sp.csr_array, *, couplings: bool = False) -> tuple[Hierarchy, FloatArray, bool]:
        """The hierarchy for a matrix, its coarsest level not factored; the values; whether the pattern is new."""
        data = check_form(matrix)
        if self._hierarchy is not None and self._pattern is not None and self._pattern.holds(matrix):
            self._hierarchy.refresh(data, couplings=couplings)
            return self._hierarchy, data, False
        if matrix.shape[0] % self.block:
            raise InputError(f"block={self.block}: {matrix.shape[0]} unknowns are no whole number of blocks")
        self.reset()
        self._pattern = Pattern(matrix)
        hierarchy = Hierarchy(
            self._pattern.indptr, self._pattern.indices, w_cycle=self.cycle == "w", threshold=self.threshold,
            damping=self.damping, stretch=self.stretch, width=self.width, coarsest=self.coarsest, block=self.block,
        )  # fmt: skip
        hierarchy.build(data, couplings=couplings)
        self._hierarchy = hierarchy
        return hierarchy, data, True

    def is_convex(self, diagonal: FloatArray) -> bool:
        """Whether the diagonal is nowhere less than the couplings of its row, where those are apart."""
        return self._hierarchy is not None and self._hierarchy.is_convex(diagonal)

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
        return None if self._hierarchy is None else self._hierarchy.nest(gradient, diagonal, third, fourth)

    def apply(self, r: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return one cycle's approximation of A^-1 r."""
        if self._hierarchy is None or not self._ready:
            raise InputError("the preconditioner was never refreshed: call refresh(matrix) first")
        check_vectors(self._hierarchy.size, r, out)
        out = np.empty_like(r) if out is None else out
        run_cycle(r, out, *self._hierarchy.cycle_arguments)
        return out

    def __str__(self) -> str:
        if self._hierarchy is None:
            return "Multigrid: not built"
        cost, rows = self.cost, self._hierarchy.rows
        lines = [
            f"Multigrid ({self.cycle}-cycle): {cost.levels} levels, operator complexity {cost.fill:.2f}, "
            f"{cost.nbytes / 1e6:.1f} MB, built in {cost.setup_seconds:.3g} s",
            f"{'level':>6} {'rows':>9} {'entries':>10}  kind",
        ]
        for k, (size, entries) in enumerate(zip(rows[:, SIZE], self._hierarchy.entries, strict=True)):
            lines.append(f"{k:>6} {size:>9} {entries:>10}  {_KINDS[self._hierarchy.kinds[k]]}")
        pinned = rows[:, ZERO].sum()
        if pinned:
            lines.append(f"{pinned} components held by nothing were pinned")
        if self._definite:
            lines.append("the matrix is indefinite: its definite part stands in")
        return "\n".join(lines)
