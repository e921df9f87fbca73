"""How fast balls on a graph grow."""

from __future__ import annotations

import numpy as np
import pytest

from evenflow import gallery
from evenflow.graph import Graph
from evenflow.preconditioner.growth import ball_sizes, grows_fast


def rows(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    adjacency = graph.adjacency
    return adjacency.indptr.astype(np.uint32), adjacency.indices.astype(np.uint32)


def test_balls_of_a_lattice() -> None:
    """Around the middle of a square lattice there are 2 r^2 + 2 r + 1 nodes within r edges."""
    assert ball_sizes(*rows(gallery.lattice(41, 41)), 3, 1, 100) == (25, 85)
    assert ball_sizes(*rows(gallery.lattice(41, 41)), 3, 1, 84) == (0, 84)


@pytest.mark.parametrize(
    ("spec", "fast"),
    [
        ("lattice:50x50", False),
        ("triangular:40x40", False),
        ("rgg:2500", False),
        ("tree:2x10", False),
        ("ring:2000", False),
        ("lattice:14x14x14", True),
        ("sbm:10x250", True),
        ("ba:2500", True),
    ],
)
def test_what_grows_fast(spec: str, fast: bool) -> None:
    assert grows_fast(*rows(gallery.from_spec(spec))) is fast


@pytest.mark.parametrize("n", [0, 1])
def test_no_graph_to_speak_of(n: int) -> None:
    assert not grows_fast(np.zeros(n + 1, np.uint32), np.zeros(0, np.uint32))
