"""Preconditioners for tests of the minimizers: exact, broken, indefinite, and stale ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenflow.preconditioner.base import Breakdown, Preconditioner, PreconditionerCost


@dataclass
class Exact(Preconditioner):
    """The inverse of the matrix, its eigenvalues made positive."""

    name: ClassVar[str] = "exact"

    def __post_init__(self):
        self.cost = PreconditionerCost()

    def refresh(self, matrix):
        values, vectors = np.linalg.eigh(matrix.toarray())
        self._inverse = (vectors / np.maximum(np.abs(values), 1e-6 * np.abs(values).max())) @ vectors.T

    def apply(self, r, out=None):
        # einsum, because BLAS may round differently for arrays at other addresses
        return np.einsum("ij,j->i", self._inverse, r, out=out)


@dataclass
class Broken(Preconditioner):
    """Cannot be built."""

    name: ClassVar[str] = "broken"

    def __post_init__(self):
        self.cost = PreconditionerCost()

    def refresh(self, matrix):
        raise Breakdown("a pivot is zero")

    def apply(self, r, out=None):
        raise AssertionError("a preconditioner that broke down must not be applied")


@dataclass
class Indefinite(Preconditioner):
    """Minus the inverse of the diagonal: what a factorisation that lost its sign gives."""

    name: ClassVar[str] = "indefinite"

    def __post_init__(self):
        self.cost = PreconditionerCost()

    def refresh(self, matrix):
        self._inverse = -1.0 / matrix.diagonal()

    def apply(self, r, out=None):
        return np.multiply(self._inverse, r, out=out)


@dataclass
class Stale(Exact):
    """Never updated after it was built."""

    name: ClassVar[str] = "stale"

    def refresh(self, matrix):
        if not hasattr(self, "_inverse"):
            super().refresh(matrix)
