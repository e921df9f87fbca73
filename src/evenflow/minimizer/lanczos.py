"""Eigenvalues that conjugate gradients know of: those of the Lanczos matrix which their lengths build."""

from __future__ import annotations

import math

from numba import njit

from evenflow.energy.base import FloatArray

__all__ = ["all_above", "smallest_ritz"]

_scalar = njit(cache=True, nogil=True, error_model="numpy")


@_scalar
def all_above(bound: float, alphas: FloatArray, betas: FloatArray, count: int) -> bool:
    """Whether all eigenvalues of the Lanczos matrix that conjugate gradients have built lie above ``bound``.

    Its entries are T_kk = 1 / a_k + b_{k-1} / a_{k-1}, T_{k,k+1}^2 = b_k / a_k^2; a Sturm count.
    """
    pivot = 1.0 / alphas[0] - bound
    for k in range(1, count):
        if not pivot > 0.0:
            return False
        inverse = 1.0 / alphas[k - 1]
        beta = betas[k - 1] * inverse
        pivot = 1.0 / alphas[k] + beta - bound - beta * inverse / pivot
    return pivot > 0.0


@_scalar
def smallest_ritz(alphas: FloatArray, betas: FloatArray, count: int) -> float:
    """Smallest eigenvalue, to a few per cent, of the Lanczos matrix that conjugate gradients have built: bisection."""
    high = math.inf
    for k in range(count):
        high = min(high, 1.0 / alphas[k] + (betas[k - 1] / alphas[k - 1] if k > 0 else 0.0))
    low = high * 1e-12
    while high > 1.03 * low:
        middle = math.sqrt(low * high)
        if all_above(middle, alphas, betas, count):
            low = middle
        else:
            high = middle
    return low
