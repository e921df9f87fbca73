"""Passes of PhaseDrift over compressed rows: its fields, the gradient backwards through them, and its derivative.

All are products with E = M + i N, ``E x = z o (A (conj(z) o x))`` with z = exp(i w), M = A o cos Delta and
N = A o sin Delta. Along a direction v, ``(E x)' = i v o E x + E (x' - i v o x)``, one product again. What neighbours
read is kept conjugated, ``u = z o conj(x)``, real and imaginary part side by side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.energy.short_loop import after
from evenflow.energy.sincos import sincos

__all__ = ["FIELDS", "gradient", "tangent", "turn", "variance", "velocity"]

IndexArray = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]  # unsigned: no wrap-around test

_compiled = njit(cache=True, nogil=True, error_model="numpy")
_inlined = njit(cache=True, nogil=True, error_model="numpy", inline="always")  # a call would count references

# Rows of the array of fields: C + i S = E 1; E S; the sensitivities lam of R to F and sigma to S; and, with the
# sensitivities alpha to C and tau to M S, parts of E alpha, E tau and E sigma.
FIELDS = 10
_C, _S, _MS, _NS, _LAM, _SIGMA, _MA, _MT, _NT, _NSIGMA = range(FIELDS)


@_compiled
def turn(w: FloatArray, z: FloatArray) -> None:
    """Write cosines and sines of w side by side to ``z``, shape (n, 2)."""
    cosine, sine = np.empty_like(w), np.empty_like(w)
    sincos(0, len(w), 1.0, w, cosine, sine)
    for i in range(len(w)):
        z[i, 0] = cosine[i]
        z[i, 1] = sine[i]


@_inlined
def _product(
    i: int, indptr: IndexArray, indices: IndexArray, weights: FloatArray, z: FloatArray, u: FloatArray
) -> tuple[float, float]:
    """Row i of E x, for u = z o conj(x)."""
    p, q = 0.0, 0.0
    k, end = indptr[i], indptr[i + np.uint64(1)]
    while k < end:
        j, a = indices[k], weights[k]
        p += a * u[j, 0]
        q += a * u[j, 1]
        k = after(k)
    return z[i, 0] * p + z[i, 1] * q, z[i, 1] * p - z[i, 0] * q


@_inlined
def _two_products(
    i: int, indptr: IndexArray, indices: IndexArray, weights: FloatArray, z: FloatArray, u: FloatArray
) -> tuple[float, float, float, float]:
    """Row i of E x and E y, for u = (z o conj(x), z o conj(y)) of shape (n, 4)."""
    p, q, r, t = 0.0, 0.0, 0.0, 0.0
    k, end = indptr[i], indptr[i + np.uint64(1)]
    while k < end:
        j, a = indices[k], weights[k]
        p += a * u[j, 0]
        q += a * u[j, 1]
        r += a * u[j, 2]
        t += a * u[j, 3]
        k = after(k)
    c, s = z[i, 0], z[i, 1]
    return c * p + s * q, s * p - c * q, c * r + s * t, s * r - c * t


@_inlined
def _put(i: int, u: FloatArray, at: int, z: FloatArray, x: float, y: float) -> None:
    """Write z_i conj(x + i y) to columns ``at`` and ``at + 1`` of row i."""
    u[i, at] = z[i, 0] * x + z[i, 1] * y
    u[i, at + 1] = z[i, 1] * x - z[i, 0] * y


@_compiled
def velocity(
    indptr: IndexArray,
    indices: IndexArray,
    weights: FloatArray,
    couplings: tuple[float, float, float],
    z: FloatArray,
    field: FloatArray,
    F: FloatArray,
) -> float:
    """Write F and the fields it is made of; return the mean of F."""
    c, k1, k2 = couplings
    n = np.uint64(len(z))
    u = np.empty((len(z), 2))
    for i in range(n):
        field[_C, i], field[_S, i] = _product(i, indptr, indices, weights, z, z)
        _put(i, u, 0, z, field[_S, i], 0.0)
    total = 0.0
    for i in range(n):
        field[_MS, i], field[_NS, i] = _product(i, indptr, indices, weights, z, u)
        C, S = field[_C, i], field[_S, i]
        F[i] = c * C - k1 * S - k2 * (C * S - field[_MS, i])
        total += F[i]
    return total / len(z)


@_compiled
def variance(
    indptr: IndexArray,
    indices: IndexArray,
    weights: FloatArray,
    couplings: tuple[float, float, float],
    z: FloatArray,
    field: FloatArray,
    F: FloatArray,
) -> float:
    """Variance of F, which is written with the fields it is made of."""
    mean = velocity(indptr, indices, weights, couplings, z, field, F)
    square = 0.0
    for i in range(len(F)):
        square += (F[i] - mean) * (F[i] - mean)
    return square / len(z)


@_compiled
def gradient(
    indptr: IndexArray,
    indices: IndexArray,
    weights: FloatArray,
    couplings: tuple[float, float, float],
    z: FloatArray,
    field: FloatArray,
    out: FloatArray,
) -> float:
    """Return the variance of F; write its gradient to ``out`` and all fields.

    The gradient of sum_i lam_i F_i is taken backwards through F: alpha, beta and tau are the sensitivities to C, S and
    M S, and sigma = beta + M tau the total one to S.
    """
    c, k1, k2 = couplings
    n, scale = np.uint64(len(z)), 2.0 / len(z)
    mean = velocity(indptr, indices, weights, couplings, z, field, out)
    u, both = np.empty((len(z), 2)), np.empty((len(z), 4))
    square = 0.0
    for i in range(n):
        residual = out[i] - mean
        square += residual * residual
        lam = scale * residual
        field[_LAM, i] = lam
        _put(i, both, 0, z, lam * (c - k2 * field[_S, i]), 0.0)
        _put(i, both, 2, z, k2 * lam, 0.0)
    for i in range(n):
        Ma, Na, Mt, Nt = _two_products(i, indptr, indices, weights, z, both)
        C, S, lam = field[_C, i], field[_S, i], field[_LAM, i]
        sigma = Mt - lam * (k1 + k2 * C)
        field[_MA, i], field[_MT, i], field[_NT, i], field[_SIGMA, i] = Ma, Mt, Nt, sigma
        out[i] = sigma * C - lam * (c - k2 * S) * S - Na - k2 * lam * field[_NS, i] - S * Nt
        _put(i, u, 0, z, sigma, 0.0)
    for i in range(n):
        Msigma, field[_NSIGMA, i] = _product(i, indptr, indices, weights, z, u)
        out[i] -= Msigma
    return square / len(z)


@_compiled
def tangent(
    indptr: IndexArray,
    indices: IndexArray,
    weights: FloatArray,
    couplings: tuple[float, float, float],
    z: FloatArray,
    field: FloatArray,
    v: FloatArray,
    out: FloatArray,
) -> None:
    """Write the derivative along v of what :func:`gradient` computes; ``field`` is as that left it."""
    c, k1, k2 = couplings
    n, scale = np.uint64(len(z)), 2.0 / len(z)
    u, both, d = np.empty((len(z), 2)), np.empty((len(z), 4)), np.empty((len(z), 4))  # d: dC, dS, dNS, dF
    for i in range(n):
        _put(i, u, 0, z, 0.0, -v[i])
    for i in range(n):
        re, im = _product(i, indptr, indices, weights, z, u)
        d[i, 0], d[i, 1] = re - v[i] * field[_S, i], im + v[i] * field[_C, i]
    for i in range(n):
        _put(i, u, 0, z, d[i, 1], -v[i] * field[_S, i])
    total = 0.0
    for i in range(n):
        re, im = _product(i, indptr, indices, weights, z, u)
        dC, dS, dMS = d[i, 0], d[i, 1], re - v[i] * field[_NS, i]
        d[i, 2] = im + v[i] * field[_MS, i]
        d[i, 3] = c * dC - k1 * dS - k2 * (dC * field[_S, i] + field[_C, i] * dS - dMS)
        total += d[i, 3]
    mean = total / len(z)
    for i in range(n):
        S, lam, dlam = field[_S, i], field[_LAM, i], scale * (d[i, 3] - mean)
        d[i, 3] = dlam
        _put(i, both, 0, z, dlam * (c - k2 * S) - k2 * lam * d[i, 1], -v[i] * lam * (c - k2 * S))
        _put(i, both, 2, z, k2 * dlam, -v[i] * k2 * lam)
    for i in range(n):
        _, dNa, dMt, dNt = _two_products(i, indptr, indices, weights, z, both)
        C, S, lam, sigma = field[_C, i], field[_S, i], field[_LAM, i], field[_SIGMA, i]
        dC, dS, dNS, dlam = d[i, 0], d[i, 1], d[i, 2], d[i, 3]
        dNa += v[i] * field[_MA, i]
        dMt -= v[i] * field[_NT, i]
        dNt += v[i] * field[_MT, i]
        dalpha = dlam * (c - k2 * S) - k2 * lam * dS
        dsigma = dMt - dlam * (k1 + k2 * C) - k2 * lam * dC
        back = dsigma * C + sigma * dC - dalpha * S - lam * (c - k2 * S) * dS - dNa
        out[i] = back - k2 * (dlam * field[_NS, i] + lam * dNS) - dS * field[_NT, i] - S * dNt
        _put(i, u, 0, z, dsigma, -v[i] * sigma)
    for i in range(n):
        dMsigma, _ = _product(i, indptr, indices, weights, z, u)
        out[i] -= dMsigma - v[i] * field[_NSIGMA, i]
