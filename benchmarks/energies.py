"""``auto`` against the other recipes and SciPy, on nine energies and ten kinds of graph.

Run ``python benchmarks/energies.py`` for graphs of about 2 500 nodes, ``--sides 120`` for 14 400. Each row is one
energy on one graph from one start: milliseconds of ``auto`` to a relative gap of 1e-8, and what the others take, as a
multiple of it. A method that ends in another minimum, or misses the gap in the time allowed, has a dash. At the end
come geometric means, and the cases where some other method is faster by a quarter. Set-up is in every time; one thread.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

os.environ.setdefault("EVENFLOW_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import evenflow as ef

if TYPE_CHECKING:
    from evenflow.graph import Graph

OTHERS = ("newton-cg", "newton-mg", "lbfgs", "lbfgs-mg", "ncg", "scipy-lbfgsb", "scipy-newton-cg")
TARGET = 1e-8
CLEARLY = 1.25

Case = tuple[ef.BaseEnergy, np.ndarray]


def graphs(side: int) -> list[str]:
    """Ten kinds of graph with about side^2 nodes."""
    n, edge = side * side, round(side ** (2 / 3))
    plane = [f"lattice:{side}x{side}", f"triangular:{side}x{side}", f"rgg:{n}", f"road:{n}", f"ring:{n}"]
    return [*plane, f"lattice:{edge}x{edge}x{edge}", f"er:{n}", f"ba:{n}", f"sbm:{n // 250}x250", f"tree:2x{depth(n)}"]


def depth(n: int) -> int:
    """Depth of a binary tree of about n nodes."""
    return int(np.log2(n))


def few(graph: Graph, strength: float) -> ef.BaseEnergy:
    """Heat held by four nodes."""
    n = graph.n_nodes
    return ef.HeatDiffusion(graph, hot=[0, 1], cold=[n - 2, n - 1], strength=strength)


def scattered(graph: Graph) -> ef.BaseEnergy:
    """Heat with a hundredth of the nodes in each bath."""
    order, share = np.random.default_rng(0).permutation(graph.n_nodes), max(1, graph.n_nodes // 100)
    return ef.HeatDiffusion(graph, hot=order[:share], cold=order[share : 2 * share])


def energies(graph: Graph) -> dict[str, Callable[[], Case]]:
    """Energies and starts."""
    n, rng = graph.n_nodes, np.random.default_rng(0)
    noise = rng.normal(size=n)

    def user(pair: object, node: object, start: np.ndarray, **data: np.ndarray) -> Case:
        return ef.Energy(graph, pair=pair, node=node, node_data=data), start

    def from_seed(energy: ef.BaseEnergy) -> Case:
        return energy, energy.initial(np.random.default_rng(0))

    return {
        "heat, four baths": lambda: from_seed(few(graph, 10.0)),
        "heat, four weak baths": lambda: from_seed(few(graph, 1e-3)),
        "heat, 2 % baths": lambda: from_seed(scattered(graph)),
        "Kuramoto, near": lambda: (ef.Kuramoto(graph), 0.05 * noise),
        "Kuramoto, farther": lambda: (ef.Kuramoto(graph), 0.3 * noise),
        "Hopf-Kuramoto potential": lambda: (ef.HopfKuramoto(graph, s1=1.0, s2=1.0, loss="potential"), 0.1 * noise),
        "fourth powers": lambda: user(
            lambda d: d**4 + 0.1 * d**2, lambda w, b: 0.01 * (w - b) ** 2, 3.0 * rng.normal(size=n), b=noise
        ),
        "total variation, rounded": lambda: user(
            lambda d: ef.sqrt(d**2 + 1e-2), lambda w, b: 0.5 * (w - b) ** 2, noise.copy(), b=noise
        ),
        "double wells": lambda: user(lambda d: d**2, lambda w: 0.1 * (w**2 - 1) ** 2, 1.0 + 0.3 * noise),
    }


def cases(side: int, only: list[str] | None) -> Iterator[tuple[str, str, Case]]:
    """Graph, energy, and the energy with its start."""
    for spec in graphs(side):
        if only and not any(spec.startswith(word) for word in only):
            continue
        graph = ef.gallery.from_spec(spec).largest_component()
        for name, build in energies(graph).items():
            yield spec, name, build()


def mean(values: list[float]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(values)))) if values else float("nan")


def main() -> None:
    """Print a row for each case, then the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sides", type=int, nargs="*", default=[50])
    parser.add_argument("--graphs", nargs="*", help="beginnings of their names; all by default")
    parser.add_argument("--max-seconds", type=float, default=5.0, help="for each run")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for side in options.sides:
        print(f"\n{'graph':<18}{'energy':<26}{'auto, ms':>9}" + "".join(f"{name:>17}" for name in OTHERS))
        times: dict[str, list[float]] = {name: [] for name in OTHERS}
        slower, best, missed = [], [], 0
        for spec, name, (energy, start) in cases(side, options.graphs):
            outcome = ef.compare(
                energy, ["auto", *OTHERS], (TARGET,), w0=start, max_seconds=options.max_seconds,
                warmup_seconds=options.max_seconds, repeats=options.repeats,
            )  # fmt: skip
            found = {row.method: row.times[f"{TARGET:g}"] for row in outcome.rows}
            auto = found.pop("auto")
            shown = "".join(f"{'-' if not (s and auto) else f'{s / auto:.2f}':>17}" for s in found.values())
            print(f"{spec:<18}{name:<26}{'-' if auto is None else f'{1e3 * auto:.2f}':>9}{shown}", flush=True)
            if auto is None:
                missed += 1
                continue
            ratios = {method: seconds / auto for method, seconds in found.items() if seconds is not None}
            for method, ratio in ratios.items():
                times[method].append(ratio)
            method, least = min(ratios.items(), key=lambda item: item[1])
            best.append(max(1.0, 1.0 / least))
            if 1.0 / least > CLEARLY:
                slower.append(f"{spec}, {name}: {method} {1.0 / least:.2f} times faster")
        print(f"\nauto / best, geometric mean: {mean(best):.2f}; auto missed the gap in {missed} cases")
        for method, ratios_of in times.items():
            print(f"{method}: {mean(ratios_of):.2f} times auto, where it got there ({len(ratios_of)} cases)")
        print(f"clearly faster than auto in {len(slower)} cases:", *slower, sep="\n  ")


if __name__ == "__main__":
    main()
