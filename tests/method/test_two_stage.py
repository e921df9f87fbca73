"""The two-stage scheme ends where an independent Newton solve from SciPy ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

import evenflow as ef

HEAT = ["lattice:50x50", "triangular:75x75", "sbm:10x250", "rgg:2500", "lattice:14x14x14", "bunny.ply"]


def newton(energy: ef.BaseEnergy, start: np.ndarray) -> float:
    """Minimum that SciPy's trust-region Newton finds from a start."""
    found = scipy_minimize(
        lambda w: energy.value(w.reshape(energy.shape)),
        start.ravel(),
        jac=lambda w: energy.gradient(w.reshape(energy.shape)).ravel(),
        hessp=lambda w, v: energy.hvp(w.reshape(energy.shape), v.reshape(energy.shape)).ravel(),
        method="trust-ncg",
        options={"gtol": 1e-6, "maxiter": 3000},
    )
    return float(found.fun)


@pytest.mark.parametrize("spec", HEAT)
def test_heat(spec: str, request: pytest.FixtureRequest) -> None:
    if spec.endswith(".ply"):
        folder: Path = request.getfixturevalue("data")
        spec = str(folder / spec)
    energy = ef.HeatDiffusion.from_graph(ef.read_graph(spec))
    result = ef.minimize(energy, method="gcn", seed=0)
    lowest = newton(energy, np.full(energy.shape, 5.0))  # convex: any start will do
    assert abs(result.energy - lowest) <= 1e-6 * abs(lowest)


@pytest.mark.parametrize("spec", ["lattice:50x50", "ring:625", "tree:2x8"])
def test_kuramoto_is_synchronised(spec: str) -> None:
    energy = ef.Kuramoto(ef.read_graph(spec))
    result = ef.minimize(energy, method="gcn", seed=0)
    lowest = newton(energy, result.w)
    assert abs(result.energy - lowest) <= 1e-6 * abs(lowest)
    assert lowest == pytest.approx(-2.0 * energy.graph.n_edges, rel=1e-9)
    assert result.report["order_parameter"] > 0.999


@pytest.mark.parametrize("loss", ["paper", "potential", "drift"])
def test_hopf_kuramoto_ends_in_a_minimum(loss: str) -> None:
    energy = ef.HopfKuramoto(ef.gallery.lattice(16, 16, periodic=True), s1=1.0, s2=1.0, loss=loss)
    result = ef.minimize(energy, method="gcn", seed=0)
    scale = max(abs(energy.value(energy.initial(np.random.default_rng(0)))), abs(result.energy))
    assert result.energy - newton(energy, result.w) <= 1e-6 * scale
    bound = energy.reference()
    assert bound is not None
    assert result.energy >= bound - 1e-9 * scale
