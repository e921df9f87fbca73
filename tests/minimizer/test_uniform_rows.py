"""Products of matrices whose couplings are all equal, by rows sorted by their lengths."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from evenflow.gallery import from_spec
from evenflow.minimizer.linear_algebra import Rows
from evenflow.minimizer.uniform_rows import sort_rows, uniform_product


def laplacian(spec, coupling=1.0):
    """A Laplacian with some potential."""
    adjacency = from_spec(spec).adjacency
    degree = adjacency.sum(axis=1)
    matrix = sp.csr_array(sp.diags_array(coupling * degree + 0.3) - coupling * adjacency)
    matrix.sort_indices()
    return matrix


@pytest.mark.parametrize("spec", ["lattice:9x7", "sbm:4x50", "ba:300", "tree:2x6", "star:40", "road:300"])
def test_product_is_that_of_the_matrix(spec):
    matrix, rng = laplacian(spec, 2.5), np.random.default_rng(0)
    d, out = rng.standard_normal(matrix.shape[0]), np.empty(matrix.shape[0])
    curvature = uniform_product(*Rows(matrix).uniform(matrix.data), d, out)
    assert np.allclose(out, matrix @ d, rtol=1e-13, atol=1e-13)
    assert curvature == pytest.approx(d @ (matrix @ d), rel=1e-12)


@given(size=st.integers(1, 30), seed=st.integers(0, 99), near=st.integers(1, 8))
def test_rows_are_sorted_window_by_window(size, seed, near):
    rng = np.random.default_rng(seed)
    matrix = sp.random_array((size, size), density=0.3, rng=rng, format="csr")
    matrix = sp.csr_array(((matrix + matrix.T) != 0) + sp.eye_array(size))
    matrix.sort_indices()
    rows = Rows(matrix)
    order, groups, columns = sort_rows(rows.indptr, rows.indices, near)
    lengths = np.diff(matrix.indptr) - 1
    assert groups[-1, 0] == size
    at = 0
    for (first, length), (end, _) in itertools.pairwise(groups):
        assert first // near == (end - 1) // near
        for row in order[first:end]:
            assert lengths[row] == length
            expected = set(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]) - {row}
            assert set(columns[at : at + length]) == expected
            at += length
    for begin in range(0, size, near):
        turns = order[begin : begin + near]
        assert sorted(turns) == list(range(begin, min(begin + near, size)))
        assert np.all(np.diff(lengths[turns]) >= 0)


def test_matrices_that_are_not_uniform_are_told_apart():
    uneven = laplacian("lattice:5x5")
    uneven.data[1] *= 1.5
    hollow = laplacian("lattice:5x5")
    hollow.setdiag(0.0)
    hollow.eliminate_zeros()
    alone = sp.csr_array(sp.eye_array(5))
    for matrix in (uneven, hollow, alone):
        assert len(Rows(matrix).uniform(matrix.data)[0]) == 0


def test_rows_are_sorted_once_for_all_diagonals():
    matrix = laplacian("lattice:6x6")
    rows = Rows(matrix)
    first = rows.uniform(matrix.data)
    rows.put_diagonal(matrix.data, np.arange(36.0))
    second = rows.uniform(matrix.data)
    assert first[0] is second[0]
    assert np.array_equal(second[-1], np.arange(36.0))
