"""SparseCholesky: the exact inverse by a sparse LDL^T factorization."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.preconditioner.base import Breakdown, Preconditioner, PreconditionerCost
from evenflow.preconditioner.factor import Factor, factorizer
from evenflow.preconditioner.pattern import Pattern, check_matrix, check_vectors
from evenflow.preconditioner.triangular import lower_triangle, solve_both, solve_lower, solve_upper

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["SparseCholesky"]

_SINGULAR = 1e-13  # a pivot below this share of its diagonal entry is zero but for rounding
_RESIDUAL = 1e-6


@dataclass
class SparseCholesky(Preconditioner):
    """P = A by a sparse factorization Q^T A Q = L D L^T, ordered once and refreshed by its numbers.

    qdldl (approximate minimum degree ordering) is used if installed, else SuperLU in symmetric mode. A matrix
    that is singular or indefinite is factored as A + shift I: ``shift`` of its mean absolute diagonal first,
    then a growing multiple up to the Gershgorin bound, until every pivot is positive. ``str`` reports the
    shift. Each factorization is checked by the residual of one solve.

    Parameters
    ----------
    backend : {"auto", "qdldl", "superlu"}
    shift : float
        Smallest shift tried, relative to the mean absolute diagonal entry.

    Attributes
    ----------
    shifted : float
        The shift in use (0 for a positive definite matrix).

    References
    ----------
    .. [1] T. Davis, "Direct Methods for Sparse Linear Systems", SIAM, 2006.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from evenflow.preconditioner import SparseCholesky
    >>> cholesky = SparseCholesky()
    >>> cholesky.refresh(sp.csr_array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> cholesky.solve(np.array([1.0, 0.0])).round(6)
    array([0.666667, 0.333333])
    """

    name: ClassVar[str] = "cholesky"
    backend: str = "auto"
    shift: float = 1e-9
    cost: PreconditionerCost = field(default_factory=PreconditionerCost, init=False, repr=False, compare=False)
    shifted: float = field(default=0.0, init=False, repr=False, compare=False)
    _pattern: Pattern | None = field(default=None, init=False, repr=False, compare=False)
    _factor: Factor | None = field(default=None, init=False, repr=False, compare=False)
    _work: FloatArray = field(default_factory=lambda: np.empty(0), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.backend not in ("auto", "qdldl", "superlu"):
            raise InputError(f"backend={self.backend!r}: expected 'auto', 'qdldl' or 'superlu'")
        if not 0 < self.shift < 1:
            raise InputError(f"shift={self.shift}: expected a number in (0, 1)")

    def refresh(self, matrix: sp.csr_array) -> None:
        """Factor ``matrix``; the ordering is kept while its pattern stays."""
        began = time.perf_counter()
        data = check_matrix(matrix)
        fresh = self._pattern is None or not self._pattern.holds(matrix)
        if fresh:
            self._pattern = Pattern(matrix)
            self._factor = factorizer(self.backend)
        assert self._pattern is not None
        self.shifted = 0.0
        if self._pattern.size:
            self._factorize(self._pattern, data)
            self._check(matrix)
        self.cost.record(time.perf_counter() - began, fresh=fresh)

    def _factorize(self, pattern: Pattern, data: FloatArray) -> None:
        """Factor A + shift I for the first shift that makes every pivot positive."""
        assert self._factor is not None
        indptr, indices, values, diagonal = lower_triangle(pattern.indptr, pattern.indices, data)
        rows = np.zeros(pattern.size)
        full = np.flatnonzero(np.diff(pattern.indptr))
        rows[full] = np.add.reduceat(np.abs(data), pattern.indptr[full])
        scale = float(np.abs(diagonal).mean()) or float(rows.max()) or 1.0
        bound = float((rows - np.abs(diagonal) - diagonal).max())  # Gershgorin: A + bound I has no negative eigenvalue
        last = indptr[1:] - 1
        trial = 0.0
        while True:
            values[last] = diagonal + trial
            pivots = self._factor.factorize(indptr, indices, values)
            if pivots is not None and (pivots > _SINGULAR * scale).all():
                break
            if trial >= max(bound, 0.0) + self.shift * scale:
                raise Breakdown(f"no positive definite factor, though the diagonal was raised by {trial:.3g}")
            trial = self._next_shift(trial, scale, bound)
        self.shifted = trial
        self._work = np.empty(pattern.size)
        self.cost.fill = (self._factor.lower.nnz + pattern.size) / max(len(indices), 1)
        self.cost.nbytes = 2 * self._factor.nbytes  # the library holds a copy of its own

    def _next_shift(self, trial: float, scale: float, bound: float) -> float:
        """Singular matrices need a tiny shift; indefinite ones get a sizeable one, doubled up to the bound."""
        small = self.shift * scale
        if trial == 0.0:
            return small
        return min(max(4.0 * trial, 0.01 * scale), max(bound, 0.0) + small)

    def _check(self, matrix: sp.csr_array) -> None:
        """Solve once and look at the residual."""
        probe = np.cos(np.arange(matrix.shape[0], dtype=np.float64))
        x = self.solve(probe)
        found = float(np.linalg.norm(probe - matrix @ x - self.shifted * x))
        limit = _RESIDUAL * float(np.linalg.norm(probe))
        # A singular matrix with a tiny shift amplifies its null vector: compare with the solution's size, too.
        if not found <= limit + 1e-10 * float(np.abs(matrix.data).max(initial=0.0) * np.linalg.norm(x)):
            raise Breakdown(f"the factorization leaves a relative residual of {found / np.linalg.norm(probe):.1e}")

    def _built(self, r: FloatArray, out: FloatArray | None = None) -> Factor:
        """Return the factor, after a look at the arguments."""
        if self._factor is None or self._pattern is None:
            raise InputError("the preconditioner was never refreshed: call refresh(matrix) first")
        check_vectors(self._pattern.size, r, out)
        return self._factor

    def apply(self, r: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return (A + shift I)^-1 r."""
        factor = self._built(r, out)
        out = np.empty_like(r) if out is None else out
        if len(r):
            solve_both(*factor.arrays, factor.pivots, factor.order, r, self._work, out)
        return out

    def solve(self, r: FloatArray) -> FloatArray:
        """Return A^-1 r, the same as :meth:`apply`."""
        return self.apply(r)

    def half_solve(self, r: FloatArray) -> FloatArray:
        """Return kappa r, where kappa kappa^T = (A + shift I)^-1: kappa = Q L^-T D^-1/2."""
        factor = self._built(r)
        out = np.empty_like(r)
        if len(r):
            solve_upper(*factor.arrays, factor.pivots, factor.order, r, self._work, out)
        return out

    def half_solve_t(self, r: FloatArray) -> FloatArray:
        """Return kappa^T r = D^-1/2 L^-1 Q^T r."""
        factor = self._built(r)
        out = np.empty_like(r)
        if len(r):
            solve_lower(*factor.arrays, factor.pivots, factor.order, r, out)
        return out

    def half_multiply(self, r: FloatArray) -> FloatArray:
        """Return kappa^-1 r = D^1/2 L^T Q^T r, the inverse of :meth:`half_solve`."""
        factor = self._built(r)
        ordered = r[factor.order]
        return np.sqrt(factor.pivots) * (ordered + factor.lower.T @ ordered) if len(r) else ordered

    def __str__(self) -> str:
        if self._factor is None or self._pattern is None:
            return "SparseCholesky: not built"
        note = f", diagonal raised by {self.shifted:.3g}" if self.shifted else ""
        return (
            f"SparseCholesky ({self._factor.name}): {self._pattern.size} unknowns, "
            f"fill {self.cost.fill:.2f}, {self.cost.nbytes / 1e6:.1f} MB{note}"
        )
