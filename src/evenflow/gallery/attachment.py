"""Compiled loop of preferential attachment, apart so that only its users load numba."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["attach"]


@njit(cache=True, nogil=True)
def attach(n: int, m: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Edges (m (n - m), 2) of a graph grown from a star of m + 1 nodes, m edges for each further node."""
    edges = np.empty((m * (n - m), 2), dtype=np.int64)
    ends = edges.reshape(-1)  # a node appears here once for each of its edges: a uniform draw is by degree
    for k in range(m):
        edges[k, 0] = 0
        edges[k, 1] = k + 1
    known = 2 * m
    for node in range(m + 1, n):
        first = known // 2
        for k in range(m):
            target = ends[int(rng.random() * known)]
            fresh = False
            while not fresh:
                fresh = True
                for earlier in range(k):
                    if edges[first + earlier, 0] == target:
                        fresh = False
                        target = ends[int(rng.random() * known)]
                        break
            edges[first + k, 0] = target
            edges[first + k, 1] = node
        known += 2 * m
    return edges
