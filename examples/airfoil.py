"""Steady heat on the mesh around an airfoil, solved by the default method and by the papers' two-stage network.

Run it with ``make demo``; the pictures go to the folder ``demo``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import evenflow as ef


def wing_and_rim(graph: ef.Graph) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes on the boundary of the mesh: those of the wing (near the middle) and those of the outer rim."""
    sides = np.sort(graph.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    boundary = np.unique(edges[count == 1])
    centre = (graph.positions.min(axis=0) + graph.positions.max(axis=0)) / 2
    extent = np.ptp(graph.positions, axis=0).max()
    near = np.abs(graph.positions[boundary] - centre).max(axis=1) < 0.4 * extent
    return boundary[near], boundary[~near]


def main() -> None:
    """Solve, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the pictures")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    graph = ef.gallery.subdivide(ef.gallery.from_spec("airfoil"), 2)
    wing, rim = wing_and_rim(graph)
    energy = ef.HeatDiffusion(graph, hot=wing, cold=rim, t_hot=10.0, t_cold=0.0)
    print(f"steady heat around an airfoil: {graph}")
    print("compiling kernels (cached for the next run) ...", flush=True)
    energy.value_and_gradient(energy.initial(np.random.default_rng(0)))

    results = {name: ef.minimize(energy, method=name, seed=0) for name in ("auto", "gcn")}
    lowest = min(result.energy for result in results.values())
    table = Table("method", "energy", "relative gap", "steps", "seconds", "of it set-up", "status")
    for name, result in results.items():
        steps = sum(stage.steps for stage in result.stages)
        gap = (result.energy - lowest) / abs(lowest)
        table.add_row(
            name,
            f"{result.energy:.8f}",
            f"{gap:.1e}",
            str(steps),
            f"{result.seconds:.3f}",
            f"{result.setup_seconds:.3f}",
            result.status.name,
        )
    Console().print(table)
    for name, result in results.items():
        print(f"{name}: {result.message}")

    results["auto"].plot_state(out / "temperature.png")
    from evenflow.report.plots import plot_histories

    plot_histories(results, out / "loss.png", reference=lowest)
    results["auto"].save(out / "auto.npz")
    print(f"wrote {out / 'temperature.png'}, {out / 'loss.png'} and {out / 'auto.npz'}")


if __name__ == "__main__":
    main()
