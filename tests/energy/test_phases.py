from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenflow import gallery
from evenflow.energy.phases import bipartition, order_parameter, vortex_count
from evenflow.graph import Graph


@given(data=st.data(), n=st.integers(1, 15))
def test_bipartition_agrees_with_networkx(data: st.DataObject, n: int) -> None:
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True, max_size=2 * n) if pairs else st.just([]))
    graph = Graph.from_edges(np.array(edges, dtype=np.int64).reshape(-1, 2), n_nodes=n)
    side = bipartition(graph)
    other = nx.Graph(edges)
    assert (side is not None) == nx.is_bipartite(other)
    if side is not None:
        assert set(np.unique(side)) <= {-1, 1}
        assert (side[graph.edges[:, 0]] != side[graph.edges[:, 1]]).all()


def test_edges_of_weight_zero_couple_nothing() -> None:
    triangle = Graph.from_edges([[0, 1], [1, 2], [0, 2]], weights=[1.0, 1.0, 0.0])
    side = bipartition(triangle)
    assert side is not None
    assert abs(side.sum()) == 1


def test_large_lattice_is_quick() -> None:
    side = bipartition(gallery.lattice(300, 300))
    assert side is not None
    assert side.sum() == 0


@pytest.mark.parametrize("n", [1, 5])
def test_order_parameter_of_equal_and_spread_phases(n: int) -> None:
    assert order_parameter(np.full(n, 0.7)) == pytest.approx(1.0)
    assert order_parameter(2 * np.pi * np.arange(5) / 5) < 1e-15


def test_no_faces_no_vortices() -> None:
    assert vortex_count(gallery.ring(8), np.zeros(8)) is None
