"""Locality: where states do not fit in the cache, those of far neighbours are asked for ahead of their turn.

A processor waits for a state that is neither in its cache nor near the last one. On a random graph of a million nodes
that is most of the time of a pass; asked for in time, they come while others are worked on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["AHEAD", "is_scattered"]

AHEAD = 128  # slots between asking for a state and its turn
_CACHE = 4 << 20  # bytes of states that a processor is taken to hold
_NEAR = 1 << 15  # nodes within which states are near each other in memory
_SAMPLES = 4_096
_MANY = 0.05  # of the slots lead farther

IntArray = npt.NDArray[Any]


def is_scattered(indptr: IntArray, indices: IntArray, bytes_each: int) -> bool:
    """Whether the states of the nodes outgrow the cache and many neighbours are far from each other, from a sample.

    Parameters
    ----------
    indptr, indices : ndarray of unsigned integers
        Rows of the graph or of a matrix.
    bytes_each : int
        Of the state of a node.

    Returns
    -------
    bool
    """
    n, slots = len(indptr) - 1, len(indices)
    if n * bytes_each <= _CACHE or slots == 0:
        return False
    sample = np.arange(0, slots, max(1, slots // _SAMPLES))
    row = np.searchsorted(indptr, sample.astype(indptr.dtype), side="right") - 1
    return bool(np.mean(np.abs(indices[sample].astype(np.int64) - row) > _NEAR) > _MANY)
