"""Ties: how many nodes move with one neighbour, another forecast for conjugate gradients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.minimizer.linear_algebra import Rows

__all__ = ["tied_share"]

_TIED = 0.2  # of what two nodes have on the diagonal, left when they move together: they do
_SAMPLES = 256  # at most

UintArray = npt.NDArray[np.uint32]


@njit(cache=True, nogil=True, error_model="numpy")
def _count_tied(indptr: UintArray, indices: UintArray, data: FloatArray, samples: int) -> int:
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


def tied_share(rows: Rows, data: FloatArray) -> float:
    """Share of the nodes that are tied to a neighbour, from a sample.

    Two nodes whose coupling makes nearly all of what they have on the diagonal are slow to move together when each is
    preconditioned by its own entry: the Rayleigh quotient of that move is what is left, beside the diagonal. Where
    couplings span decades this is so at many scales.

    Parameters
    ----------
    rows : Rows
        Pattern of a symmetric matrix.
    data : ndarray
        Its values.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from evenflow.minimizer.linear_algebra import Rows
    >>> pair = np.array([[1.1, -1.0], [-1.0, 1.1]])
    >>> loose = np.array([[2.0, -1.0], [-1.0, 2.0]])
    >>> [tied_share(Rows(matrix), matrix.data) for matrix in (sp.csr_array(pair), sp.csr_array(loose))]
    [1.0, 0.0]
    """
    n = len(rows.indptr) - 1
    samples = min(n, _SAMPLES)
    return int(_count_tied(rows.indptr, rows.indices, data, samples)) / max(samples, 1)
