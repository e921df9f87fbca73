"""Ties: counted where couplings span decades, never where they are alike."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import evenflow as ef
from evenflow.energy import HeatDiffusion
from evenflow.gallery import from_spec, lattice
from evenflow.minimizer.linear_algebra import Rows
from evenflow.minimizer.ties import tied_share


def share(matrix):
    matrix = sp.csr_array(matrix)
    return tied_share(Rows(matrix), matrix.data)


def spread(graph, decades):
    rng = np.random.default_rng(7)
    return graph.replace(weights=10.0 ** rng.uniform(-decades / 2, decades / 2, graph.n_edges))


def test_share_is_that_of_nodes_left_with_a_fifth_when_they_move_with_a_neighbour():
    pairs = sp.block_diag([[[1.0 + hold, -1.0], [-1.0, 1.0 + hold]] for hold in (0.0, 0.1, 0.24, 0.26, 1.0)])
    assert share(pairs) == pytest.approx(6 / 10)
    assert share(sp.csr_array((3, 3))) == 0.0
    assert share(sp.diags_array(np.ones(5))) == 0.0
    assert share(-np.array([[-1.0, -1.0], [-1.0, -1.0]])) == 0.0  # coupled the wrong way round


@pytest.mark.parametrize("spec", ["lattice:40x40", "lattice:12x12x12", "triangular:30x30", "ba:1500", "tree:2x9"])
def test_equal_couplings_tie_nobody(spec):
    graph = from_spec(spec)
    assert share(graph.laplacian) == 0.0


def test_couplings_that_span_decades_tie_many():
    graph = lattice(60, 60)
    shares = [share(spread(graph, decades).laplacian) for decades in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert shares == sorted(shares)
    assert shares[1] < 0.05
    assert shares[4] > 0.2


@pytest.mark.parametrize(("decades", "at_once"), [(1.0, False), (5.0, True)])
def test_auto_does_not_try_the_diagonal_where_many_are_tied(decades, at_once):
    energy = HeatDiffusion.random_baths(spread(lattice(60, 60), decades))
    result = ef.minimize(energy)
    assert result.status is ef.Status.CONVERGED
    assert ("multigrid built at once" in result.message) is at_once
