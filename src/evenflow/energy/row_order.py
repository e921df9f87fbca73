"""Row order: rows of equal length one after another, so that a processor foresees where each ends."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["sort_rows"]

_NEAR = 512  # rows that are sorted together, so that their states stay in the first cache


@njit(cache=True, nogil=True)
def sort_rows(indptr, near=_NEAR):  # type: ignore[no-untyped-def]
    """Sort rows by their lengths, ``near`` of them at a time.

    A loop over few entries costs less than to learn, at the end of it, that it is over. Where lengths vary without
    rule, and the graph is too large for the processor to remember them, that is half the time of a pass.

    Parameters
    ----------
    indptr : ndarray of unsigned integers, shape (n + 1,)
    near : int

    Returns
    -------
    order : ndarray of uint32 or uint64, shape (n,)
        The row of each turn.
    groups : ndarray of int64, shape (groups + 1, 2)
        The first turn of each group of equally long rows, and their length; at the end n and 0.
    """
    n = len(indptr) - 1
    order = np.empty(n, indptr.dtype)
    longest = np.int64(0)
    for i in range(n):
        longest = max(longest, np.int64(indptr[i + 1] - indptr[i]))
    groups = np.empty((min(n, (n // near + 1) * (longest + 1)) + 1, 2), np.int64)
    place = np.empty(longest + 1, np.int64)
    count = 0
    for begin in range(0, n, near):
        end = min(begin + near, n)
        place[:] = 0
        for i in range(begin, end):
            place[indptr[i + 1] - indptr[i]] += 1
        turn = begin
        for length in range(longest + 1):
            size = place[length]
            place[length] = turn
            if size > 0:
                groups[count, 0], groups[count, 1] = turn, length
                count += 1
            turn += size
        for i in range(begin, end):
            entries = indptr[i + 1] - indptr[i]
            order[place[entries]] = i
            place[entries] += 1
    groups[count, 0], groups[count, 1] = n, 0
    return order, groups[: count + 1]
