"""Random graphs with independent edges: Erdos-Renyi and stochastic block models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evenflow.gallery.checks import generator, real, whole
from evenflow.graph import Graph

__all__ = ["er", "sbm"]

IntArray = npt.NDArray[np.int64]


def successes(rng: np.random.Generator, total: int, p: float) -> IntArray:
    """Ascending indices of the successes among ``total`` trials of probability p, in O(successes) [1]_.

    References
    ----------
    .. [1] V. Batagelj, U. Brandes, "Efficient generation of large random networks", Phys. Rev. E 71, 036113
       (2005), algorithm 1: the gaps between successes are geometric.
    """
    if p <= 0.0 or total == 0:
        return np.zeros(0, dtype=np.int64)
    if p >= 1.0:
        return np.arange(total)
    size = int(total * p + 4.0 * np.sqrt(total * p)) + 16
    parts, last = [], -1
    while last < total:
        step = np.minimum(rng.geometric(p, size), total + 1)
        parts.append(last + np.cumsum(step))
        last = int(parts[-1][-1])
    found = np.concatenate(parts)
    return found[found < total]


def unrank_pairs(k: IntArray) -> tuple[IntArray, IntArray]:
    """Return the pair i < j of index k = j (j - 1) / 2 + i."""
    j = ((1.0 + np.sqrt(1.0 + 8.0 * k)) / 2.0).astype(np.int64)
    j -= j * (j - 1) // 2 > k  # the square root may be off by one unit in either direction
    j += j * (j + 1) // 2 <= k
    return k - j * (j - 1) // 2, j


def er(n: int, degree: float = 10.0, seed: int | np.random.Generator = 0) -> Graph:
    """Erdos-Renyi graph G(n, p) with unit weights.

    Parameters
    ----------
    n : int
        Number of nodes.
    degree : float
        Mean degree p (n - 1).
    seed : int or numpy.random.Generator

    Returns
    -------
    Graph
        Not always connected; see :meth:`evenflow.Graph.largest_component`.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> graph = er(2500, seed=1)
    >>> 9 < 2 * graph.n_edges / graph.n_nodes < 11
    True
    """
    n = whole(n, "n", 1)
    degree = real(degree, "degree", 0.0, max(n - 1.0, 0.0))
    chosen = successes(generator(seed), n * (n - 1) // 2, degree / max(n - 1, 1))
    return Graph.from_edges(np.stack(unrank_pairs(chosen), axis=1), n)


def sbm(
    blocks: int, size: int, p_in: float = 0.04, p_out: float = 0.0004, seed: int | np.random.Generator = 0
) -> Graph:
    """Stochastic block model of equal blocks with unit weights; nodes are numbered block by block.

    Parameters
    ----------
    blocks, size : int
        Number of blocks, and of nodes in each.
    p_in, p_out : float
        Probability of an edge inside a block and between two blocks. The defaults give 10 blocks of 250 nodes
        about 10 neighbours inside and 0.9 outside.
    seed : int or numpy.random.Generator

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> sbm(10, 250).n_nodes
    2500
    """
    blocks, size = whole(blocks, "blocks", 1), whole(size, "size", 1)
    n = whole(blocks * size, "number of nodes", 1)
    p_in, p_out = real(p_in, "p_in", 0.0, 1.0), real(p_out, "p_out", 0.0, 1.0)
    rng = generator(seed)
    inside = size * (size - 1) // 2
    block, pair = np.divmod(successes(rng, blocks * inside, p_in), max(inside, 1))
    i, j = unrank_pairs(pair)
    within = np.stack([block * size + i, block * size + j], axis=1)
    two, place = np.divmod(successes(rng, blocks * (blocks - 1) // 2 * size**2, p_out), size**2)
    a, b = unrank_pairs(two)
    between = np.stack([a * size + place // size, b * size + place % size], axis=1)
    return Graph.from_edges(np.concatenate([within, between]), n)
