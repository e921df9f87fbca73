from __future__ import annotations

import numpy as np
import pytest

from evenflow import gallery
from evenflow.energy import Energy, HeatDiffusion, Kuramoto, TorchEnergy, check_energy
from evenflow.energy.base import FloatArray
from evenflow.errors import InputError

GRAPH = gallery.lattice(4, 5)


class WrongGradient(Kuramoto):
    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        value, gradient = super().value_and_gradient(w, out)
        gradient *= 1.001
        return value, gradient


class WrongProduct(Kuramoto):
    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        return super().hvp(w, v) * 1.001


@pytest.mark.parametrize("energy", [Kuramoto(GRAPH), HeatDiffusion.random_baths(GRAPH)])
def test_right_derivatives_pass(energy: Energy) -> None:
    found = check_energy(energy)
    assert found
    assert found.gradient_order == pytest.approx(2.0, abs=0.2)
    assert "FAIL" not in str(found)


def test_wrong_derivatives_are_found() -> None:
    gradient, product = check_energy(WrongGradient(GRAPH)), check_energy(WrongProduct(GRAPH))
    assert not gradient
    assert gradient.gradient_order < 1.5
    assert not product
    assert product.hvp_order < 1.5
    assert "FAIL  hvp fits gradient" in str(product)


def test_false_promise_of_couplings_is_found() -> None:
    energy = TorchEnergy(lambda w: w.sum() ** 2, 20, graph=GRAPH, couplings="neighbours")
    assert "FAIL  hessian fits hvp" in str(check_energy(energy))


def test_non_finite_point_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        check_energy(Kuramoto(GRAPH), np.full(20, np.nan))
