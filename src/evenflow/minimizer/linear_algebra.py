"""Fused vector kernels of the minimizers: one call and one pass over memory where numpy needs several.

Long dense loops may be reassociated by the compiler (one machine, one order: results repeat bit for bit);
the short loops over CSR rows may not, because that makes them slower.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.energy.locality import AHEAD, is_scattered
from evenflow.energy.prefetch import prefetch
from evenflow.energy.row_order import sort_rows
from evenflow.energy.short_loop import after
from evenflow.minimizer.uniform_rows import NOT_UNIFORM, UniformRows, columns_in_turn, common_coupling

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = [
    "Rows",
    "cg_direction",
    "change_products",
    "dot",
    "invert_entries",
    "is_diagonally_dominant",
    "move",
    "relative_change",
    "slopes",
    "spmv_dot",
]

IntArray = npt.NDArray[Any]

_REORDER = {"reassoc", "contract", "nsz"}
_dense = njit(cache=True, nogil=True, fastmath=_REORDER, error_model="numpy")
_sparse = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


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
def cg_direction(z: FloatArray, beta: float, d: FloatArray) -> None:
    """Overwrite d with -z + beta d."""
    for i in range(d.size):
        d[i] = beta * d[i] - z[i]


@_sparse
def spmv_dot(
    indptr: IntArray, indices: IntArray, data: FloatArray, scattered: bool, d: FloatArray, out: FloatArray
) -> float:
    """Write A d to ``out`` and return d . A d; where rows are ``scattered``, entries of d are asked for ahead."""
    total = 0.0
    one = np.uint64(1)
    last = np.uint64(indices.size) - one
    k = np.uint64(indptr[0])
    for i in range(np.uint64(d.size)):
        high = indptr[i + one]
        row = 0.0
        while k < high:
            if scattered:
                prefetch(d, indices[min(k + np.uint64(AHEAD), last)])
            row += data[k] * d[indices[k]]
            k = after(k)
        out[i] = row
        total += row * d[i]
    return total


@_sparse
def _find_diagonal(indptr: IntArray, indices: IntArray, out: IntArray) -> None:
    """Positions of the diagonal entries; the number of entries where one is missing."""
    for i in range(out.size):
        out[i] = indices.size
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] == i:
                out[i] = k
                break


@_sparse
def _take_diagonal(positions: IntArray, data: FloatArray, out: FloatArray) -> None:
    """Gather the diagonal entries."""
    for i in range(out.size):
        out[i] = data[positions[i]] if positions[i] < data.size else 0.0


@_sparse
def _put_diagonal(positions: IntArray, diagonal: FloatArray, data: FloatArray) -> None:
    """Scatter the diagonal entries that are stored."""
    for i in range(diagonal.size):
        if positions[i] < data.size:
            data[positions[i]] = diagonal[i]


@_sparse
def _dominating_diagonal(indptr: IntArray, data: FloatArray, diagonal: FloatArray) -> None:
    """Replace a_ii by its size, raised to half the sum of the sizes in the row, itself included."""
    one = np.uint64(1)
    k = np.uint64(0)
    for i in range(np.uint64(diagonal.size)):
        total = 0.0
        end = indptr[i + one]
        while k < end:
            total += abs(data[k])
            k = after(k)
        diagonal[i] = max(abs(diagonal[i]), 0.5 * total)


def _unsigned(a: IntArray) -> IntArray:
    """The same indices, seen as unsigned numbers."""
    return np.ascontiguousarray(a).view(np.uint32 if a.itemsize == 4 else np.uint64)


class Rows:
    """Pattern of a compressed-row matrix as the kernels want it.

    Indices are unsigned, which spares the compiled loops the test for negative ones, and as narrow as can be.

    Attributes
    ----------
    indptr, indices : ndarray of uint32 (uint64 for more than 2^31 entries)
        Views of those of the matrix.
    scattered : bool
        Whether products ask for entries of a vector ahead of their turn.
    diagonal : ndarray of int64, shape (n,)
        Where the entries a_ii are stored; the number of entries where one is missing.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        self._indices_of = matrix.indices
        self.indptr, self.indices = _unsigned(matrix.indptr), _unsigned(matrix.indices)
        self.scattered = is_scattered(self.indptr, self.indices, 8)
        self.diagonal = np.empty(matrix.shape[0], dtype=np.int64)
        _find_diagonal(self.indptr, self.indices, self.diagonal)
        self._sorted: tuple[IntArray, IntArray, IntArray] | None = None

    @classmethod
    def of(cls, matrix: sp.csr_array, last: Rows | None) -> Rows:
        """Those of ``matrix``: the last ones again if its arrays of indices are the same objects."""
        return last if last is not None and last._indices_of is matrix.indices else cls(matrix)

    def take_diagonal(self, data: FloatArray, out: FloatArray) -> None:
        """Write the entries a_ii, zero where there is none."""
        _take_diagonal(self.diagonal, data, out)

    def put_diagonal(self, data: FloatArray, diagonal: FloatArray) -> None:
        """Overwrite the entries a_ii that are stored."""
        _put_diagonal(self.diagonal, diagonal, data)

    def dominate(self, data: FloatArray, diagonal: FloatArray) -> None:
        """Replace a_ii in ``diagonal`` by its size, raised to half the sum of the sizes in the row.

        Twice the result dominates the matrix, whatever its signs; for a diagonally dominant one nothing changes.
        """
        _dominating_diagonal(self.indptr, data, diagonal)

    def uniform(self, data: FloatArray) -> UniformRows:
        """The matrix as :mod:`~evenflow.minimizer.uniform_rows` takes it; costs two or three products.

        ``NOT_UNIFORM`` where its couplings differ.
        """
        coupling = float(common_coupling(data, self.diagonal))
        if math.isnan(coupling):
            return NOT_UNIFORM
        if self._sorted is None and self.scattered:
            self._sorted = NOT_UNIFORM[:3]
        elif self._sorted is None:
            order, groups = sort_rows(self.indptr)
            self._sorted = order, groups, columns_in_turn(self.indptr, self.indices, order)
        diagonal = np.empty(len(self.diagonal))
        self.take_diagonal(data, diagonal)
        return (*self._sorted, coupling, diagonal)

    def product(self, data: FloatArray, d: FloatArray, out: FloatArray) -> float:
        """Write A d to ``out``; return d . A d."""
        return float(spmv_dot(self.indptr, self.indices, data, self.scattered, d, out))


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
