"""Remoteness: a forecast that costs next to nothing."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from evenflow.energy.heat import HeatDiffusion
from evenflow.gallery import lattice
from evenflow.graph import Graph
from evenflow.minimizer.linear_algebra import Rows
from evenflow.minimizer.remoteness import remoteness


def of(matrix: sp.csr_array) -> float:
    return remoteness(Rows(matrix), matrix.data)


@pytest.mark.parametrize(("baths", "low", "high"), [("sides", 0.6, 0.8), ("random_baths", 0.0, 0.0)])
def test_baths_far_and_near(baths: str, low: float, high: float, rng: np.random.Generator) -> None:
    heat = getattr(HeatDiffusion, baths)(lattice(150, 150))
    assert low <= of(heat.hessian(heat.initial(rng))) <= high


def test_nothing_holds_a_laplacian() -> None:
    assert of(lattice(40, 40).laplacian) == 1.0


@pytest.mark.parametrize("enough", [0.0, 0.3, 0.6, 1.0])
def test_enough_is_known_as_well_as_all(enough: float, rng: np.random.Generator) -> None:
    heat = HeatDiffusion.sides(lattice(150, 150))
    matrix = heat.hessian(heat.initial(rng))
    assert (remoteness(Rows(matrix), matrix.data, enough) > enough) is (of(matrix) > enough)


def test_nothing_is_foretold_of_an_indefinite_matrix() -> None:
    matrix = sp.csr_array(lattice(40, 40).laplacian - 5.0 * sp.eye_array(1600))
    assert of(matrix) == 0.0


def test_zero_couplings_carry_nothing() -> None:
    """A held node behind a coupling of zero is no help."""
    graph = Graph.from_edges([[0, 1], [1, 2]])
    matrix = graph.laplacian.copy()
    matrix.setdiag([1.0, 1.0, 5.0])
    matrix.data[matrix.indices != np.repeat(np.arange(3), np.diff(matrix.indptr))] *= [1.0, 1.0, 0.0, 0.0]
    assert of(matrix) == pytest.approx(1.0)  # the first node is sampled; it reaches the second only


def test_empty_matrix() -> None:
    assert of(sp.csr_array((1, 1))) in (0.0, 1.0)
