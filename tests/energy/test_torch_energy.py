from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from conformance.energy import EnergyConformance
from evenflow import gallery
from evenflow.energy import Kuramoto, TorchEnergy
from evenflow.energy.base import FloatArray
from evenflow.energy.coloring import two_hop_coloring
from evenflow.errors import InputError

GRAPH = gallery.er(20, degree=4, seed=1)
HERE, THERE = torch.tensor(GRAPH.edges.T.copy())


def bonds(w: torch.Tensor) -> torch.Tensor:
    """Quartic bonds in two dimensions that couple the components."""
    return ((w[HERE] - w[THERE]).pow(2).sum(-1) - 1).pow(2).sum() + torch.sin(w[:, 0] * w[:, 1]).sum()


class TestTorchConformance(EnergyConformance):
    saves = False
    chunks = False

    @classmethod
    def make(cls, fixed: Any = None) -> TorchEnergy:
        return TorchEnergy(bonds, (20, 2), graph=GRAPH, fixed=fixed)

    @classmethod
    def other_units(cls) -> tuple[TorchEnergy, Callable[[FloatArray], FloatArray], float]:
        return TorchEnergy(lambda w: 3 * bonds(w / 10), (20, 2)), lambda w: 10 * w, 3.0


class TestTorchWithNeighbourHessianConformance(TestTorchConformance):
    @classmethod
    def make(cls, fixed: Any = None) -> TorchEnergy:
        return TorchEnergy(bonds, (20, 2), graph=GRAPH, fixed=fixed, couplings="neighbours")


def test_colouring_separates_two_hops() -> None:
    color = two_hop_coloring(GRAPH)
    A = (GRAPH.adjacency.toarray() != 0) | np.eye(20, dtype=bool)
    near = (A @ A) & ~np.eye(20, dtype=bool)
    assert not (near & (color[:, None] == color[None, :])).any()


def test_equals_the_compiled_energy(rng: np.random.Generator) -> None:
    compiled = Kuramoto(GRAPH)
    energy = TorchEnergy(compiled.torch_value, 20, graph=GRAPH, couplings="neighbours")
    w = compiled.initial(rng)
    np.testing.assert_allclose(energy.gradient(w), compiled.gradient(w), atol=1e-13)
    np.testing.assert_allclose(energy.hessian(w).toarray(), compiled.hessian(w).toarray(), atol=1e-13)


def test_constant_and_linear_functions_have_zero_derivatives() -> None:
    w = np.ones(3)
    flat = TorchEnergy(lambda w: torch.tensor(2.0, dtype=torch.float64), 3)
    assert flat.value_and_gradient(w)[1].tolist() == [0.0, 0.0, 0.0]
    assert TorchEnergy(lambda w: w.sum(), 3).hvp(w, w).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (2, 3, 4)}, "shape is"),
        ({"shape": 0}, "shape is"),
        ({"fn": 3}, "fn is 3"),
        ({"shape": 19, "graph": GRAPH}, "graph has 20 nodes"),
        ({"couplings": "neighbours"}, "together with graph="),
        ({"couplings": "all", "graph": GRAPH}, "couplings is 'all'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TorchEnergy(**{"fn": torch.sum, "shape": 20} | arguments)


def test_function_must_return_one_number() -> None:
    with pytest.raises(InputError, match=r"fn returned \(20,\)"):
        TorchEnergy(lambda w: w, 20).value(np.zeros(20))
    with pytest.raises(InputError, match="fn returned float"):
        TorchEnergy(lambda w: 1.0, 20).value(np.zeros(20))  # type: ignore[arg-type, return-value]


def test_pickles_where_its_function_does(rng: np.random.Generator) -> None:
    energy = TorchEnergy(bonds, (20, 2), graph=GRAPH, couplings="neighbours")
    state = energy.__getstate__()
    again = TorchEnergy.__new__(TorchEnergy)
    again.__setstate__(state)
    w = energy.initial(rng)
    np.testing.assert_array_equal(again.hessian(w).data, energy.hessian(w).data)
