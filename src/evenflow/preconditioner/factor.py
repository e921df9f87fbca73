"""Factor: LDL^T by an installed library, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["QDLDL", "Factor", "SuperLU", "factorizer"]

IndexArray = npt.NDArray[np.int32]


class Factor(ABC):
    """Q^T A Q = (I + lower) diag(pivots) (I + lower)^T.

    Attributes
    ----------
    lower : scipy.sparse.csc_array
        Strictly lower triangle of the unit factor.
    pivots : ndarray, shape (n,)
    order : ndarray of int, shape (n,)
        Row k of the factor is row ``order[k]`` of A.
    """

    name: ClassVar[str]
    lower: sp.csc_array
    pivots: FloatArray
    order: npt.NDArray[np.int64]

    @abstractmethod
    def factorize(self, indptr: IndexArray, indices: IndexArray, values: FloatArray) -> FloatArray | None:
        """Factor the matrix whose lower triangle has these rows (diagonal last); pivots, or None at a zero pivot."""

    @property
    def arrays(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], FloatArray]:
        """Columns of ``lower``; unsigned indices spare numba the test for negative ones."""
        return self.lower.indptr.view(np.uint32), self.lower.indices.view(np.uint32), self.lower.data

    @property
    def nbytes(self) -> int:
        """Bytes of the factor."""
        parts = (self.lower.indptr, self.lower.indices, self.lower.data, self.pivots, self.order)
        return sum(part.nbytes for part in parts)


class QDLDL(Factor):
    """qdldl: approximate minimum degree ordering, the analysis reused by later factorizations."""

    name: ClassVar[str] = "qdldl"

    def __init__(self) -> None:
        self._solver: Any = None

    def factorize(self, indptr: IndexArray, indices: IndexArray, values: FloatArray) -> FloatArray | None:
        """Factor, or update the factor of the same pattern."""
        import qdldl
        import scipy.sparse as sp

        size = len(indptr) - 1
        upper = sp.csc_matrix((values, indices, indptr), shape=(size, size))
        try:
            if self._solver is None:
                self._solver = qdldl.Solver(upper, upper=True)
            else:
                self._solver.update(upper, upper=True)
        except RuntimeError:  # a pivot is exactly zero
            self._solver = None
            return None
        self.lower, self.pivots, self.order = self._solver.factors()
        return self.pivots


class SuperLU(Factor):
    """SuperLU in symmetric mode without pivoting: then U = D L^T."""

    name: ClassVar[str] = "superlu"

    def factorize(self, indptr: IndexArray, indices: IndexArray, values: FloatArray) -> FloatArray | None:
        """Factor from scratch (SuperLU does not hand out its analysis)."""
        import scipy.sparse as sp
        from scipy.sparse.linalg import splu

        size = len(indptr) - 1
        half = sp.csc_array((values, indices, indptr), shape=(size, size))
        matrix = (half + sp.triu(half, k=1).T).tocsc()
        try:
            factor = splu(
                matrix,
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True, "Equil": False},
            )
        except RuntimeError:  # a pivot is exactly zero
            return None
        if not np.array_equal(factor.perm_r, factor.perm_c):  # it had to leave the diagonal: not positive definite
            return None
        self.lower = sp.tril(factor.L, k=-1, format="csc")
        self.pivots = factor.U.diagonal()
        self.order = np.argsort(factor.perm_c)
        return self.pivots


def factorizer(backend: str) -> Factor:
    """Return a fresh factorization by ``backend``; "auto" is qdldl if installed, else SuperLU."""
    installed = find_spec("qdldl") is not None
    if backend == "qdldl" and not installed:
        raise InputError("backend='qdldl': the package is not installed; pip install qdldl, or use 'superlu'")
    return QDLDL() if installed and backend != "superlu" else SuperLU()
