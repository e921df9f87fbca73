"""Fused vector kernels of the minimizers: one call and one pass over memory where numpy needs several.

Long dense loops may be reassociated by the compiler (one machine, one order: results repeat bit for bit);
the short loops over CSR rows may not, because that makes them slower.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray

__all__ = [
    "cg_direction",
    "change_products",
    "dot",
    "extract_diagonal",
    "invert_entries",
    "is_diagonally_dominant",
    "lbfgs_direction",
    "move",
    "relative_change",
    "slopes",
    "spmv_dot",
    "store_pair",
]

IntArray = npt.NDArray[np.int64] | npt.NDArray[np.int32]

_REORDER = {"reassoc", "contract", "nsz"}
_BLOCK = 512
"""Entries handled at once by kernels that read many vectors: the shared ones then stay in the first-level cache."""

_dense = njit(cache=True, nogil=True, fastmath=_REORDER, error_model="numpy")
_sparse = njit(cache=True, nogil=True, error_model="numpy")


@_dense
def dot(x: FloatArray, y: FloatArray) -> float:
    """Return x . y."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@_dense
def move(x: FloatArray, d: FloatArray, step: float, out: FloatArray) -> None:
    """Write x + step d to ``out``."""
    for i in range(x.size):
        out[i] = x[i] + step * d[i]


@_dense
def slopes(g: FloatArray, d: FloatArray) -> tuple[float, float]:
    """Return (g . d, g . g) in one pass; either is not finite if an entry of g is not."""
    along = 0.0
    square = 0.0
    for i in range(g.size):
        along += g[i] * d[i]
        square += g[i] * g[i]
    return along, square


@_dense
def store_pair(
    d: FloatArray,
    step: float,
    g_new: FloatArray,
    g_old: FloatArray,
    z_new: FloatArray,
    z_old: FloatArray,
    s: FloatArray,
    y: FloatArray,
    z: FloatArray,
) -> tuple[float, float, float, float]:
    """Write s = step d, y = g_new - g_old, z = z_new - z_old; return (s . y, s . s, y . y, y . z).

    ``z`` may be ``y`` itself when there is no preconditioner (then ``z_new``, ``z_old`` are the gradients).
    """
    sy = 0.0
    ss = 0.0
    yy = 0.0
    yz = 0.0
    for i in range(d.size):
        a = step * d[i]
        b = g_new[i] - g_old[i]
        c = z_new[i] - z_old[i]
        s[i] = a
        y[i] = b
        z[i] = c
        sy += a * b
        ss += a * a
        yy += b * b
        yz += b * c
    return sy, ss, yy, yz


@_dense
def change_products(
    g: FloatArray, g_old: FloatArray, z: FloatArray, z_old: FloatArray, d: FloatArray
) -> tuple[float, float, float, float]:
    """With y = g - g_old: return (d . y, y . z, y . (z - z_old), d . g)."""
    dy = 0.0
    yz = 0.0
    ypy = 0.0
    dg = 0.0
    for i in range(g.size):
        y = g[i] - g_old[i]
        dy += d[i] * y
        yz += y * z[i]
        ypy += y * (z[i] - z_old[i])
        dg += d[i] * g[i]
    return dy, yz, ypy, dg


@_dense
def _inner_products(
    S: FloatArray,
    Z: FloatArray,
    g: FloatArray,
    y: FloatArray,
    order: IntArray,
    sg: FloatArray,
    zg: FloatArray,
    sy: FloatArray,
    zy: FloatArray,
) -> None:
    """Inner products of the rows ``order`` of S and Z with g and with y, reading every row once."""
    n = g.size
    for k in order:
        sg[k] = 0.0
        zg[k] = 0.0
        sy[k] = 0.0
        zy[k] = 0.0
    for low in range(0, n, _BLOCK):
        high = min(low + _BLOCK, n)
        gb = g[low:high]
        yb = y[low:high]
        for k in order:
            sb = S[k, low:high]
            zb = Z[k, low:high]
            a = 0.0
            b = 0.0
            c = 0.0
            e = 0.0
            for i in range(high - low):
                a += sb[i] * gb[i]
                b += zb[i] * gb[i]
                c += sb[i] * yb[i]
                e += zb[i] * yb[i]
            sg[k] += a
            zg[k] += b
            sy[k] += c
            zy[k] += e


@_dense
def _combine(
    S: FloatArray,
    Z: FloatArray,
    pg: FloatArray,
    g: FloatArray,
    order: IntArray,
    cs: FloatArray,
    cz: FloatArray,
    gamma: float,
    out: FloatArray,
) -> float:
    """Write -(gamma pg + sum_k cs_k S_k + cz_k Z_k) to ``out``; return g . out."""
    n = pg.size
    slope = 0.0
    for low in range(0, n, _BLOCK):
        high = min(low + _BLOCK, n)
        ob = out[low:high]
        pb = pg[low:high]
        gb = g[low:high]
        for i in range(high - low):
            ob[i] = -gamma * pb[i]
        for k in order:
            sb = S[k, low:high]
            zb = Z[k, low:high]
            a = cs[k]
            b = cz[k]
            for i in range(high - low):
                ob[i] -= a * sb[i] + b * zb[i]
        for i in range(high - low):
            slope += gb[i] * ob[i]
    return slope


@_dense
def lbfgs_direction(
    S: FloatArray,
    Y: FloatArray,
    Z: FloatArray,
    g: FloatArray,
    pg: FloatArray,
    sy: FloatArray,
    zy: FloatArray,
    newest: int,
    count: int,
    gamma: float,
    out: FloatArray,
) -> float:
    """L-BFGS direction by the two-loop recursion on inner products; returns its slope.

    The recursion runs on the coefficients of the direction in the basis {s_k, z_k, P^-1 g}, for which only
    inner products are needed: every vector is read twice and written never. The column of the newest pair in
    ``sy[i, j] = s_i . y_j`` and ``zy[i, j] = z_i . y_j`` is filled in here.
    """
    m = S.shape[0]
    order = np.empty(count, dtype=np.int64)
    for j in range(count):
        order[j] = (newest - count + 1 + j + m) % m
    sg = np.empty(m)
    zg = np.empty(m)
    new_sy = np.empty(m)
    new_zy = np.empty(m)
    alpha = np.empty(m)
    cs = np.empty(m)
    cz = np.empty(m)
    if count > 0:
        _inner_products(S, Z, g, Y[newest], order, sg, zg, new_sy, new_zy)
        for k in order:
            sy[k, newest] = new_sy[k]
            zy[k, newest] = new_zy[k]
            zy[newest, k] = new_zy[k]
    for j in range(count - 1, -1, -1):
        k = order[j]
        a = sg[k]
        for i in range(j + 1, count):
            a -= alpha[order[i]] * sy[k, order[i]]
        alpha[k] = a / sy[k, k]
        cz[k] = -gamma * alpha[k]
    for j in range(count):
        k = order[j]
        b = gamma * zg[k]
        for i in range(count):
            b += cz[order[i]] * zy[order[i], k]
        for i in range(j):
            b += cs[order[i]] * sy[order[i], k]
        cs[k] = alpha[k] - b / sy[k, k]
    return _combine(S, Z, pg, g, order, cs, cz, gamma, out)


@_sparse
def spmv_dot(indptr: IntArray, indices: IntArray, data: FloatArray, d: FloatArray, out: FloatArray) -> float:
    """Write A d to ``out`` and return d . A d."""
    total = 0.0
    for i in range(d.size):
        row = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            row += data[k] * d[indices[k]]
        out[i] = row
        total += row * d[i]
    return total


@_dense
def cg_direction(z: FloatArray, beta: float, d: FloatArray) -> None:
    """Overwrite d with -z + beta d."""
    for i in range(d.size):
        d[i] = beta * d[i] - z[i]


@_sparse
def extract_diagonal(indptr: IntArray, indices: IntArray, data: FloatArray, out: FloatArray) -> None:
    """Write the entries a_ii."""
    for i in range(out.size):
        a = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] == i:
                a += data[k]
        out[i] = a


@_dense
def relative_change(new: FloatArray, old: FloatArray) -> float:
    """Return sum |new - old| / sum |old|."""
    change = 0.0
    size = 0.0
    for i in range(old.size):
        change += abs(new[i] - old[i])
        size += abs(old[i])
    return change / size if size > 0.0 else np.inf


@_dense
def invert_entries(a: FloatArray, out: FloatArray) -> None:
    """Write 1 / |a_i|, with the mean of the others in place of an entry that is zero."""
    total = 0.0
    for i in range(a.size):
        total += abs(a[i])
    mean = total / a.size if total > 0.0 else 1.0
    for i in range(a.size):
        b = abs(a[i])
        out[i] = 1.0 / (b if b > 1e-8 * mean else mean)


@_sparse
def is_diagonally_dominant(indptr: IntArray, indices: IntArray, data: FloatArray) -> bool:
    """Whether every a_ii is at least the sum of |a_ij| to round-off: a symmetric matrix is then semi-definite."""
    for i in range(indptr.size - 1):
        centre = 0.0
        around = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] == i:
                centre += data[k]
            else:
                around += abs(data[k])
        if not centre >= around * (1.0 - 1e-12):
            return False
    return True
