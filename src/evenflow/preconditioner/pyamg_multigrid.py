"""PyAMG: a multigrid hierarchy of the pyamg package behind the same contract."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.preconditioner.base import Breakdown, Preconditioner, PreconditionerCost
from evenflow.preconditioner.pattern import check_matrix, check_vectors

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["PyAMG", "seeded_pyamg"]

_SOLVERS = {
    "smoothed-aggregation": "smoothed_aggregation_solver",
    "rootnode": "rootnode_solver",
    "pairwise": "pairwise_solver",
}


@contextmanager
def seeded_pyamg(seed: int = 0) -> Iterator[None]:
    """Give pyamg, which draws from numpy's global generator, the same numbers each time, and put the state back.

    Examples
    --------
    >>> with seeded_pyamg(seed=1):
    ...     first = np.random.random()
    >>> with seeded_pyamg(seed=1):
    ...     print(np.random.random() == first)
    True
    """
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@dataclass
class PyAMG(Preconditioner):
    """One V-cycle of pyamg with symmetric Gauss-Seidel smoothing, built anew at each refresh.

    Slower to build and to apply than :class:`~evenflow.preconditioner.multigrid.Multigrid` on the graphs of
    the gallery; there for comparison and for matrices with a near null space that needs its root-node solver.

    Parameters
    ----------
    solver : {"smoothed-aggregation", "rootnode", "pairwise"}
    shift : float
        Added to the diagonal, relative to its mean, so that a singular matrix has a definite coarse problem.
    block : int
        Components of a node's state; the constant of each is in the near null space.

    References
    ----------
    .. [1] N. Bell, L. Olson, J. Schroder, B. Southworth, "PyAMG: Algebraic Multigrid Solvers in Python",
       JOSS 8(87), 2023.

    Examples
    --------
    >>> from evenflow.preconditioner import PyAMG
    >>> PyAMG().solver
    'smoothed-aggregation'
    """

    name: ClassVar[str] = "pyamg"
    solver: str = "smoothed-aggregation"
    shift: float = 1e-9
    block: int = 1
    cost: PreconditionerCost = field(default_factory=PreconditionerCost, init=False, repr=False, compare=False)
    _hierarchy: Any = field(default=None, init=False, repr=False, compare=False)
    _size: int = field(default=-1, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.solver not in _SOLVERS:
            raise InputError(f"solver={self.solver!r}: expected one of {', '.join(_SOLVERS)}")
        if not 0 < self.shift < 1:
            raise InputError(f"shift={self.shift}: expected a number in (0, 1)")
        if self.block < 1:
            raise InputError(f"block={self.block}: expected a positive integer")

    def refresh(self, matrix: sp.csr_array) -> None:
        """Build the hierarchy.

        Raises
        ------
        Breakdown
            If the diagonal has negative entries, pyamg finds no hierarchy, or its cycle is not positive on a probe
            vector.
        """
        import pyamg
        import scipy.sparse as sp

        began = time.perf_counter()
        check_matrix(matrix)
        size = matrix.shape[0]
        self._hierarchy, self._size = None, size
        if size > 0:
            diagonal = matrix.diagonal()
            if not (diagonal >= 0).all() or not diagonal.any():
                raise Breakdown(f"the diagonal has {np.count_nonzero(diagonal < 0)} negative entries, or only zeros")
            shifted = (matrix + self.shift * diagonal.mean() * sp.eye_array(size)).tocsr()
            options: dict[str, Any] = {"max_coarse": 50}
            if self.solver != "pairwise":
                options["B"] = np.tile(np.eye(self.block), (size // self.block, 1))
                options["symmetry"] = "symmetric"
            # in places pyamg still looks for the matrix class of scipy and for 32-bit indices
            plain = sp.csr_matrix(shifted)
            plain.indptr, plain.indices = plain.indptr.astype(np.int32), plain.indices.astype(np.int32)
            try:
                with seeded_pyamg(), np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Breakdown occurred")  # the probe below judges
                    self._hierarchy = getattr(pyamg, _SOLVERS[self.solver])(plain, **options)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError) as fault:  # indefinite: its estimates overflow
                raise Breakdown(f"pyamg finds no hierarchy: {fault}") from fault
            probe = np.cos(np.arange(size, dtype=np.float64))
            if not float(probe @ self.apply(probe)) > 0:
                raise Breakdown("the pyamg cycle is not positive definite on this matrix")
            levels = self._hierarchy.levels
            self.cost.levels = len(levels)
            self.cost.fill = self._hierarchy.operator_complexity()
            parts = [part for level in levels for part in (level.A, getattr(level, "P", None)) if part is not None]
            self.cost.nbytes = sum(p.data.nbytes + p.indices.nbytes + p.indptr.nbytes for p in parts)
        self.cost.record(time.perf_counter() - began, fresh=True)

    def apply(self, r: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return one V-cycle's approximation of A^-1 r."""
        if self._size < 0:
            raise InputError("the preconditioner was never refreshed: call refresh(matrix) first")
        check_vectors(self._size, r, out)
        out = np.empty_like(r) if out is None else out
        out[:] = 0.0 if self._hierarchy is None else self._hierarchy.solve(r, maxiter=1, tol=1e-300, cycle="V")
        return out

    def __str__(self) -> str:
        if self._hierarchy is None:
            return "PyAMG: not built"
        lines = [f"PyAMG ({self.solver}): operator complexity {self.cost.fill:.2f}, {self.cost.nbytes / 1e6:.1f} MB"]
        for k, level in enumerate(self._hierarchy.levels):
            lines.append(f"{k:>6} {level.A.shape[0]:>9} {level.A.nnz:>10}")
        return "\n".join(lines)
