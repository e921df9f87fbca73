"""Ties: counted where couplings span decades, never where they are alike."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import evenflow as ef
from evenflow.energy import HeatDiffusion
from evenflow.gallery import from_spec, lattice
from evenflow.preconditioner import Multigrid
from evenflow.preconditioner.ties import count_tied, spans_decades


def rows_of(matrix):
    matrix = sp.csr_array(matrix)
    return matrix.indptr.astype(np.uint32), matrix.indices.astype(np.uint32), matrix.data


def tied(matrix):
    return count_tied(*rows_of(matrix), matrix.shape[0])


def spread(graph, decades):
    rng = np.random.default_rng(7)
    return graph.replace(weights=10.0 ** rng.uniform(-decades / 2, decades / 2, graph.n_edges))


def test_nodes_are_tied_that_are_left_with_a_fifth_when_they_move_with_a_neighbour():
    pairs = sp.block_diag([[[1.0 + hold, -1.0], [-1.0, 1.0 + hold]] for hold in (0.0, 0.1, 0.24, 0.26, 1.0)])
    assert tied(pairs) == 6
    assert tied(sp.csr_array((3, 3))) == 0
    assert tied(sp.diags_array(np.ones(5))) == 0
    assert tied(np.ones((2, 2))) == 0  # coupled the wrong way round


def test_a_sample_of_nothing_spans_nothing():
    assert not spans_decades(*rows_of(sp.csr_array((0, 0))))


@pytest.mark.parametrize("spec", ["lattice:40x40", "lattice:12x12x12", "triangular:30x30", "ba:1500", "tree:2x9"])
def test_equal_couplings_tie_nobody(spec):
    assert tied(from_spec(spec).laplacian) == 0


def test_couplings_that_span_decades_tie_many():
    matrices = [spread(lattice(60, 60), decades).laplacian for decades in (1.0, 2.0, 3.0, 4.0, 5.0)]
    counts = [tied(matrix) for matrix in matrices]
    assert counts == sorted(counts)
    assert not any(spans_decades(*rows_of(matrix)) for matrix in matrices[:2])
    assert spans_decades(*rows_of(matrices[4]))


@pytest.mark.parametrize(("decades", "at_once"), [(1.0, False), (5.0, True)])
def test_auto_does_not_try_the_diagonal_where_many_are_tied(decades, at_once):
    energy = HeatDiffusion.random_baths(spread(lattice(60, 60), decades))
    result = ef.minimize(energy)
    assert result.status is ef.Status.CONVERGED
    assert ("multigrid built at once" in result.message) is at_once


def test_multigrid_groups_more_selectively_where_couplings_span_decades():
    """The threshold left to the matrix is the one that this matrix is said to want."""
    for decades, threshold in ((0.0, 0.5), (5.0, 0.7)):
        matrix = (spread(lattice(40, 40), decades).laplacian + sp.diags_array(np.full(1600, 1e-3))).tocsr()
        chosen, given = Multigrid(), Multigrid(threshold=threshold)
        chosen.refresh(matrix)
        given.refresh(matrix)
        r = np.random.default_rng(0).normal(size=1600)
        np.testing.assert_array_equal(chosen.apply(r), given.apply(r))
