"""Growth: how fast balls on a graph grow, which tells what its coarse matrices would be like, and who is far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.short_loop import after

__all__ = ["ball_sizes", "grows_fast", "is_close_knit"]

_RADIUS = 3  # of the small ball; the large one has twice that
_FAST = 4.5  # times as many nodes in the large one: four in two dimensions, eight in three
_SAMPLES, _FEWEST = 16, 200  # balls at most, and nodes for each
_WIDE, _MANY = 6, 20_000  # half the steps within which half of all nodes, or so many, make a graph close-knit
_LARGEST = 2_000  # nodes of a ball beyond which it is not counted to the end: it has grown fast

UintArray = npt.NDArray[np.uint32]


@njit(cache=True, nogil=True, error_model="numpy")
def ball_sizes(indptr, indices, radius, samples, largest):  # type: ignore[no-untyped-def]
    """Nodes within ``radius`` edges of some nodes, and within twice that; none and ``largest`` if one has so many."""
    one = np.uint64(1)
    n = len(indptr) - 1
    seen = np.zeros(n, np.uint32)
    queue = np.empty(largest, np.uint32)
    small = 0
    large = 0
    for s in range(samples):
        stamp = np.uint32(s + 1)
        first = np.uint32((2 * s + 1) * n // (2 * samples))
        queue[0] = first
        seen[first] = stamp
        at, end = 0, 1
        for step in range(2 * radius):
            if step == radius:
                small += end
            last = end
            while at < last:
                i = queue[at]
                k, stop = indptr[i], indptr[i + one]
                while k < stop:
                    j = indices[k]
                    if seen[j] != stamp:
                        if end == largest:
                            return 0, largest
                        seen[j] = stamp
                        queue[end] = j
                        end += 1
                    k = after(k)
                at += 1
        large += end
    return small, large


def grows_fast(indptr: UintArray, indices: UintArray) -> bool:
    """Whether balls of the graph of a matrix grow faster than in two dimensions, from a sample.

    Then a coarse node has many others near it, and interpolation from more than one makes all of them its neighbours.

    Parameters
    ----------
    indptr, indices : ndarray of uint32

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow import gallery
    >>> for graph in (gallery.lattice(40, 40), gallery.from_spec("lattice:30x30x30")):
    ...     rows = graph.adjacency
    ...     grows_fast(rows.indptr.astype(np.uint32), rows.indices.astype(np.uint32))
    False
    True
    """
    n = len(indptr) - 1
    samples = min(n, max(1, min(n // _FEWEST, _SAMPLES)))
    small, large = ball_sizes(indptr, indices, _RADIUS, samples, _LARGEST)
    return bool(large > _FAST * small)


def is_close_knit(indptr: UintArray, indices: UintArray) -> bool:
    """Whether half of all nodes are near the middle one, as on a random graph, where news is everywhere soon.

    There a diagonal preconditions well enough even if nothing holds the nodes but each other. Hierarchies in which half
    of the nodes are leaves are the exception: they are slow for all that.

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
    many = max(1, min((len(indptr) - 1) // 2, _MANY))
    return bool(ball_sizes(indptr, indices, _WIDE, 1, many)[0] == 0)
