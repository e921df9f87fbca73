"""Multigrid."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp

from conformance.preconditioner import (
    FAMILIES,
    PreconditionerConformance,
    conjugate_gradients,
    laplacian,
    raise_diagonal,
)
from evenflow.errors import InputError
from evenflow.preconditioner import Multigrid


class TestMultigrid(PreconditionerConformance):
    iterations = 60

    def make(self, **options: Any) -> Multigrid:
        return Multigrid(**({"coarsest": 8} | options))

    def change(self, matrix: sp.csr_array, rng: np.random.Generator) -> sp.csr_array:
        return sp.csr_array(4.0 * matrix)  # exact, so that equal couplings stay equal


class TestVCycle(TestMultigrid):
    def make(self, **options: Any) -> Multigrid:
        return Multigrid(**({"coarsest": 8, "cycle": "v"} | options))


class TestStretched(TestMultigrid):
    """Corrections nearly twice as long, on as many levels as there can be."""

    iterations = 120

    def make(self, **options: Any) -> Multigrid:
        return Multigrid(**({"coarsest": 2, "stretch": 1.99} | options))


class TestPlainAggregation(TestMultigrid):
    iterations = 120

    def make(self, **options: Any) -> Multigrid:
        return Multigrid(**({"coarsest": 8, "damping": 0.0, "width": 1} | options))


@pytest.mark.parametrize("block", [1, 2])
def test_refresh_equals_rebuild_with_the_same_groups(block: int, rng: np.random.Generator) -> None:
    matrix = sp.csr_array(sp.kron(TestMultigrid().lattice(), sp.eye_array(block)))
    matrix.sort_indices()
    # one level of groups, which depend on the couplings only
    p, fresh = Multigrid(coarsest=60 * block, block=block), Multigrid(coarsest=60 * block, block=block)
    p.refresh(matrix)
    other = raise_diagonal(matrix, rng.random(matrix.shape[0]))
    p.refresh(other)
    fresh.refresh(other)
    r = rng.normal(size=matrix.shape[0])
    np.testing.assert_allclose(p.apply(r), fresh.apply(r), rtol=1e-12)


@pytest.mark.parametrize("size", [40, 80, 160])
def test_iterations_do_not_grow_with_the_lattice(size: int, rng: np.random.Generator) -> None:
    matrix = raise_diagonal(laplacian(nx.grid_2d_graph(size, size)), np.where(np.arange(size**2) < size, 1.0, 0.0))
    p = Multigrid()
    p.refresh(matrix)
    assert conjugate_gradients(matrix, rng.normal(size=size**2), p) <= 14


def test_trees_are_solved_directly(rng: np.random.Generator) -> None:
    matrix = laplacian(nx.random_labeled_tree(3000, seed=1), 10 ** rng.uniform(-2, 2, 2999))
    matrix = raise_diagonal(matrix, np.where(np.arange(3000) < 20, 1.0, 0.0))
    p = Multigrid()
    p.refresh(matrix)
    x = rng.normal(size=3000)
    np.testing.assert_allclose(p.apply(matrix @ x), x, rtol=1e-6, atol=1e-6)


def test_chains_are_eliminated(rng: np.random.Generator) -> None:
    graph = nx.Graph()
    for a, b in nx.grid_2d_graph(12, 12).edges:  # every edge of a lattice replaced by a chain of five nodes
        nx.add_path(graph, [a, *((a, b, k) for k in range(5)), b])
    matrix = laplacian(graph)
    n = matrix.shape[0]
    matrix = raise_diagonal(matrix, np.where(np.arange(n) % 97 == 0, 1.0, 0.0))
    p = Multigrid()
    p.refresh(matrix)
    assert "eliminated" in str(p)
    assert conjugate_gradients(matrix, rng.normal(size=n), p) <= 12


def test_hub_of_many_leaves_and_a_core(rng: np.random.Generator) -> None:
    graph = nx.star_graph(20_000)
    graph.add_edges_from((i, i + 1) for i in range(1, 20_000))  # a wheel: nothing of degree two
    graph.add_edge(20_000, 1)
    matrix = raise_diagonal(laplacian(graph), np.where(np.arange(20_001) < 5, 1.0, 0.0))
    p = Multigrid()
    p.refresh(matrix)
    assert p.cost.fill < 3
    assert conjugate_gradients(matrix, rng.normal(size=20_001), p) <= 25


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_some_negative_weights(family: str, rng: np.random.Generator) -> None:
    graph = FAMILIES[family](200, 5)
    weights = rng.uniform(0.5, 2.0, graph.number_of_edges())
    weights[rng.random(len(weights)) < 0.02] *= -0.1
    matrix = laplacian(graph, weights)
    matrix = raise_diagonal(matrix, np.full(matrix.shape[0], 0.4))
    assert np.linalg.eigvalsh(matrix.toarray())[0] > 0
    p = Multigrid(coarsest=8)
    p.refresh(matrix)
    assert conjugate_gradients(matrix, rng.normal(size=matrix.shape[0]), p) <= 60


def test_indefinite_matrix_gives_a_definite_operator(rng: np.random.Generator) -> None:
    matrix = laplacian(nx.grid_2d_graph(30, 30), np.cos(rng.uniform(-np.pi, np.pi, 1740)))
    assert np.linalg.eigvalsh(matrix.toarray())[0] < -0.5
    p = Multigrid(coarsest=8)
    p.refresh(matrix)
    assert "definite part" in str(p)
    inverse = np.stack([p.apply(e).copy() for e in np.eye(900)])
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-9)
    assert np.linalg.eigvalsh(inverse)[0] > 0


def test_definite_matrix_stays_itself() -> None:
    p = Multigrid(coarsest=8)
    matrix = TestMultigrid().lattice()
    p.refresh(matrix)
    assert "definite part" not in str(p)
    bad = matrix.copy()
    bad.setdiag(matrix.diagonal() - 5.0)
    p.refresh(bad)
    assert "definite part" in str(p)
    p.refresh(matrix)
    assert "definite part" not in str(p)


def test_equal_components_are_solved_alike(rng: np.random.Generator) -> None:
    scalar = TestMultigrid().lattice()
    n = scalar.shape[0]
    matrix = sp.csr_array(sp.kron(scalar, sp.eye_array(2)))
    matrix.sort_indices()
    p, q = Multigrid(block=2, coarsest=8), Multigrid(coarsest=4)
    p.refresh(matrix)
    q.refresh(scalar)
    x = rng.normal(size=n)
    r = np.zeros((n, 2))
    for c in range(2):
        r[:, c], r[:, 1 - c] = scalar @ x, 0.0
        error = p.apply(r.ravel()).reshape(n, 2) - np.outer(x, np.eye(2)[c])
        assert not error[:, 1 - c].any()  # nothing leaks into the other one
        alone = q.apply(scalar @ x) - x
        # the sweeps take the unknowns in another order, so the errors are alike, not the same
        assert error[:, c] @ scalar @ error[:, c] == pytest.approx(alone @ scalar @ alone, rel=0.5)
        assert alone @ scalar @ alone < 0.1 * (x @ scalar @ x)


def test_spring_network(rng: np.random.Generator) -> None:
    graph = nx.triangular_lattice_graph(24, 24)
    position = np.array([graph.nodes[v]["pos"] for v in graph])
    graph = nx.convert_node_labels_to_integers(graph)
    n = len(graph)
    matrix = sp.lil_array((2 * n, 2 * n))
    for i, j in graph.edges:
        unit = position[i] - position[j]
        unit = unit / np.linalg.norm(unit)
        for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            matrix[2 * a : 2 * a + 2, 2 * b : 2 * b + 2] += sign * np.outer(unit, unit)
    matrix = sp.csr_array(matrix) + sp.diags_array(np.where(np.arange(2 * n) < 50, 1.0, 0.0))
    matrix = sp.csr_array(matrix)
    matrix.sort_indices()
    p = Multigrid(block=2)
    p.refresh(matrix)
    assert conjugate_gradients(matrix, rng.normal(size=2 * n), p) <= 60


def test_reset_builds_anew() -> None:
    p = Multigrid()
    matrix = TestMultigrid().lattice()
    p.refresh(matrix)
    p.refresh(matrix)
    assert p.cost.refreshes == 1
    p.reset()
    p.refresh(matrix)
    assert p.cost.refreshes == 0


def test_table_of_levels() -> None:
    p = Multigrid(coarsest=8)
    p.refresh(TestMultigrid().lattice(30))
    lines = str(p).splitlines()
    assert "operator complexity" in lines[0]
    assert len(lines) == 2 + p.cost.levels
    assert lines[2].split() == ["0", "900", str(TestMultigrid().lattice(30).nnz), "aggregated"]


def test_memory_of_a_lattice() -> None:
    matrix = TestMultigrid().lattice(120)
    p = Multigrid()
    p.refresh(matrix)
    assert p.cost.nbytes < 400 * matrix.shape[0]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cycle": "k"}, "cycle='k'"),
        ({"threshold": -0.1}, "threshold=-0.1"),
        ({"damping": 1.0}, "damping=1"),
        ({"width": -1}, "width=-1"),
        ({"coarsest": 0}, "coarsest=0"),
        ({"block": 0}, "block=0"),
    ],
)
def test_options_are_checked(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Multigrid(**options)


def test_block_must_divide_the_unknowns() -> None:
    with pytest.raises(InputError, match="block=2"):
        Multigrid(block=2).refresh(TestMultigrid().lattice(5))


def test_more_entries_on_one_side_are_refused() -> None:
    """Room is for half of the entries, so an asymmetric pattern must be seen before it overflows."""
    star = sp.csr_array((np.ones(9), (np.arange(1, 10), np.zeros(9, int))), shape=(10, 10))
    with pytest.raises(InputError, match="not symmetric"):
        Multigrid().refresh(star)


def test_apply_before_refresh() -> None:
    with pytest.raises(InputError, match="never refreshed"):
        Multigrid().apply(np.ones(4))
