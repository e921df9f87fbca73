"""Levels: groups, interpolation and the coarse matrix, against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.preconditioner import laplacian, raise_diagonal
from evenflow import gallery
from evenflow.preconditioner import Multigrid, table
from evenflow.preconditioner.half import precedes, turn
from evenflow.preconditioner.hierarchy import Hierarchy
from evenflow.preconditioner.schedule import limit_stretch


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


def hierarchy_of(multigrid: Multigrid) -> tuple[Hierarchy, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The hierarchy, and the table, indices and values that compiled code reads."""
    hierarchy = multigrid._hierarchy
    assert hierarchy is not None
    return hierarchy, (hierarchy.rows, hierarchy._u, hierarchy._f)


def dense(k: int, arrays: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """The couplings of level k and their diagonal."""
    ptr, idx, values, diagonal = table.matrix(arrays[0], k, *arrays[1:])
    lower = sp.csr_array((values, idx, ptr), shape=(len(diagonal), len(diagonal))).toarray()
    return lower + lower.T + np.diag(diagonal)


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
    hierarchy, arrays = hierarchy_of(p)
    rows, u, f = arrays
    size = np.abs(dense(0, arrays)).max()
    for k, kind in enumerate(hierarchy.kinds):
        if kind != table.AGGREGATE:
            continue
        ptr, idx, _ = table.interpolation(rows, k, u, f)
        n, coarse, first = rows[k, table.SIZE], rows[k, table.COARSE], rows[k, table.GROUPS]
        group = u[first : first + n].view(np.int32)
        weights = sp.csr_array((table.weights(rows, k, f), idx, ptr), shape=(n, coarse))
        product = weights.T @ dense(k, arrays) @ weights
        np.testing.assert_allclose(dense(k + 1, arrays), product, atol=1e-12 * size)
        assert np.diff(ptr).max() <= width
        assert (group >= -1).all()
        assert np.unique(group[group >= 0]).size == coarse
        # the own group comes first, and weights sum to one where no potential is mixed in
        own = np.diff(ptr) > 0
        np.testing.assert_array_equal(idx[ptr[:-1][own]], group[own])
        if rows[k, table.APART]:
            np.testing.assert_allclose(weights.sum(axis=1)[own], 1.0, rtol=1e-12)


def test_a_refresh_weighs_anew_below_levels_of_elimination() -> None:
    """There the potential is mixed in, and each node follows its neighbours by the share of the couplings."""
    rng = np.random.default_rng(3)
    graph = gallery.from_spec("ba:2000:m=2")
    p = Multigrid()
    for _ in range(2):
        couplings = sp.csr_array(graph.laplacian)
        scale = sp.diags_array(rng.uniform(0.2, 2.0, graph.n_nodes))
        p.refresh(sp.csr_array(scale @ couplings @ scale + sp.diags_array(rng.uniform(0.1, 1.0, graph.n_nodes))))
        hierarchy, arrays = hierarchy_of(p)
        assert hierarchy.kinds[:2] == [table.ELIMINATE, table.AGGREGATE]
        level = dense(1, arrays)
        share = (np.abs(level).sum(axis=1) - np.diag(level)) / np.diag(level)
        ptr, _, weights = table.interpolation(arrays[0], 1, *arrays[1:])
        np.testing.assert_allclose(np.add.reduceat(weights, ptr[:-1].astype(int)), np.minimum(1.0, share), rtol=1e-12)


ROOMY = {
    "lattice": "lattice:40x40",
    "path": "lattice:700x1",
    "hubs": "ba:1500:m=2",
    "star": "star:2000",
    "tree": "tree:2x10",
    "road": "road:1500",
    "large road": "road:6000",
    "random": "er:1200",
    "dense": "er:150:degree=100",
    "cubic": "lattice:9x9x9",
}


@pytest.mark.parametrize("width", [0, 7])
@pytest.mark.parametrize("block", [1, 3])
@pytest.mark.parametrize("spec", ROOMY.values(), ids=list(ROOMY))
def test_nothing_is_written_beyond_the_room(monkeypatch: pytest.MonkeyPatch, spec: str, block: int, width: int) -> None:
    """Compiled code does not look; so room is made for the worst case, of which a canary tells."""
    buffers = []

    def canary(size: int, dtype: np.dtype) -> np.ndarray:
        buffers.append((np.full(size + 5_000, 123, dtype), size))
        return buffers[-1][0][:size]

    monkeypatch.setattr("evenflow.preconditioner.hierarchy.long_array", canary)
    couplings = gallery.from_spec(spec).laplacian
    matrix = sp.csr_array(sp.kron(couplings, np.eye(block) + 0.2, format="csr"))
    n = matrix.shape[0]
    p = Multigrid(block=block, width=width, coarsest=8)
    for held in (0.0, 1.0, -0.4):  # apart, and not
        p.refresh(sp.csr_array(matrix + sp.diags_array(np.full(n, held))))
        p.apply(np.ones(n))
    if p.refresh_couplings(matrix):
        p.nest(np.ones(n), matrix.diagonal() + 1.0, np.zeros(n), np.ones(n))
    p.refresh_diagonal(matrix, matrix.diagonal() + 1.0)
    p.apply(np.ones(n))
    bare = sp.csr_array(matrix - sp.diags_array(matrix.diagonal()))
    bare.eliminate_zeros()  # the diagonal is not even stored
    p.refresh(bare)
    p.apply(np.ones(n))
    assert len(buffers) >= 4
    assert all((buffer[size:] == 123).all() for buffer, size in buffers)


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
    hierarchy, _ = hierarchy_of(p)
    entries = hierarchy.entries
    visits = hierarchy.cycle_arguments[0][:, table.VISITS]
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
    factors = limit_stretch(visits, [True] * len(visits), [stretch] * len(visits))
    longest = 1.0
    for factor, count in zip(reversed(factors), reversed(visits), strict=True):
        assert 0.0 < factor <= stretch
        longest = max(1.0, factor * longest)
        assert count == 1 or longest < 2.0
        steps = np.linspace(0.0, longest, 1001)  # of which each visit makes its share of what is left
        longest = float((1.0 - (1.0 - steps) ** count).max())
        assert (1.0 - (1.0 - steps[1:]) ** count > 0.0).all() or count == 1
