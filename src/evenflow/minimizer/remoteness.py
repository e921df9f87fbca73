"""Remoteness: how many nodes are far from everything that holds them, a forecast for conjugate gradients.

And whether anything can be far in a graph at all.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.minimizer.linear_algebra import Rows

__all__ = ["is_close_knit", "remoteness"]

_HELD = 0.05  # of a diagonal entry, beyond the couplings of its row: such a node is held by a term of its own
_SAMPLES = 64  # at most; fewer in a small matrix, so that none is looked at often
_NEAR = 200  # nodes looked at around each

_STEPS, _MANY = 12, 20_000  # within so many edges of a node are half of all nodes, or so many, in a close-knit graph

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


@njit(cache=True, nogil=True, error_model="numpy")
def _are_near(indptr: UintArray, indices: UintArray, first: int, steps: int, many: int) -> bool:
    """Whether ``many`` nodes are within so many steps of the first, breadth first."""
    seen = np.zeros(len(indptr) - 1, np.bool_)
    queue = np.empty(many, np.uint32)
    queue[0] = first
    seen[first] = True
    at, end = 0, 1
    for _ in range(steps):
        last = end
        while at < last:
            i = queue[at]
            at += 1
            for k in range(indptr[i], indptr[i + np.uint32(1)]):
                j = indices[k]
                if not seen[j]:
                    if end == many:
                        return True
                    seen[j] = True
                    queue[end] = j
                    end += 1
    return False


def is_close_knit(indptr: UintArray, indices: UintArray) -> bool:
    """Whether half of all nodes are near the middle one, as on a random graph, where news is everywhere soon.

    There the diagonal does even if nothing holds the nodes but each other. Hierarchies in which half of the nodes are
    leaves are the exception: they are slow for all that.

    Parameters
    ----------
    indptr, indices : ndarray of uint32
        Rows of the graph, or of a matrix on it.

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow import gallery
    >>> for spec in ("er:3000", "lattice:50x60"):
    ...     indptr, indices, _ = gallery.from_spec(spec).rows
    ...     is_close_knit(indptr.astype(np.uint32), indices.astype(np.uint32))
    True
    False
    """
    n = len(indptr) - 1
    return bool(_are_near(indptr, indices, n // 2, _STEPS, max(1, min(n // 2, _MANY))))
