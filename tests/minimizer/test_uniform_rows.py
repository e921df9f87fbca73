"""Products of matrices whose couplings are all equal."""

import numpy as np
import pytest
import scipy.sparse as sp

from evenflow.gallery import from_spec
from evenflow.minimizer.linear_algebra import Rows
from evenflow.minimizer.uniform_rows import NOT_UNIFORM, scattered_product, uniform_product


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


@pytest.mark.parametrize("spec", ["lattice:9x7", "sbm:4x50", "ba:300"])
def test_rows_stay_where_entries_are_asked_for_ahead(spec):
    matrix, rng = laplacian(spec, 2.5), np.random.default_rng(0)
    rows = Rows(matrix)
    rows.scattered = True  # as if the graph were large
    order, groups, columns, coupling, diagonal = rows.uniform(matrix.data)
    assert len(order) == len(groups) == len(columns) == 0
    d, out = rng.standard_normal(matrix.shape[0]), np.empty(matrix.shape[0])
    curvature = scattered_product(rows.indptr, rows.indices, coupling, diagonal, d, out)
    assert np.allclose(out, matrix @ d, rtol=1e-13, atol=1e-13)
    assert curvature == pytest.approx(d @ (matrix @ d), rel=1e-12)


def test_matrices_that_are_not_uniform_are_told_apart():
    uneven = laplacian("lattice:5x5")
    uneven.data[1] *= 1.5
    hollow = laplacian("lattice:5x5")
    hollow.setdiag(0.0)
    hollow.eliminate_zeros()
    alone = sp.csr_array(sp.eye_array(5))
    for matrix in (uneven, hollow, alone):
        assert Rows(matrix).uniform(matrix.data) is NOT_UNIFORM


def test_rows_are_sorted_once_for_all_diagonals():
    matrix = laplacian("lattice:6x6")
    rows = Rows(matrix)
    first = rows.uniform(matrix.data)
    rows.put_diagonal(matrix.data, np.arange(36.0))
    second = rows.uniform(matrix.data)
    assert first[0] is second[0]
    assert np.array_equal(second[-1], np.arange(36.0))
