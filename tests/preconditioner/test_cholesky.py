"""SparseCholesky, with both libraries."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp

from conformance.preconditioner import PreconditionerConformance, conjugate_gradients, laplacian
from evenflow.errors import InputError
from evenflow.preconditioner import Breakdown, SparseCholesky


class TestSuperLU(PreconditionerConformance):
    iterations = 6

    def make(self, **options: Any) -> SparseCholesky:
        return SparseCholesky(backend="superlu", **options)


class TestQDLDL(PreconditionerConformance):
    iterations = 6

    def make(self, **options: Any) -> SparseCholesky:
        pytest.importorskip("qdldl")
        return SparseCholesky(backend="qdldl", **options)


@pytest.fixture(params=["superlu", "qdldl"])
def cholesky(request: pytest.FixtureRequest) -> SparseCholesky:
    if request.param == "qdldl":
        pytest.importorskip("qdldl")
    return SparseCholesky(backend=request.param)


def test_exact_inverse(cholesky: SparseCholesky, rng: np.random.Generator) -> None:
    matrix = TestSuperLU().lattice()
    cholesky.refresh(matrix)
    x = rng.normal(size=matrix.shape[0])
    np.testing.assert_allclose(cholesky.solve(matrix @ x), x, rtol=1e-9)
    assert cholesky.shifted == 0
    assert cholesky.residual(matrix, x) < 1e-9


def test_halves_multiply_to_the_inverse(cholesky: SparseCholesky, rng: np.random.Generator) -> None:
    matrix = TestSuperLU().lattice()
    cholesky.refresh(matrix)
    x, y = rng.normal(size=(2, matrix.shape[0]))
    np.testing.assert_allclose(cholesky.half_solve(cholesky.half_solve_t(x)), cholesky.solve(x), rtol=1e-10)
    assert y @ cholesky.half_solve(x) == pytest.approx(x @ cholesky.half_solve_t(y), rel=1e-10)
    np.testing.assert_allclose(cholesky.half_multiply(cholesky.half_solve(x)), x, rtol=1e-10)


def test_indefinite_matrix_is_shifted_and_reported(cholesky: SparseCholesky, rng: np.random.Generator) -> None:
    matrix = laplacian(nx.grid_2d_graph(9, 9), rng.uniform(-1, 1, 200))
    cholesky.refresh(matrix)
    assert cholesky.shifted >= -np.linalg.eigvalsh(matrix.toarray())[0]
    assert "diagonal raised" in str(cholesky)
    x = rng.normal(size=81)
    assert x @ cholesky.apply(x) > 0


def test_shift_goes_when_it_is_not_needed(cholesky: SparseCholesky) -> None:
    matrix = TestSuperLU().lattice(9)
    bad = matrix.copy()
    bad.setdiag(matrix.diagonal() - 3.0)
    cholesky.refresh(bad)
    assert cholesky.shifted > 0
    cholesky.refresh(matrix)
    assert cholesky.shifted == 0


def test_zero_matrix(cholesky: SparseCholesky) -> None:
    cholesky.refresh(sp.csr_array((np.zeros(3), np.arange(3), np.arange(4)), shape=(3, 3)))
    assert np.isfinite(cholesky.apply(np.ones(3))).all()


def test_asymmetric_matrix_is_detected(cholesky: SparseCholesky) -> None:
    matrix = TestSuperLU().lattice(9)
    matrix.data[matrix.indices > np.repeat(np.arange(81), np.diff(matrix.indptr))] *= 3.0
    with pytest.raises(Breakdown, match="residual"):
        cholesky.refresh(matrix)


def test_iterations_on_a_singular_laplacian(cholesky: SparseCholesky, rng: np.random.Generator) -> None:
    matrix = laplacian(nx.grid_2d_graph(12, 12))
    cholesky.refresh(matrix)
    assert conjugate_gradients(matrix, matrix @ rng.normal(size=144), cholesky) <= 3


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="backend='cholmod'"):
        SparseCholesky(backend="cholmod")
    with pytest.raises(InputError, match="shift=2"):
        SparseCholesky(shift=2)
    with pytest.raises(InputError, match="never refreshed"):
        SparseCholesky().apply(np.ones(3))
