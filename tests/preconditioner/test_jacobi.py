"""Jacobi."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from conformance.preconditioner import PreconditionerConformance
from evenflow.errors import InputError
from evenflow.preconditioner import Breakdown, Jacobi


class TestJacobi(PreconditionerConformance):
    rebuilds = True
    iterations = 400

    def make(self, **options: Any) -> Jacobi:
        return Jacobi(**options)


def test_negative_and_tiny_entries() -> None:
    p = Jacobi(floor=1e-3)
    p.refresh(sp.csr_array(np.diag([-2.0, 1e-9, 4.0])))
    np.testing.assert_allclose(p.apply(np.ones(3)), [0.5, 250.0, 0.25])
    assert "1 entries raised" in str(p)


def test_zero_diagonal_breaks_down() -> None:
    with pytest.raises(Breakdown, match="zero"):
        Jacobi().refresh(sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]])))


def test_floor_is_checked() -> None:
    with pytest.raises(InputError, match=r"floor=0"):
        Jacobi(floor=0)
