"""Levels: groups, interpolation and the coarse matrix, against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.preconditioner import laplacian, raise_diagonal
from evenflow import gallery
from evenflow.preconditioner import Multigrid
from evenflow.preconditioner.cycle import VISITS
from evenflow.preconditioner.half import precedes, turn
from evenflow.preconditioner.hierarchy import Aggregated, Matrix


def random_matrix(n: int, seed: int, held: float) -> sp.csr_array:
    """Couplings over three decades, each node held by up to ``held``."""
    rng = np.random.default_rng(seed)
    graph = sp.random_array((n, n), density=min(1.0, 4 / n), rng=rng, format="coo")
    i, j = graph.coords
    value = 10.0 ** rng.uniform(-1.5, 1.5, len(i))[i != j]
    half = sp.coo_array((value, (i[i != j], j[i != j])), shape=(n, n))
    pairs = (half + half.T).tocsr()
    diagonal = pairs.sum(axis=1) + held * rng.random(n) + 1e-3
    matrix = sp.csr_array(sp.diags_array(diagonal) - pairs)
    matrix.sort_indices()
    return matrix


def dense(matrix: Matrix) -> np.ndarray:
    """The couplings and their diagonal."""
    lower = sp.csr_array((matrix.lower, matrix.idx, matrix.ptr), shape=(matrix.size, matrix.size)).toarray()
    return lower + lower.T + np.diag(matrix.diagonal)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(10, 120),
    seed=st.integers(0, 10**6),
    held=st.sampled_from([0.0, 1.0, 100.0]),
    threshold=st.sampled_from([0.2, 0.5, 0.7, 1.0]),
    width=st.integers(1, 4),
)
def test_the_coarse_matrix_is_the_product(n: int, seed: int, held: float, threshold: float, width: int) -> None:
    p = Multigrid(coarsest=2, threshold=threshold, width=width)
    p.refresh(random_matrix(n, seed, held))
    size = np.abs(p._levels[0].matrix.values).max()
    for level in p._levels:
        if not isinstance(level, Aggregated):
            continue
        weights = sp.csr_array((level.weights, level.p_idx, level.p_ptr), shape=(level.matrix.size, level.coarse.size))
        product = weights.T @ dense(level.matrix) @ weights
        np.testing.assert_allclose(dense(level.coarse), product, atol=1e-12 * size)
        assert np.diff(level.p_ptr).max() <= width
        assert (level.group >= -1).all()
        assert np.unique(level.group[level.group >= 0]).size == level.coarse.size
        # the own group comes first, and weights sum to one where no potential is mixed in
        own = np.diff(level.p_ptr) > 0
        np.testing.assert_array_equal(level.p_idx[level.p_ptr[:-1][own]], level.group[own])
        if level.matrix.potential is not None:
            np.testing.assert_allclose(weights.sum(axis=1)[own], 1.0, rtol=1e-12)


@given(n=st.integers(1, 200))
def test_rows_take_turns(n: int) -> None:
    order = sorted(range(n), key=lambda i: turn(i, n))
    half = (n + 1) // 2
    assert order == [i for m in range(half) for i in (m, m + half) if i < n]
    assert all(precedes(order[k], order[k + 1], n) and not precedes(order[k + 1], order[k], n) for k in range(n - 1))


@pytest.mark.parametrize("cycle", ["w", "v"])
def test_only_small_levels_are_visited_twice(cycle: str) -> None:
    matrix = raise_diagonal(laplacian(gallery.lattice(80, 80).to_networkx()), np.eye(1, 6400)[0])
    p = Multigrid(cycle=cycle)
    p.refresh(matrix)
    entries = [level.matrix.entries for level in p._levels]
    visits = p._layout.arguments[1][:, VISITS]
    assert len(entries) >= 4
    assert list(visits[:2]) == [1, 1]
    small = [e <= min(0.1 * entries[0], 0.3 * above) for e, above in zip(entries[2:], entries[1:], strict=False)]
    expected = [1, 1, *(1 + few for few in small)]
    expected[-1] = 1  # it is solved
    assert list(visits) == (expected if cycle == "w" else [1] * len(entries))
    assert cycle == "v" or 2 in visits


@given(visits=st.lists(st.integers(1, 4), min_size=1, max_size=8), stretch=st.floats(0.1, 1.99))
def test_no_visit_of_many_goes_more_than_twice_as_far(visits: list[int], stretch: float) -> None:
    """By exact coarse solves, whose every correction is ``longest`` times too long at most."""
    p = Multigrid()
    matrix = Matrix(np.zeros(2, np.uint32), np.zeros(0, np.uint32), np.ones(1))
    p._levels = [Aggregated(matrix) for _ in visits]
    for level in p._levels:
        level.stretch = stretch
    factors = p._stretches(visits)
    longest = 1.0
    for factor, count in zip(reversed(factors), reversed(visits), strict=True):
        assert 0.0 < factor <= stretch
        longest = max(1.0, factor * longest)
        assert count == 1 or longest < 2.0
        steps = np.linspace(0.0, longest, 1001)  # of which each visit makes its share of what is left
        longest = float((1.0 - (1.0 - steps) ** count).max())
        assert (1.0 - (1.0 - steps[1:]) ** count > 0.0).all() or count == 1
