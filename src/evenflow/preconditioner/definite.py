"""The definite part of a symmetric matrix."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["definite_part"]


@njit(cache=True, nogil=True)
def definite_part(indptr, indices, data):  # type: ignore[no-untyped-def]
    """Values of the positive semi-definite matrix left when indefinite terms are dropped.

    A = sum of couplings w_ij (e_i - e_j)(e_i - e_j)^T plus a diagonal of row sums. Couplings with w_ij < 0
    (positive off-diagonal entries) and negative row sums are left out; the rest is diagonally dominant.
    """
    out = np.empty(len(data))
    for i in range(len(indptr) - 1):
        potential = 0.0
        coupling = 0.0
        size = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            potential += data[k]
            if indices[k] != i:
                out[k] = min(data[k], 0.0)
                coupling -= out[k]
            size += abs(data[k])
        if potential < 1e-14 * size:  # rounding of a row that sums to zero
            potential = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] == i:
                out[k] = coupling + potential
    return out
