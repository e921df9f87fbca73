"""Ties: how many nodes move with one neighbour, a sign that couplings span decades."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray

__all__ = ["count_tied", "spans_decades"]

_TIED = 0.2  # of what two nodes have on the diagonal, left when they move together: they do
_SAMPLES = 256  # at most
_MANY = 0.15  # of the nodes

UintArray = npt.NDArray[np.uint32]


@njit(cache=True, nogil=True, error_model="numpy")
def count_tied(indptr: UintArray, indices: UintArray, data: FloatArray, samples: int) -> int:
    """How many of the sampled nodes are tied to the neighbour of their strongest coupling."""
    one = np.uint32(1)
    n = len(indptr) - 1
    tied = 0
    for s in range(samples):
        i = np.uint32(s * n // samples)
        own = 0.0
        strongest = 0.0
        partner = i
        for k in range(indptr[i], indptr[i + one]):
            if indices[k] == i:
                own += data[k]
            elif -data[k] > strongest:
                strongest = -data[k]
                partner = indices[k]
        if 2.0 * strongest < (1.0 - _TIED) * own or partner == i:
            continue
        both = own
        for k in range(indptr[partner], indptr[partner + one]):
            if indices[k] == partner:
                both += data[k]
        tied += both - 2.0 * strongest <= _TIED * both
    return tied


def spans_decades(indptr: UintArray, indices: UintArray, data: FloatArray) -> bool:
    """Whether the couplings of a matrix span so many decades that many nodes are tied to a neighbour, from a sample.

    Two nodes whose coupling makes nearly all of what they have on the diagonal are slow to move together when each is
    preconditioned by its own entry: the Rayleigh quotient of that move is what is left, beside the diagonal. Where
    couplings span decades this is so at many scales.

    Parameters
    ----------
    indptr, indices : ndarray of uint32
    data : ndarray
        Rows of a symmetric matrix.

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> for diagonal in (1.1, 2.0):
    ...     pair = sp.csr_array([[diagonal, -1.0], [-1.0, diagonal]])
    ...     spans_decades(pair.indptr.astype(np.uint32), pair.indices.astype(np.uint32), pair.data)
    True
    False
    """
    samples = min(len(indptr) - 1, _SAMPLES)
    return bool(count_tied(indptr, indices, data, samples) > _MANY * samples)
