"""PyAMG."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from conformance.preconditioner import PreconditionerConformance
from evenflow.errors import InputError
from evenflow.preconditioner import Breakdown, PyAMG
from evenflow.preconditioner.pyamg_multigrid import seeded_pyamg


class TestPyAMG(PreconditionerConformance):
    rebuilds = True
    iterations = 400

    def make(self, **options: Any) -> PyAMG:
        return PyAMG(**options)


def test_diagonal_must_be_positive() -> None:
    with pytest.raises(Breakdown, match="1 negative"):
        PyAMG().refresh(sp.csr_array(np.diag([1.0, -1.0])))


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="solver='ruge'"):
        PyAMG(solver="ruge")
    with pytest.raises(InputError, match="block=0"):
        PyAMG(block=0)
    with pytest.raises(InputError, match="never refreshed"):
        PyAMG().apply(np.ones(2))


@pytest.mark.parametrize("solver", ["smoothed-aggregation", "rootnode", "pairwise"])
def test_the_global_generator_of_numpy_is_neither_read_nor_moved(solver: str) -> None:
    matrix = TestPyAMG().lattice()
    r, found = np.cos(np.arange(matrix.shape[0], dtype=np.float64)), []
    for _ in range(2):
        before = np.random.get_state()[1:3]  # noqa: NPY002
        made = PyAMG(solver=solver)
        made.refresh(matrix)
        found.append(made.apply(r))
        after = np.random.get_state()[1:3]  # noqa: NPY002
        np.testing.assert_array_equal(before[0], after[0])
        assert before[1] == after[1]
        np.random.random(3)  # noqa: NPY002  # the second round starts from another state
    np.testing.assert_array_equal(*found)


def test_the_global_generator_is_put_back_after_an_error() -> None:
    before = np.random.get_state()[1:3]  # noqa: NPY002
    with pytest.raises(ValueError, match="negative"), seeded_pyamg(3):
        np.random.random(-5)  # noqa: NPY002
    after = np.random.get_state()[1:3]  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]


@pytest.mark.parametrize("solver", ["smoothed-aggregation", "rootnode", "pairwise"])
def test_wide_indices_are_taken(solver: str) -> None:
    wide, narrow = TestPyAMG().lattice(), TestPyAMG().lattice()
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    narrow.indptr, narrow.indices = narrow.indptr.astype(np.int32), narrow.indices.astype(np.int32)
    found = []
    for matrix in (wide, narrow):
        made = PyAMG(solver=solver)
        made.refresh(matrix)
        found.append(made.apply(np.ones(matrix.shape[0])))
    np.testing.assert_array_equal(*found)


def test_a_matrix_that_pyamg_fails_on_is_a_breakdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its estimates of spectral radii overflow on some indefinite matrices."""

    def overflow(*_args: Any, **_options: Any) -> None:
        raise ValueError("array must not contain infs or NaNs")

    monkeypatch.setattr("pyamg.smoothed_aggregation_solver", overflow)
    with pytest.raises(Breakdown, match="finds no hierarchy: array must not"):
        PyAMG().refresh(sp.eye_array(200, format="csr"))
