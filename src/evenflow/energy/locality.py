"""Locality: where states do not fit in the cache, those of far neighbours are asked for ahead of their turn.

A processor waits for a state that is neither in its cache nor near the last one. On a random graph of a million nodes
that is most of the time of a pass; asked for in time, they come while others are worked on.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["AHEAD", "Layout", "choose_layout", "is_scattered"]

Layout = Literal["plain", "scattered", "sorted"]
"""How kernels go through the rows of a graph."""

AHEAD = 128  # slots between asking for a state and its turn
_CACHE = 4 << 20  # bytes of states that a processor is taken to hold
_NEAR = 1 << 15  # nodes within which states are near each other in memory
_SAMPLES = 4_096
_MANY = 0.05  # of the slots lead farther

_MEMORY = 100_000  # slots, the ends of whose rows a processor remembers from one pass to the next
_IRREGULAR = 0.5  # of the rows are not as long as the one before
_SHORT = 16  # slots a row, beyond which its end is a small part of it

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


def choose_layout(indptr: IntArray, indices: IntArray, bytes_each: int) -> Layout:
    """How kernels should go through the rows of a graph.

    Parameters
    ----------
    indptr, indices, bytes_each
        As of :func:`is_scattered`.

    Returns
    -------
    {"plain", "scattered", "sorted"}
        One after another; so, but asking for states ahead of their turn; or those of equal length together (see
        :mod:`evenflow.energy.row_order`), where rows are short and too many to remember, and lengths vary without rule.
    """
    if is_scattered(indptr, indices, bytes_each):
        return "scattered"
    if not _MEMORY <= len(indices) <= _SHORT * (len(indptr) - 1):
        return "plain"
    return "sorted" if np.mean(np.diff(np.diff(indptr)) != 0) > _IRREGULAR else "plain"
