"""The L-BFGS recursion in one call: the new pair, its inner products, and the next direction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray

__all__ = ["advance"]

_BLOCK = 512
"""Entries of all vectors handled at once: what every pair is multiplied with then stays in the first-level cache."""
_FLAT = 1e-14  # smallest cosine between s and y that is not taken for round-off

_dense = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


# A loop either writes or sums, never both: whether a loop that writes is vectorised is decided at run time, by where
# the arrays happen to lie in memory, and a vectorised sum rounds differently.


@_dense
def _scale(length: float, d: FloatArray, out: FloatArray) -> None:
    """Write length d."""
    for i in range(d.size):
        out[i] = length * d[i]


@_dense
def _own_products(s: FloatArray, y: FloatArray, products: FloatArray) -> None:
    """Add s . y, s . s and y . y to ``products``."""
    sy = 0.0
    ss = 0.0
    yy = 0.0
    for i in range(s.size):
        sy += s[i] * y[i]
        ss += s[i] * s[i]
        yy += y[i] * y[i]
    products[0] += sy
    products[1] += ss
    products[2] += yy


@_dense
def _difference(a: FloatArray, b: FloatArray, out: FloatArray) -> None:
    """Write a - b."""
    for i in range(a.size):
        out[i] = a[i] - b[i]


@_dense
def _four_products(s: FloatArray, z: FloatArray, g: FloatArray, y: FloatArray, k: int, table: FloatArray) -> None:
    """Add s . g, z . g, s . y and z . y to row k of the table."""
    a = 0.0
    b = 0.0
    c = 0.0
    e = 0.0
    for i in range(g.size):
        a += s[i] * g[i]
        b += z[i] * g[i]
        c += s[i] * y[i]
        e += z[i] * y[i]
    table[k, 0] += a
    table[k, 1] += b
    table[k, 2] += c
    table[k, 3] += e


@_dense
def _subtract_two(a: float, s: FloatArray, b: float, z: FloatArray, out: FloatArray) -> None:
    """Subtract a s + b z from ``out``."""
    for i in range(out.size):
        out[i] -= a * s[i] + b * z[i]


@_dense
def _dot(a: FloatArray, b: FloatArray) -> float:
    """Return a . b."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@_dense
def _coefficients(
    table: FloatArray,
    sy: FloatArray,
    zy: FloatArray,
    order: npt.NDArray[np.int64],
    gamma: float,
    cs: FloatArray,
    cz: FloatArray,
) -> None:
    """Two-loop recursion for the coefficients of -direction in the basis {s_k, z_k, P^-1 g}."""
    count = order.size
    for j in range(count - 1, -1, -1):
        k = order[j]
        a = table[k, 0]
        for i in range(j + 1, count):
            a += cz[order[i]] * sy[k, order[i]]
        cz[k] = -a / sy[k, k]  # minus alpha
    for j in range(count):
        k = order[j]
        b = table[k, 1]
        for i in range(count):
            b += cz[order[i]] * zy[order[i], k]
        b *= gamma
        for i in range(j):
            b += cs[order[i]] * sy[order[i], k]
        cs[k] = -cz[k] - b / sy[k, k]
    for k in order:
        cz[k] *= gamma


@_dense
def advance(
    pairs: FloatArray,
    gram: FloatArray,
    d: FloatArray,
    length: float,
    g: FloatArray,
    g_old: FloatArray,
    pg: FloatArray,
    pg_old: FloatArray,
    newest: int,
    count: int,
    gamma: float,
) -> tuple[float, float, int, int]:
    """Store the pair of the step ``length d`` and overwrite d with the next direction.

    The two-loop recursion runs on the coefficients of the direction in the basis {s_k, z_k, P^-1 g}, for which
    only inner products are needed: every pair is read twice and written once. A pair without positive curvature
    is not kept.

    Parameters
    ----------
    pairs : ndarray, shape (2, m, n) or (3, m, n)
        Rings of s, of y and, where something is preconditioned, of z = P^-1 y.
    gram : ndarray, shape (2, m, m)
        s_i . y_j for i not newer than j, and z_i . y_j.
    d : ndarray, shape (n,)
    length : float
    g, g_old, pg, pg_old : ndarray, shape (n,)
        Gradients after and before the step, and P^-1 times them.
    newest, count : int
        Row of the newest pair, number of pairs.
    gamma : float
        Scale of the initial inverse Hessian.

    Returns
    -------
    slope : float
        g . d.
    gamma : float
    newest, count : int
    """
    S, Y, Z = pairs[0], pairs[1], pairs[-1]
    sy, zy = gram[0], gram[1]
    m, n = S.shape
    slot = (newest + 1) % m
    older = min(count, m - 1)
    order = np.empty(older + 1, dtype=np.int64)
    for j in range(older):
        order[j] = (newest - older + 1 + j + m) % m
    order[older] = slot
    table = np.zeros((m, 4))
    products = np.zeros(3)
    for low in range(0, n, _BLOCK):
        high = min(low + _BLOCK, n)
        gb = g[low:high]
        yb = Y[slot, low:high]
        sb = S[slot, low:high]
        _scale(length, d[low:high], sb)
        _difference(gb, g_old[low:high], yb)
        _own_products(sb, yb, products)
        if pairs.shape[0] == 3:
            _difference(pg[low:high], pg_old[low:high], Z[slot, low:high])
        for k in order:
            _four_products(S[k, low:high], Z[k, low:high], gb, yb, k, table)
    if products[0] > _FLAT * np.sqrt(products[1] * products[2]) and table[slot, 3] > 0.0:
        newest = slot
        gamma = products[0] / table[slot, 3]
        for k in order:
            sy[k, slot] = table[k, 2]
            zy[k, slot] = table[k, 3]
            zy[slot, k] = table[k, 3]
    else:
        order = order[:older]
    cs = np.empty(m)
    cz = np.empty(m)
    _coefficients(table, sy, zy, order, gamma, cs, cz)
    slope = 0.0
    for low in range(0, n, _BLOCK):
        high = min(low + _BLOCK, n)
        db = d[low:high]
        _scale(-gamma, pg[low:high], db)
        for k in order:
            _subtract_two(cs[k], S[k, low:high], cz[k], Z[k, low:high], db)
        slope += _dot(g[low:high], db)
    return slope, gamma, newest, order.size
