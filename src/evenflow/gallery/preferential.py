"""Power-law graphs by preferential attachment."""

from __future__ import annotations

import numpy as np

from evenflow.errors import InputError
from evenflow.gallery.checks import generator, whole
from evenflow.graph import Graph

__all__ = ["ba"]


def ba(n: int, m: int = 3, seed: int | np.random.Generator = 0) -> Graph:
    """Barabasi-Albert graph with unit weights: degrees follow a power law of exponent 3 [1]_.

    Parameters
    ----------
    n : int
        Number of nodes, more than m.
    m : int
        Edges that each new node brings, to m different nodes drawn in proportion to their degrees; the start is
        a star of m + 1 nodes.
    seed : int or numpy.random.Generator

    Returns
    -------
    Graph
        Connected, with m (n - m) edges.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    .. [1] A.-L. Barabasi, R. Albert, "Emergence of scaling in random networks", Science 286, 509 (1999).

    Examples
    --------
    >>> ba(2500).n_edges
    7491
    """
    from evenflow.gallery.attachment import attach

    m = whole(m, "m", 1)
    n = whole(n, "n", 2)
    if n <= m:
        raise InputError(f"n = {n} must be more than m = {m}: the start is a star of m + 1 nodes")
    return Graph.from_edges(attach(n, m, generator(seed)), n)
