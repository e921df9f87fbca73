"""Jacobi: the inverse of the diagonal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.preconditioner.base import Breakdown, Preconditioner, PreconditionerCost
from evenflow.preconditioner.pattern import check_matrix, check_vectors

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Jacobi"]


@dataclass
class Jacobi(Preconditioner):
    """P = |diag(A)|, entries below ``floor`` times the largest raised to it.

    Parameters
    ----------
    floor : float
        In (0, 1].

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from evenflow.preconditioner import Jacobi
    >>> jacobi = Jacobi()
    >>> jacobi.refresh(sp.csr_array([[2.0, -1.0], [-1.0, 4.0]]))
    >>> jacobi.apply(np.ones(2))
    array([0.5 , 0.25])
    """

    name: ClassVar[str] = "jacobi"
    floor: float = 1e-10
    cost: PreconditionerCost = field(default_factory=PreconditionerCost, init=False, repr=False, compare=False)
    _inverse: FloatArray = field(default_factory=lambda: np.empty(0), init=False, repr=False, compare=False)
    _raised: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 1:
            raise InputError(f"floor={self.floor}: expected a number in (0, 1]")

    def refresh(self, matrix: sp.csr_array) -> None:
        """Take the diagonal of ``matrix``."""
        began = time.perf_counter()
        check_matrix(matrix)
        diagonal = np.abs(matrix.diagonal())
        largest = diagonal.max(initial=0.0)
        if len(diagonal) and largest == 0:
            raise Breakdown("the diagonal of the matrix is zero")
        low = diagonal < self.floor * largest
        self._raised = int(low.sum())
        diagonal[low] = self.floor * largest
        self._inverse = 1.0 / diagonal
        self.cost.nbytes = self._inverse.nbytes
        self.cost.fill = len(diagonal) / max(matrix.nnz, 1)
        self.cost.record(time.perf_counter() - began, fresh=True)

    def apply(self, r: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return r / |diag(A)|."""
        check_vectors(len(self._inverse), r, out)
        return np.multiply(r, self._inverse, out=out)

    def __str__(self) -> str:
        note = f", {self._raised} entries raised" if self._raised else ""
        return f"Jacobi: {len(self._inverse)} unknowns{note}"
