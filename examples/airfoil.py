"""Steady heat on the mesh around an airfoil, solved by the default method and by the papers' two-stage network.

Run it with ``make demo``; the pictures go to the folder ``demo``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

import evenflow as ef


def wing_and_rim(graph: ef.Graph) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes on the boundary of the mesh: those of the wing (near the middle) and those of the outer rim."""
    sides = np.sort(graph.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    boundary = np.unique(edges[count == 1])
    distance = np.linalg.norm(graph.positions[boundary] - graph.positions.mean(axis=0), axis=1)
    near = distance < 0.5 * distance.max()
    return boundary[near], boundary[~near]


def main() -> None:
    """Solve, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the pictures")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    graph = ef.gallery.from_spec("airfoil:2")
    wing, rim = wing_and_rim(graph)
    energy = ef.HeatDiffusion(graph, hot=wing, cold=rim, t_hot=10.0, t_cold=0.0)
    print(f"steady heat around an airfoil: {graph}")
    print("solving with two methods; the first run also compiles the kernels ...", flush=True)

    comparison = ef.compare(energy, ["auto", "gcn"], targets=(1e-4, 1e-6, 1e-8), max_seconds=30.0)
    Console().print(comparison.table())
    comparison.plot(out / "loss.png")

    result = ef.minimize(energy)
    print(result)
    result.plot_state(out / "temperature.png")
    result.save(out / "result.npz")
    print(f"wrote {out / 'temperature.png'}, {out / 'loss.png'} and {out / 'result.npz'}")


if __name__ == "__main__":
    main()
