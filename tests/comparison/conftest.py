"""A small heat problem shared by the comparison tests."""

from __future__ import annotations

import pytest

from evenflow import gallery
from evenflow.energy.heat import HeatDiffusion
from evenflow.front import minimize


@pytest.fixture(scope="session")
def heat() -> HeatDiffusion:
    return HeatDiffusion.random_baths(gallery.lattice(8, 8), seed=1)


@pytest.fixture(scope="session")
def minimum(heat: HeatDiffusion) -> float:
    return minimize(heat, method="newton-cg", tolerance=1e-13).energy
