"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
settings.register_profile("evenflow", deadline=None)  # a first call may import or compile
settings.load_profile("evenflow")

DATA = Path(os.environ.get("EVENFLOW_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real data; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real data: set EVENFLOW_DATA to the folder (looked in {DATA})")
    return DATA
