"""Preconditioner: a symmetric positive definite stand-in for the inverse Hessian."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evenflow.energy.base import FloatArray

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Breakdown", "Preconditioner", "PreconditionerCost"]


class Breakdown(ArithmeticError):
    """A preconditioner could not be built or no longer solves its matrix; the message says why."""


@dataclass
class PreconditionerCost:
    """What a preconditioner cost to build and to keep.

    ``fill`` is the number of stored entries divided by those of the matrix; ``cycle_passes`` the estimated
    cost of one application in matrix-vector products.
    """

    setup_seconds: float = 0.0
    refresh_seconds: float = 0.0
    refreshes: int = 0
    nbytes: int = 0
    fill: float = 0.0
    levels: int = 1


class Preconditioner(ABC):
    """An approximation of A^-1 for a symmetric (nearly) positive semi-definite sparse matrix A.

    Subclasses are dataclasses whose fields are the user's options; :meth:`refresh` builds or updates what
    depends on the matrix. The operator applied is symmetric positive definite by construction or by a shift
    that ``str(self)`` reports. Deterministic: no unseeded randomness.
    """

    name: ClassVar[str]
    cost: PreconditionerCost

    @abstractmethod
    def refresh(self, matrix: sp.csr_array) -> None:
        """Build for ``matrix``, or update the numbers if its pattern is that of the last call.

        Raises
        ------
        Breakdown
            If no positive definite operator can be had.
        """

    @abstractmethod
    def apply(self, r: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return P^-1 r, written to ``out`` (not r itself) if given."""
