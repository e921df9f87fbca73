"""Preconditioner: a symmetric positive definite stand-in for the inverse Hessian."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.preconditioner.cycle import CycleArguments

__all__ = ["Breakdown", "Preconditioner", "PreconditionerCost"]


class Breakdown(ArithmeticError):
    """A preconditioner could not be built or no longer solves its matrix; the message says why."""


@dataclass
class PreconditionerCost:
    """What a preconditioner cost to build and to keep.

    ``fill`` is the number of stored matrix entries divided by those of the matrix (for a factor, by those of
    its lower triangle).
    """

    setup_seconds: float = 0.0
    refresh_seconds: float = 0.0
    refreshes: int = 0
    nbytes: int = 0
    fill: float = 0.0
    levels: int = 1

    def record(self, seconds: float, *, fresh: bool) -> None:
        """Note the seconds of a build (``fresh``) or of an update."""
        if fresh:
            self.setup_seconds, self.refresh_seconds, self.refreshes = seconds, 0.0, 0
        else:
            self.refresh_seconds += seconds
            self.refreshes += 1


class Preconditioner(ABC):
    """An approximation of A^-1 for a symmetric (nearly) positive semi-definite sparse matrix A.

    Subclasses are dataclasses whose fields are the user's options; :meth:`refresh` builds or updates what
    depends on the matrix. The operator applied is symmetric positive definite by construction or by a shift
    that ``str(self)`` reports. Deterministic: no unseeded randomness.
    """

    name: ClassVar[str]
    cost: PreconditionerCost

    @property
    def refresh_cost(self) -> float:
        """About what the next refresh costs, in applications, if the pattern of the matrix is the same."""
        return 10.0

    @property
    def cycle_arguments(self) -> CycleArguments | None:
        """What compiled code needs to apply P^-1 itself, where that is one cycle of multigrid."""
        return None

    @property
    def pivots(self) -> FloatArray | None:
        """Inverse of the diagonal, shape (n,), where it may be changed in place with the matrix's: in multigrid."""
        return None

    @abstractmethod
    def refresh(self, matrix: sp.csr_array) -> None:
        """Build for ``matrix``, or update the numbers if its pattern is that of the last call.

        Raises
        ------
        Breakdown
            If no positive definite operator can be had.
        """

    def refresh_diagonal(self, matrix: sp.csr_array, diagonal: FloatArray) -> None:
        """Update for the matrix of the last refresh with another diagonal, shape (n,), in place of its own.

        Raises
        ------
        Breakdown
            If no positive definite operator can be had.
        """
        updated = matrix.copy()
        updated.setdiag(diagonal)
        self.refresh(updated)

    @abstractmethod
    def apply(self, r: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return P^-1 r, written to ``out`` (not r itself) if given."""

    def refresh_couplings(self, matrix: sp.csr_array) -> bool:
        """Make ready for :meth:`nest`, if that can be done: by multigrid only."""
        return False

    def nest(
        self, gradient: FloatArray, diagonal: FloatArray, third: FloatArray, fourth: FloatArray
    ) -> FloatArray | None:
        """Return nearly the step to the minimum of a convex energy with constant couplings, else None."""
        return None

    def is_convex(self, diagonal: FloatArray) -> bool:
        """Whether the couplings of the last refresh with this diagonal, shape (n,), are seen to be semi-definite.

        Seen at little cost, from what is at hand; False says nothing.
        """
        return False

    def residual(self, matrix: sp.csr_array, r: FloatArray) -> float:
        """How far P^-1 is from solving: the relative residual norm(r - A P^-1 r) / norm(r).

        Near zero for a factorization that is up to date; for multigrid, a smooth ``r`` gives about the
        contraction of a cycle, and a value far above 1 means that the operator no longer belongs to A.
        """
        size = float(np.linalg.norm(r))
        return float(np.linalg.norm(r - matrix @ self.apply(r))) / size if size > 0 else 0.0
