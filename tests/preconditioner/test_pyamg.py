"""PyAMG."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from conformance.preconditioner import PreconditionerConformance
from evenflow.errors import InputError
from evenflow.preconditioner import Breakdown, PyAMG


class TestPyAMG(PreconditionerConformance):
    rebuilds = True
    iterations = 400

    def make(self, **options: Any) -> PyAMG:
        return PyAMG(**options)


def test_diagonal_must_be_positive() -> None:
    with pytest.raises(Breakdown, match="1 negative"):
        PyAMG().refresh(sp.csr_array(np.diag([1.0, -1.0])))


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="solver='ruge'"):
        PyAMG(solver="ruge")
    with pytest.raises(InputError, match="block=0"):
        PyAMG(block=0)
    with pytest.raises(InputError, match="never refreshed"):
        PyAMG().apply(np.ones(2))
