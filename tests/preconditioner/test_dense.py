"""The dense factor of the coarsest level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenflow.preconditioner.dense import factor_dense

TINY, NEGATIVE = 1e-10, 1e-8


def solve(matrix: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The operator that the factor stands for, and its flaws."""
    factor = np.tril(matrix)
    zero, negative = factor_dense(factor, TINY, NEGATIVE)
    assert not np.triu(factor, 1).any()
    return np.linalg.inv(factor @ factor.T), zero, negative


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
def test_inverts_a_definite_matrix(seed: int, n: int) -> None:
    a = np.random.default_rng(seed).normal(size=(n, n))
    matrix = a @ a.T + np.eye(n)
    operator, zero, negative = solve(matrix)
    assert (zero, negative) == (0, 0)
    np.testing.assert_allclose(operator @ matrix, np.eye(n), atol=1e-9)


def test_a_laplacian_is_pinned_where_its_last_pivot_vanishes() -> None:
    laplacian = np.diag([1.0, 2.0, 2.0, 1.0]) - np.diag(np.ones(3), 1) - np.diag(np.ones(3), -1)
    operator, zero, negative = solve(laplacian)
    assert (zero, negative) == (1, 0)
    assert (np.linalg.eigvalsh(operator) > 0).all()
    b = np.array([1.0, -2.0, 0.5, 0.5])  # sums to zero, so that it can be solved for
    np.testing.assert_allclose(laplacian @ (operator @ b), b, atol=1e-12)


def test_an_indefinite_matrix_is_told_and_replaced() -> None:
    operator, zero, negative = solve(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert (zero, negative) == (0, 1)
    assert (np.linalg.eigvalsh(operator) > 0).all()


@pytest.mark.parametrize("matrix", [np.zeros((0, 0)), np.zeros((3, 3))])
def test_nothing_at_all(matrix: np.ndarray) -> None:
    operator, zero, _ = solve(matrix)
    assert zero == len(matrix)
    np.testing.assert_array_equal(operator, np.eye(len(matrix)))
