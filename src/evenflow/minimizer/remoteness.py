"""Remoteness: how many nodes are far from everything that holds them, a forecast for conjugate gradients."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.minimizer.linear_algebra import Rows

__all__ = ["remoteness"]

_HELD = 0.05  # of a diagonal entry, beyond the couplings of its row: such a node is held by a term of its own
_SAMPLES = 64  # at most; fewer in a small matrix, so that none is looked at often
_NEAR = 200  # nodes looked at around each

UintArray = npt.NDArray[np.uint32]


@njit(cache=True, nogil=True, error_model="numpy")
def _count_remote(indptr: UintArray, indices: UintArray, data: FloatArray, count: int, enough: float) -> int:
    """Breadth first from ``count`` nodes to the first held one, until it is sure if more than ``enough`` find none.

    Returns how many found none; -1 where the matrix is not diagonally dominant.
    """
    n = len(indptr) - 1
    seen = np.zeros(n, np.uint32)
    queue = np.empty(_NEAR, np.uint32)
    remote = 0
    for s in range(count):
        stamp = np.uint32(s + 1)
        start = np.uint32(s * max(n - 1, 0) // max(count - 1, 1))
        queue[0] = start
        seen[start] = stamp
        at = 0
        end = 1
        while at < end:
            i = queue[at]
            at += 1
            centre = 0.0
            around = 0.0
            for k in range(indptr[i], indptr[i + np.uint32(1)]):
                j = indices[k]
                if j == i:
                    centre += data[k]
                    continue
                around += abs(data[k])
                if end < _NEAR and seen[j] != stamp and data[k] != 0.0:
                    seen[j] = stamp
                    queue[end] = j
                    end += 1
            if centre < around * (1.0 - 1e-12):
                return -1
            if centre - around > _HELD * centre:
                break
        else:
            remote += 1
        if remote > enough or remote + count - 1 - s <= enough:
            break
    return remote


def remoteness(rows: Rows, data: FloatArray, enough: float = math.nan) -> float:
    """Share of the nodes that have no node held by a term of its own among the 200 nearest, from a sample.

    Conjugate gradients with the diagonal carry news one edge an iteration. Where most nodes are remote they take
    hundreds of iterations; where few are, some tens.

    Parameters
    ----------
    rows : Rows
        Pattern of a symmetric matrix.
    data : ndarray
        Its values.
    enough : float
        The share that matters, if one does: no more of the sample is looked at than tells whether it is exceeded.

    Returns
    -------
    float
        In [0, 1]; 0.0 where the matrix is seen not to be diagonally dominant, of which nothing can be foretold so.
    """
    n = len(rows.indptr) - 1
    count = min(n // _NEAR + 1, _SAMPLES)
    return max(int(_count_remote(rows.indptr, rows.indices, data, count, enough * count)), 0) / count
