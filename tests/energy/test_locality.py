"""Graphs whose states are asked for ahead of their turn, and those where that would be for nothing."""

from __future__ import annotations

import numpy as np
import pytest

from evenflow import gallery, minimize
from evenflow.energy.heat import HeatDiffusion
from evenflow.energy.locality import AHEAD, choose_layout, is_scattered
from evenflow.graph import Graph


def scattered(graph: Graph, bytes_each: int = 8) -> bool:
    indptr, indices, _ = graph.rows
    return is_scattered(indptr.astype(np.uint32), indices.astype(np.uint32), bytes_each)


@pytest.fixture(scope="module")
def far_pairs() -> Graph:
    """A graph of 600 000 nodes in which node i and node i + 300 000 are neighbours."""
    half = np.arange(300_000)
    return Graph(600_000, np.stack([half, half + 300_000], axis=1), np.ones(len(half)))


def test_only_large_graphs_with_far_neighbours_are_scattered(far_pairs: Graph) -> None:
    assert scattered(far_pairs)
    assert not scattered(gallery.ring(600_000))  # near in memory
    assert not scattered(far_pairs, bytes_each=4)  # in the cache
    assert scattered(far_pairs, bytes_each=4 * 3)
    assert not scattered(gallery.er(1_000))


def test_a_graph_without_edges_is_not() -> None:
    assert not scattered(Graph(600_000, np.zeros((0, 2), np.int64), np.zeros(0)))


@pytest.mark.parametrize(
    ("spec", "layout"),
    [("er:12000", "sorted"), ("er:2500", "plain"), ("lattice:200x200", "plain"), ("rgg:12000", "sorted")],
)
def test_rows_are_sorted_where_many_lengths_vary(spec: str, layout: str) -> None:
    indptr, indices, _ = gallery.from_spec(spec).rows
    assert choose_layout(indptr.astype(np.uint32), indices.astype(np.uint32), 8) == layout


def test_looking_ahead_ends_within_the_arrays(far_pairs: Graph) -> None:
    """A solve on such a graph finds the minimum that each pair has for itself."""
    energy = HeatDiffusion(far_pairs, hot=np.arange(0, 300_000, 3), cold=np.arange(300_000, 600_000, 2))
    assert len(energy._engine._indices) == 2 * far_pairs.n_edges + AHEAD
    w = energy.initial(np.random.default_rng(0))
    value, gradient = energy.value_and_gradient(w)
    pair = w[:300_000] - w[300_000:]
    of_couplings = gradient[:300_000][1::6]  # nodes without a bath
    np.testing.assert_allclose(of_couplings, pair[1::6], rtol=1e-12)
    assert np.isfinite(value)


def test_an_irregular_graph_goes_by_sorted_rows_to_the_same_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = gallery.er(12_000).largest_component()
    by_length = HeatDiffusion.random_baths(graph)
    assert "order" in by_length._engine._kernels.tail
    monkeypatch.setattr("evenflow.energy.locality._MEMORY", len(graph.edges) * 2 + 1)
    one_by_one = HeatDiffusion.random_baths(graph)
    assert "order" not in one_by_one._engine._kernels.tail
    first, second = (minimize(energy, tolerance=1e-10) for energy in (by_length, one_by_one))
    np.testing.assert_allclose(first.w, second.w, rtol=1e-4)
    assert first.energy == pytest.approx(second.energy, rel=1e-10)
