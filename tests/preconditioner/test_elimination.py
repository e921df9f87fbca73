"""Elimination: exact on what it takes away, and to the end only where that makes little new."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from evenflow import gallery
from evenflow.graph import Graph
from evenflow.preconditioner import Multigrid
from evenflow.preconditioner.elimination import elimination_order
from evenflow.preconditioner.minimum_degree import factor_values, minimum_degree
from evenflow.preconditioner.table import SIZE


def lower(matrix: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Strictly lower rows."""
    rows = sp.csr_array(sp.tril(matrix, -1))
    rows.sort_indices()
    return rows.indptr.astype(np.uint32), rows.indices.astype(np.uint32)


def tree_and_loops(n: int, loops: int, seed: int, hub: int) -> sp.csr_array:
    """Couplings of a random tree, some more edges, and node 0 with its first ``hub`` successors; held a little."""
    rng = np.random.default_rng(seed)
    ends = [(k, int(rng.integers(k))) for k in range(1, n)]
    ends += [tuple(rng.choice(n, 2, replace=False)) for _ in range(loops)]
    ends += [(0, k) for k in range(1, min(hub, n - 1) + 1)]
    i, j = np.array(ends).T
    weights = 10.0 ** rng.uniform(-1, 1, len(i))
    couplings = sp.coo_array((weights, (i, j)), shape=(n, n)).tocsr()
    couplings = couplings + couplings.T
    return sp.csr_array(sp.diags_array(couplings.sum(axis=1) + rng.uniform(0, 1e-2, n)) - couplings)


@given(
    n=st.integers(2, 120), loops=st.integers(0, 60), seed=st.integers(0, 10_000), hub=st.sampled_from([0, 0, 40, 90])
)
def test_to_the_end_is_exact(n: int, loops: int, seed: int, hub: int) -> None:
    """In any case an order that can be used; where it is a whole one, a factor of the matrix."""
    matrix = tree_and_loops(n, loops, seed, hub)
    ptr, idx = lower(matrix)
    order, l_ptr, l_idx, *places = minimum_degree(ptr, idx)
    assert len(order) in (0, n)
    if len(order) == 0:
        return
    assert sorted(order) == list(range(n))
    turn, degrees = np.argsort(order), np.diff(l_ptr).astype(int)
    rows = np.split(turn[l_idx], np.cumsum(degrees)[:-1])
    assert all((row > k).all() and (np.diff(row) > 0).all() for k, row in enumerate(rows))
    l_val, inverse = np.empty(len(l_idx)), np.empty(n)
    below = sp.csr_array(sp.tril(matrix, -1))
    below.sort_indices()
    flaws = factor_values(below.data, matrix.diagonal(), order, l_ptr, l_idx, *places, 1e-10, l_val, inverse)
    assert flaws == (0, 0)
    upper = sp.csr_array((l_val, turn[l_idx], l_ptr), shape=(n, n)).toarray() + np.eye(n)
    product = (upper.T / inverse) @ upper
    np.testing.assert_allclose(product, matrix.toarray()[np.ix_(order, order)], atol=1e-9 * matrix.max())


def test_a_small_road_network_is_eliminated_to_the_end() -> None:
    graph = gallery.from_spec("road:1500")
    matrix = sp.csr_array(graph.laplacian + sp.diags_array(np.full(graph.n_nodes, 1e-3)))
    multigrid = Multigrid()
    multigrid.refresh(matrix)
    assert multigrid._hierarchy is not None
    assert multigrid._hierarchy.rows[:, SIZE].tolist() == [graph.n_nodes]
    x = np.random.default_rng(1).normal(size=graph.n_nodes)
    np.testing.assert_allclose(multigrid.apply(matrix @ x), x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("graph", [gallery.lattice(40, 40), gallery.from_spec("ba:500:m=3"), gallery.lattice(8, 8, 8)])
def test_much_new_is_not_made(graph: Graph) -> None:
    assert len(minimum_degree(*lower(graph.laplacian))[0]) == 0


@given(n=st.integers(2, 120), loops=st.integers(0, 120), seed=st.integers(0, 10_000))
def test_one_sweep_takes_nodes_with_at_most_two_neighbours(n: int, loops: int, seed: int) -> None:
    matrix = tree_and_loops(n, loops, seed, 0)
    order, l_ptr, _, _, fill, _ = elimination_order(*lower(matrix))
    degrees = np.diff(l_ptr).astype(int)
    assert len(set(order.tolist())) == len(order)
    assert (degrees <= 2).all()
    assert len(fill) == (degrees == 2).sum()
