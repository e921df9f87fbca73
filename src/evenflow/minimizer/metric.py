"""Metric: the preconditioner of a minimizer, its matrix, and when it is refreshed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.minimizer.linear_algebra import invert_diagonal
from evenflow.minimizer.problem import Problem
from evenflow.preconditioner.base import Breakdown, Preconditioner

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Metric", "Source"]

Source = Literal["hessian", "curvature"]


@dataclass
class Metric:
    """P^-1 in use: identity, diagonal (kept as an array so that kernels can fuse it) or a preconditioner.

    A preconditioner that breaks down is replaced by the diagonal of its matrix until the next refresh, and
    :attr:`note` says so.

    Parameters
    ----------
    preconditioner : Preconditioner or None
    source : {"hessian", "curvature"}
        The matrix it stands for: the Hessian at the point of the last refresh, or ``energy.curvature()``.

    Attributes
    ----------
    inverse : ndarray of shape (size,) or None
        The inverse diagonal where the metric is diagonal (ones for the identity).
    refreshed_at : ndarray or None
        The point of the last refresh: drift is measured from here.
    built_at : ndarray or None
        The point of the first refresh, which a hierarchy may have taken its structure from.
    """

    preconditioner: Preconditioner | None
    source: Source = "hessian"
    inverse: FloatArray | None = None
    refreshed_at: FloatArray | None = None
    built_at: FloatArray | None = None
    seconds: float = 0.0
    note: str = ""
    diagonal: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)

    def __post_init__(self) -> None:
        if self.preconditioner is not None:
            self.preconditioner = replace(self.preconditioner)  # type: ignore[type-var]  # fresh

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

    def refresh(self, problem: Problem, theta: FloatArray, matrix: sp.csr_array | None = None) -> None:
        """Build or update for the matrix at ``theta`` (given, or asked of the problem)."""
        began = time.perf_counter()
        if self.preconditioner is None:
            self.inverse = np.ones(problem.size)
        else:
            self._rebuild(problem, self._matrix(problem, theta) if matrix is None else matrix)
        self.refreshed_at = theta.copy()
        if self.built_at is None:
            self.built_at = self.refreshed_at
        self.seconds += time.perf_counter() - began

    def _matrix(self, problem: Problem, theta: FloatArray) -> sp.csr_array:
        """The matrix to stand for: without a sparse Hessian always the curvature."""
        return problem.hessian(theta) if self.source == "hessian" and problem.has_hessian else problem.curvature()

    def _rebuild(self, problem: Problem, matrix: sp.csr_array) -> None:
        """Refresh the preconditioner, or fall back to the diagonal of the matrix."""
        assert self.preconditioner is not None
        problem.counts.factorisation += 1
        self.diagonal = matrix.diagonal()
        self.note = ""
        if self.preconditioner.name == "jacobi":
            self.use_diagonal(matrix)
            return
        try:
            self.preconditioner.refresh(matrix)
            self.inverse = None
        except Breakdown as problem_found:
            self.use_diagonal(matrix)
            self.note = f"{self.preconditioner.name} broke down ({problem_found}); its diagonal stands in"

    def fall_back(self, problem: Problem, theta: FloatArray, matrix: sp.csr_array | None = None) -> None:
        """Give up the preconditioner until the next refresh, and let the diagonal of its matrix stand in."""
        assert self.preconditioner is not None
        self.use_diagonal(self._matrix(problem, theta) if matrix is None else matrix)
        self.note = f"{self.preconditioner.name} gave no descent; its diagonal stands in"

    def use_diagonal(self, matrix: sp.csr_array) -> None:
        """Let the diagonal of the matrix stand in."""
        self.inverse = np.empty(matrix.shape[0])
        invert_diagonal(matrix.indptr, matrix.indices, matrix.data, self.inverse)

    def drift(self, diagonal: FloatArray) -> float:
        """Relative change of a Hessian diagonal (1-norm) since the last refresh."""
        size = np.abs(self.diagonal).sum()
        return float(np.abs(diagonal - self.diagonal).sum() / size) if size > 0 else np.inf

    def apply(self, problem: Problem, r: FloatArray, out: FloatArray) -> FloatArray:
        """Write P^-1 r to ``out``."""
        problem.counts.preconditioner += 1
        if self.inverse is not None:
            return np.multiply(self.inverse, r, out=out)
        assert self.preconditioner is not None
        result = self.preconditioner.apply(r, out=out)
        if result is not out:
            out[:] = result
        return out

    def export(self) -> dict[str, Any]:
        """What :meth:`restore` needs."""
        if self.refreshed_at is None or self.is_identity:
            return {}
        assert self.built_at is not None
        saved: dict[str, Any] = {"refreshed_at": self.refreshed_at.copy(), "built_at": self.built_at.copy()}
        if self.inverse is not None:
            saved["inverse"] = self.inverse.copy()
        return saved

    def restore(self, problem: Problem, saved: Mapping[str, Any]) -> None:
        """Build again where it was first built and where it was last refreshed."""
        if "refreshed_at" not in saved:
            return
        built, refreshed = (np.array(saved[name]) for name in ("built_at", "refreshed_at"))
        counts = replace(problem.counts)
        self.refresh(problem, built)
        if not np.array_equal(built, refreshed):
            self.refresh(problem, refreshed)
        if "inverse" in saved:
            self.inverse = np.array(saved["inverse"])
        for name, count in counts.as_dict().items():  # rebuilding is no new work of the solve
            setattr(problem.counts, name, count)
