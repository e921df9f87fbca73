"""Metric: the preconditioner of a minimizer, its matrix, and when it is refreshed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.fresh import fresh
from evenflow.minimizer.linear_algebra import Rows, invert_entries, relative_change
from evenflow.minimizer.node_terms import NodeTerms, sizes_at
from evenflow.minimizer.problem import Problem
from evenflow.minimizer.surrogate import Surrogate
from evenflow.preconditioner.base import Breakdown, Preconditioner

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.preconditioner.cycle import CycleArguments

__all__ = ["Metric", "Source", "check_source"]

Source = Literal["hessian", "products", "curvature"]
_SOURCES: tuple[Source, ...] = get_args(Source)
_NO_BEND = 1e-10  # of the sum of the diagonal: round-off


def check_source(source: str) -> None:
    """Refuse what is no source."""
    if source not in _SOURCES:
        raise InputError(f"source={source!r}: expected {', '.join(map(repr, _SOURCES[:-1]))} or {_SOURCES[-1]!r}")


@dataclass
class Metric:
    """P^-1 in use: identity, diagonal (kept as an array so that kernels can fuse it) or a preconditioner.

    A preconditioner that breaks down is replaced by the diagonal of its matrix, and :attr:`note` says so; it is
    given another chance after a number of refreshes that doubles with every failure.

    Parameters
    ----------
    preconditioner : Preconditioner or None
    source : {"hessian", "products", "curvature"}
        The matrix it stands for: the Hessian at the point of the last refresh; what a few products tell of it, its
        :class:`~evenflow.minimizer.surrogate.Surrogate` (so does "hessian", where only products are known); or
        ``energy.curvature()``.
    waiting : bool
        Whether the diagonal does for now, and the preconditioner is not built yet.

    Attributes
    ----------
    inverse : ndarray of shape (size,) or None
        The inverse diagonal where the metric is diagonal (ones for the identity).
    refreshed_at : ndarray or None
        The point of the last refresh: drift is measured from here.
    built_at : ndarray or None
        The point where the preconditioner was first built, which a hierarchy may have its structure from.
    built_apart : bool
        Whether it was built for the couplings alone.
    matrix : csr_array or None
        The last one it was built or refreshed for; its diagonal may have changed since.
    seconds : float
        Spent on building and refreshing.
    """

    preconditioner: Preconditioner | None
    source: Source = "hessian"
    waiting: bool = False
    inverse: FloatArray | None = None
    refreshed_at: FloatArray | None = None
    built_at: FloatArray | None = None
    seconds: float = 0.0
    note: str = ""
    failures: int = 0
    built_apart: bool = False
    matrix: sp.csr_array | None = field(default=None, repr=False)
    _pause: int = 0  # refreshes to come that leave the preconditioner alone
    _rows: Rows | None = field(default=None, repr=False)
    _surrogate: Surrogate | None = field(default=None, repr=False)
    _diagonal: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)
    _scratch: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)

    def __post_init__(self) -> None:
        if self.preconditioner is not None:
            self.preconditioner = fresh(self.preconditioner)
            self.waiting = self.waiting and self.preconditioner.name != "jacobi"

    @property
    def is_identity(self) -> bool:
        """Whether nothing is preconditioned."""
        return self.preconditioner is None

    @property
    def is_diagonal(self) -> bool:
        """Whether the operator is the identity or diagonal."""
        return self.is_identity or self.inverse is not None

    @property
    def flexible(self) -> bool:
        """Whether the operator may change from one application to the next."""
        return self.inverse is None and bool(getattr(self.preconditioner, "flexible", False))

    @property
    def cycle(self) -> CycleArguments | None:
        """What compiled code needs to apply the operator, where it is one cycle of multigrid."""
        return None if self.preconditioner is None or self.inverse is not None else self.preconditioner.cycle_arguments

    @property
    def pivots(self) -> FloatArray | None:
        """The inverse diagonal in a preconditioner that is in use, where it may follow the matrix's."""
        return None if self.preconditioner is None or self.inverse is not None else self.preconditioner.pivots

    @property
    def caution(self) -> float:
        """The share of a tolerated drift that calls for a refresh already: a hundredth where one costs little."""
        return 0.01 if self.preconditioner is not None and self.preconditioner.refresh_cost <= 1.0 else 1.0

    def check(self, problem: Problem) -> None:
        """Refuse a preconditioner of node states where the parameters are something else.

        Raises
        ------
        InputError
            If the problem's map is not the identity.
        """
        if self.preconditioner is not None and not problem.is_identity:
            raise InputError(
                f"preconditioner={self.preconditioner.name}: works on the node states only, and the map is "
                f"{problem.map.name}; leave it out"
            )

    def refresh(
        self,
        problem: Problem,
        theta: FloatArray,
        matrix: sp.csr_array | None = None,
        diagonal: FloatArray | None = None,
        *,
        indefinite: bool = False,
    ) -> None:
        """Build or update for the matrix at ``theta`` (given, or asked of the problem).

        ``diagonal``, if given, is its diagonal, and only that differs from the last refresh; nothing else is asked of
        a problem whose couplings are constant and known. ``indefinite`` says
        that the matrix may be, so that a diagonal metric needs a diagonal that dominates it.
        """
        if self.preconditioner is None:
            if self.inverse is None:
                self.inverse = np.ones(problem.size)
            return
        began = time.perf_counter()
        if matrix is None:
            matrix, diagonal = self._ask(problem, theta)
        self.matrix = matrix
        self._measure(matrix, diagonal)
        if indefinite and self._rows is not None and (self.waiting or self.preconditioner.name == "jacobi"):
            self._rows.dominate(matrix.data, self._diagonal)
        if self.refreshed_at is None:
            self.refreshed_at = np.empty_like(theta)
        self.refreshed_at[:] = theta
        self.note = ""
        if self.waiting or self.preconditioner.name == "jacobi":
            self._use_diagonal()
        elif self._pause > 0:
            self._pause -= 1
            self._use_diagonal()
        else:
            if self.built_at is None:
                self.built_at = theta.copy()
            self._rebuild(problem, matrix, diagonal)
        self.seconds += time.perf_counter() - began

    def build_couplings(self, problem: Problem, theta: FloatArray, matrix: sp.csr_array) -> bool:
        """Build the preconditioner for the couplings alone, so that it can nest; whether that was done."""
        assert self.preconditioner is not None
        began = time.perf_counter()
        try:
            self.built_apart = self.preconditioner.refresh_couplings(matrix)
        except Breakdown:  # which the refresh to come will meet again, and tell
            self.built_apart = False
        if self.built_apart:
            self.matrix = matrix
            problem.counts.factorisation += 1
            self.built_at = theta.copy()
        self.seconds += time.perf_counter() - began
        return self.built_apart

    def _ask(self, problem: Problem, theta: FloatArray) -> tuple[sp.csr_array, FloatArray | None]:
        """The matrix to stand for, or the last one and what its diagonal is now."""
        if self.matrix is not None and self.source == "hessian" and problem.constant_couplings:
            return self.matrix, problem.hessian_diagonal(theta)
        return self._assemble(problem, theta), None

    def _assemble(self, problem: Problem, theta: FloatArray) -> sp.csr_array:
        """The matrix to stand for; without a sparse Hessian, what products tell of it."""
        if self.source == "curvature":
            return problem.curvature()
        if self.source == "hessian" and problem.has_hessian:
            return problem.hessian(theta)
        if self._surrogate is None:
            self._surrogate = Surrogate(problem)
        return self._surrogate.at(problem, theta)

    def _measure(self, matrix: sp.csr_array, diagonal: FloatArray | None) -> None:
        """Keep the diagonal of the matrix."""
        if self._diagonal.size != matrix.shape[0]:
            self._diagonal, self._scratch = np.empty(matrix.shape[0]), np.empty(matrix.shape[0])
        self._take_diagonal(matrix, diagonal, self._diagonal)

    def _take_diagonal(self, matrix: sp.csr_array, diagonal: FloatArray | None, out: FloatArray) -> None:
        """Write the diagonal of the matrix, or the one given in its place."""
        if diagonal is not None:
            out[:] = diagonal
            return
        self.rows_of(matrix).take_diagonal(matrix.data, out)

    def rows_of(self, matrix: sp.csr_array) -> Rows:
        """The pattern of a matrix, which its minimizer needs, too: looked at once while it stays."""
        self._rows = Rows.of(matrix, self._rows)
        return self._rows

    def _rebuild(self, problem: Problem, matrix: sp.csr_array, diagonal: FloatArray | None) -> None:
        """Refresh the preconditioner, or fall back to the diagonal of the matrix."""
        assert self.preconditioner is not None
        problem.counts.factorisation += 1
        try:
            if diagonal is None:
                self.preconditioner.refresh(matrix)
            else:
                self.preconditioner.refresh_diagonal(matrix, diagonal)
            self.inverse = None
        except Breakdown as fault:
            self._fail(f"broke down ({fault})")

    def _use_diagonal(self) -> None:
        """Let the diagonal of the matrix stand in."""
        if self.inverse is None:
            self.inverse = np.empty_like(self._diagonal)
        invert_entries(self._diagonal, self.inverse)

    def fall_back(self, why: str = "is not positive definite") -> None:
        """Give up the preconditioner for now, and let the diagonal of its matrix stand in."""
        self._fail(why)

    def _fail(self, why: str) -> None:
        """Use the diagonal, and for more refreshes to come the more often this has happened."""
        assert self.preconditioner is not None
        self._use_diagonal()
        self.failures += 1
        self._pause = 2**self.failures
        self.note = f"{self.preconditioner.name} {why}; its diagonal stands in"

    def is_fresh(self, theta: FloatArray) -> bool:
        """Whether the last refresh was at ``theta``."""
        return self.refreshed_at is not None and np.array_equal(self.refreshed_at, theta)

    def drift(self, matrix: sp.csr_array, diagonal: FloatArray | None = None, *, scaled: bool = False) -> float:
        """Relative change of the matrix's diagonal (1-norm), or of the one given, since the last refresh.

        ``scaled``: beside the same diagonal times a factor.
        """
        self._take_diagonal(matrix, diagonal, self._scratch)
        total = self._scratch.sum() if scaled else 0.0
        if total > 0.0:
            self._scratch *= self._diagonal.sum() / total
        return float(relative_change(self._scratch, self._diagonal))

    def held(self, terms: NodeTerms | None) -> FloatArray:
        """The diagonal that the operator holds at the unknowns with terms of higher order; empty for the identity."""
        if terms is None or self.is_identity:
            return np.zeros(0)
        if self.inverse is not None:
            return 1.0 / self.inverse.take(terms.where)
        held = np.empty(len(terms.where))
        sizes_at(terms.where, self._diagonal, held)
        return held

    def gain_alike(self, gradient: FloatArray) -> float:
        """Energy that moving all unknowns alike would gain: often the slowest mode, and one that a diagonal hides."""
        if self.matrix is None:
            return 0.0
        slope, bend = float(gradient.sum()), float(self.matrix.data.sum())
        return 0.5 * slope * slope / bend if bend > _NO_BEND * float(self._diagonal.sum()) else 0.0

    def refresh_if_drifted(self, problem: Problem, theta: FloatArray, tolerated: float) -> bool:
        """Refresh for the matrix at ``theta`` if its diagonal has changed by more than a factor; whether it was."""
        matrix, diagonal = self._ask(problem, theta)
        drifted = self.drift(matrix, diagonal, scaled=True) > tolerated
        if drifted:
            self.refresh(problem, theta, matrix, diagonal)
        return drifted

    def apply(self, problem: Problem, r: FloatArray, out: FloatArray) -> FloatArray:
        """Write P^-1 r to ``out``."""
        if self.inverse is not None:
            return np.multiply(self.inverse, r, out=out)
        assert self.preconditioner is not None
        problem.counts.preconditioner += 1
        result = self.preconditioner.apply(r, out=out)
        if result is not out:
            out[:] = result
        return out

    def export(self) -> dict[str, Any]:
        """What :meth:`restore` needs."""
        saved: dict[str, Any] = {"waiting": self.waiting, "failures": self.failures, "pause": self._pause}
        saved["built_apart"] = self.built_apart
        for name in ("refreshed_at", "built_at", "inverse"):
            array = getattr(self, name)
            if array is not None and not self.is_identity:
                saved[name] = array.copy()
        return saved

    def restore(self, problem: Problem, saved: Mapping[str, Any]) -> None:
        """Build again where it was first built and where it was last refreshed (the caller restores the counts)."""
        if "built_at" in saved:
            self.waiting, built_at = False, np.array(saved["built_at"])
            if saved["built_apart"]:
                self.build_couplings(problem, built_at, self._assemble(problem, built_at))
            else:
                self.refresh(problem, built_at)
        # Where nothing was built, the last refresh was the diagonal's, even if the waiting has ended since.
        self.waiting, self._pause = bool(saved["waiting"]) or "built_at" not in saved, 0
        first = () if self.refreshed_at is None else self.refreshed_at
        if "refreshed_at" in saved and not np.array_equal(saved["refreshed_at"], first):
            self.refresh(problem, np.array(saved["refreshed_at"]))
        self.waiting = bool(saved["waiting"])
        self.inverse = np.array(saved["inverse"]) if "inverse" in saved else None
        self.failures, self._pause = int(saved["failures"]), int(saved["pause"])
        if self.is_identity:
            self.refresh(problem, np.empty(0))
