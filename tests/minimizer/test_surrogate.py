"""Surrogate: exact for couplings and a diagonal, semi-definite whatever the Hessian, cheap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import evenflow as ef
from conformance.minimizer import problem_of
from evenflow.minimizer import LBFGS, NonlinearCG
from evenflow.minimizer.problem import Problem
from evenflow.minimizer.surrogate import Surrogate
from evenflow.preconditioner import Multigrid

GRAPH = ef.gallery.lattice(5, 6)


def dense_hessian(problem: Problem, theta: np.ndarray) -> np.ndarray:
    product = problem.hvp(theta)
    return np.stack([product(e) for e in np.eye(problem.size)])


def couple(graph: ef.Graph, shape: Any, term: Callable[..., torch.Tensor], **options: Any) -> ef.TorchEnergy:
    """An energy in torch of w and of its differences along the edges."""
    i, j = torch.tensor(graph.edges.T)
    return ef.TorchEnergy(lambda w: term(w, w[i] - w[j]), shape=shape, graph=graph, **options)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1e-3, 1e3),
    dim=st.integers(1, 3),
    held=st.integers(0, 3),
)
def test_is_the_hessian_where_that_is_couplings_and_a_diagonal(seed: int, scale: float, dim: int, held: int) -> None:
    rng = np.random.default_rng(seed)
    graph = ef.Graph.from_networkx(nx.gnm_random_graph(20, 40, seed=seed % 1000))
    shape = (20,) if dim == 1 else (20, dim)
    stiff = torch.tensor(rng.uniform(0, 5, size=shape))
    fixed = (np.arange(held), np.zeros((held, *shape[1:]))) if held else None
    energy = couple(graph, shape, lambda w, d: 0.5 * scale * (d**2).sum() + 0.5 * (stiff * w**2).sum(), fixed=fixed)
    problem, theta = problem_of(energy), rng.normal(size=20 * dim)
    free = energy.free_mask().ravel()
    found = Surrogate(problem).at(problem, theta).toarray()[np.ix_(free, free)]
    np.testing.assert_allclose(found, dense_hessian(problem, theta)[np.ix_(free, free)], atol=1e-9 * (scale + 5))


def test_costs_a_product_for_each_component_and_one() -> None:
    problem = problem_of(couple(GRAPH, (30, 2), lambda w, d: (d**4).sum() + (w**2).sum()))
    surrogate, theta = Surrogate(problem), np.random.default_rng(0).normal(size=60)
    assert problem.counts.hvp == 0
    surrogate.at(problem, theta)
    assert problem.counts.hvp == 3


def test_keeps_its_pattern_and_follows_the_point() -> None:
    problem = problem_of(couple(GRAPH, 30, lambda w, d: (d**2).sum() + (w**4).sum()))
    surrogate = Surrogate(problem)
    first = surrogate.at(problem, np.ones(30))
    indices, diagonal = first.indices, first.diagonal()
    second = surrogate.at(problem, np.full(30, 2.0))
    assert second.indices is indices
    np.testing.assert_allclose(second.diagonal() - diagonal, 12.0 * (4 - 1))


@pytest.mark.parametrize(
    "term",
    [
        lambda w, d: (d**2).sum() + ((w**2 - 1) ** 2).sum(),  # wells: concave where the states are
        lambda w, d: -(d**2).sum() + (w**2).sum(),  # couplings of the wrong sign
        lambda w, d: torch.sqrt(d**2).sum() + torch.cos(3 * w).sum(),
        lambda w, d: w.prod() + w.sum(),  # no couplings of its own
        lambda w, d: w.sum(),  # no curvature at all
        lambda w, d: torch.where(w > 5, w, torch.inf * w.detach()).sum() * d.sum(),  # not finite
    ],
)
def test_is_finite_and_semi_definite_whatever_the_hessian(term: Callable[..., torch.Tensor]) -> None:
    problem = problem_of(couple(GRAPH, 30, term))
    found = Surrogate(problem).at(problem, np.random.default_rng(0).uniform(-0.3, 0.3, size=30)).toarray()
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, found.T)
    assert np.linalg.eigvalsh(found).min() >= -1e-10 * np.abs(found).max()
    assert np.abs(found).max() > 0


def test_nodes_without_neighbours_have_their_diagonal() -> None:
    graph = ef.Graph.from_edges([[0, 1]], 4)
    problem = problem_of(couple(graph, 4, lambda w, d: 0.5 * (d**2).sum() + 0.5 * (w**2).sum()))
    found = Surrogate(problem).at(problem, np.zeros(4)).toarray()
    np.testing.assert_allclose(found, [[2, -1, 0, 0], [-1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-12)


def test_spares_most_of_the_iterations() -> None:
    """What it is for: stiff and soft nodes on a lattice, of which only products are known."""
    graph = ef.gallery.lattice(20, 20)
    stiff = torch.tensor(10.0 ** np.random.default_rng(0).uniform(-3, 3, size=400))
    energy = couple(graph, 400, lambda w, d: (d**2).sum() + (stiff * (w - 1) ** 2).sum())
    start = np.random.default_rng(1).normal(size=400)
    plain, preconditioned = (ef.minimize(energy, start, method=name, gtol=1e-8) for name in ("lbfgs", "lbfgs-mg"))
    assert preconditioned.gradient_norm <= 1e-8
    assert 10 * preconditioned.counts.gradient <= plain.counts.gradient


@pytest.mark.parametrize("method", ["lbfgs", "ncg"])
def test_serves_where_neighbours_of_neighbours_are_coupled(method: str) -> None:
    energy = ef.HopfKuramoto(ef.gallery.lattice(12, 12, periodic=True), s1=1.0, s2=1.0, loss="potential")
    start = 0.1 * np.random.default_rng(0).normal(size=144)
    kind = {"lbfgs": LBFGS, "ncg": NonlinearCG}[method]
    plain = ef.minimize(energy, start, method=kind(), gtol=1e-6)
    found = ef.minimize(energy, start, method=kind(preconditioner=Multigrid(), source="products"), gtol=1e-6)
    assert found.counts.hessian == 0
    assert found.counts.hvp >= 2
    assert found.gradient_norm <= 1e-6
    assert found.counts.gradient < plain.counts.gradient
