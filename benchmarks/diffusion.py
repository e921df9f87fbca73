"""Heat diffusion: time to a common energy gap for ``auto``, every own recipe and every peer, on one thread.

Run ``python benchmarks/diffusion.py --quick`` for a few minutes' worth, without ``--quick`` for all sizes. Each case
prints its table; at the end come ``auto`` against the best of all, against SciPy L-BFGS-B, against the papers' Adam
and GCN, its cost in energy passes, its growth with size and its memory. Set-up is in every time.

Ctrl-C ends it early, with the summary of the cases that are done. A method that was hopeless at one size of a family
(30 times slower than the best, or over the time limit) is not run at the larger ones; the table says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenflow.comparison import Comparison
    from evenflow.energy.heat import HeatDiffusion
    from evenflow.graph import Graph

SIZES = (2_500, 40_000, 250_000, 1_000_000)
TARGETS = (1e-4, 1e-6, 1e-8)
OWN = (
    "auto",
    "lbfgs",
    "lbfgs-chol",
    "lbfgs-mg",
    "ncg",
    "newton-cg",
    "newton-mg",
    "newton-chol",
    "whitened-adam",
    "adam",
    "gcn",
)
HOPELESS = 30.0
# A sparse factor of these graphs outgrows the memory beyond the given number of nodes.
DIRECT = {"lbfgs-chol", "newton-chol", "whitened-adam", "newton-superlu", "large-steps"}
FILLING = {"lattice3d": 70_000, "sbm": 5_000, "ba": 5_000, "rgg": 300_000}
PRECONDITIONED = {"newton-pyamg", "newton-superlu", "large-steps"}
DATA = Path(os.environ.get("EVENFLOW_DATA", Path(__file__).parents[2] / "shared" / "data"))


@dataclass
class Case:
    """One graph with its baths."""

    family: str
    baths: str
    size: int
    spec: str
    build: Callable[[], Graph] = field(repr=False)

    @property
    def name(self) -> str:
        """Family, baths and size."""
        return f"{self.family}/{self.baths}/{self.size}"

    def energy(self) -> HeatDiffusion:
        """Heat with a tenth of the nodes in each bath.

        "sides" are the nodes with the extreme coordinates, or, without positions, the nodes nearest to and farthest
        from a node at the rim (breadth first).
        """
        from scipy.sparse.csgraph import breadth_first_order

        from evenflow.energy.heat import HeatDiffusion

        graph = self.build()
        if self.baths == "random":
            return HeatDiffusion.random_baths(graph, seed=0)
        if graph.positions is not None:
            return HeatDiffusion.sides(graph)
        order = breadth_first_order(graph.adjacency, 0, directed=False, return_predecessors=False)
        order = breadth_first_order(graph.adjacency, order[-1], directed=False, return_predecessors=False)
        share = max(1, len(order) // 10)
        return HeatDiffusion(graph, hot=order[:share], cold=order[-share:])


def cases(sizes: Sequence[int], families: Sequence[str] | None) -> Iterator[Case]:
    """All cases, sizes of one family ascending."""
    from evenflow import gallery

    def square(n: int) -> int:
        return round(n**0.5)

    builders: dict[str, Callable[[int], tuple[str, Callable[[], Graph]]]] = {
        "lattice": lambda n: (f"lattice:{square(n)}x{square(n)}", lambda: gallery.lattice(square(n), square(n))),
        "lattice3d": lambda n: _cube(round(n ** (1 / 3))),
        "triangular": lambda n: _spec(f"triangular:{square(n)}x{square(n)}"),
        "sbm": _sbm,
        "rgg": lambda n: _spec(f"rgg:{n}"),
        "ba": lambda n: _spec(f"ba:{n}"),
        "tree": lambda n: _spec(f"tree:2x{max(2, round(_log2(n + 1)) - 1)}"),
        "decades": lambda n: ("lattice, couplings 10^U(-2.5, 2.5)", lambda: _decades(square(n))),
        "road": lambda n: _spec(f"road:{n}"),
    }
    fixed = {"road": (114_599,)}
    for family, builder in builders.items():
        for baths in ("random", "sides"):
            for size in fixed.get(family, sizes):
                spec, build = builder(size)
                if families is None or family in families:
                    yield Case(family, baths, size, spec, build)
    for family, name in (("bunny", "bunny.ply"), ("case1354", "pglib_opf_case1354_pegase.m")):
        if (families is None or family in families) and (DATA / name).is_file():
            for baths in ("random", "sides"):
                yield Case(family, baths, 0, name, lambda name=name: _file(DATA / name))


def _log2(n: float) -> float:
    import math

    return math.log2(n)


def _spec(spec: str) -> tuple[str, Callable[[], Graph]]:
    from evenflow.gallery import from_spec

    return spec, lambda: from_spec(spec).largest_component()


def _cube(k: int) -> tuple[str, Callable[[], Graph]]:
    return _spec(f"lattice:{k}x{k}x{k}")


def _sbm(n: int) -> tuple[str, Callable[[], Graph]]:
    """Blocks of 250 nodes with the mean degrees of the papers' 10 x 250 graph, whatever their number."""
    from evenflow import gallery

    blocks = n // 250
    p_out = 0.0004 * 9 / max(blocks - 1, 1)
    return f"sbm:{blocks}x250", lambda: gallery.sbm(blocks, 250, p_out=p_out).largest_component()


def _decades(k: int) -> Graph:
    """A lattice whose couplings span five decades."""
    import numpy as np

    from evenflow import gallery

    graph = gallery.lattice(k, k)
    rng = np.random.default_rng(7)
    return graph.replace(weights=10.0 ** rng.uniform(-2.5, 2.5, graph.n_edges))


def _file(path: Path) -> Graph:
    from evenflow.io import read_graph

    return read_graph(path).largest_component()


# ---------------------------------------------------------------------- running


def choose(case: Case, nodes: int, methods: Sequence[str], hopeless: dict[str, dict[str, str]]) -> dict[str, str]:
    """Methods not to run, with the reason."""
    skipped = dict(hopeless.get(f"{case.family}/{case.baths}", {}))
    limit = FILLING.get(case.family)
    for method in DIRECT & set(methods):
        if limit is not None and nodes > limit:
            skipped.setdefault(method, "the fill-in of its factor would not fit into memory")
    return {method: reason for method, reason in skipped.items() if method in methods}


def run_case(
    case: Case, args: argparse.Namespace, methods: Sequence[str], hopeless: dict[str, dict[str, str]]
) -> tuple[Comparison, float | None]:
    """Compare on one case; return the outcome and the memory of ``auto`` in bytes a node."""
    from evenflow.comparison import Row, compare
    from evenflow.comparison.outcome import target_key
    from evenflow.history import Counts

    energy = case.energy()
    assert energy.graph is not None
    nodes = energy.graph.n_nodes
    skipped = choose(case, nodes, methods, hopeless)
    memory = measure_memory(energy)
    outcome = compare(
        energy,
        [method for method in methods if method not in skipped],
        TARGETS,
        max_seconds=args.max_seconds,
        tune_seconds=args.tune_seconds,
        warmup_seconds=args.warmup_seconds,
        repeats=args.repeats,
        matched_starts=False,
        clock=args.clock,
        progress=lambda text: print(f"    {text}", file=sys.stderr) if args.verbose else None,
        command=f"python benchmarks/diffusion.py --cases {case.family} --sizes {case.size} --methods {{method}}",
    )
    keys = [target_key(target) for target in TARGETS]
    for method, reason in skipped.items():
        row = Row(method, method in OWN, 0, "not applicable", f"not run: {reason}", times=dict.fromkeys(keys))
        row.counts = Counts().as_dict()
        outcome.rows.append(row)
    note_hopeless(case, outcome, hopeless)
    return outcome, memory


def note_hopeless(case: Case, outcome: Comparison, hopeless: dict[str, dict[str, str]]) -> None:
    """Remember which methods need not be tried on larger graphs of the family."""
    times = {row.method: row.times["1e-08"] for row in outcome.rows}
    best = min((seconds for seconds in times.values() if seconds is not None), default=None)
    book = hopeless.setdefault(f"{case.family}/{case.baths}", {})
    for row in outcome.rows:
        seconds = times[row.method]
        if row.status == "not applicable" or best is None:
            continue
        if seconds is None:
            book[row.method] = f"missed 1e-08 at {outcome.graph['nodes']} nodes ({row.status})"
        elif seconds > max(HOPELESS * best, 0.05):
            book[row.method] = f"{seconds / best:.0f} times slower than the best at {outcome.graph['nodes']} nodes"


def measure_memory(energy: HeatDiffusion) -> float | None:
    """Peak of the resident memory during a solve by ``auto``, over what was resident before, in bytes a node."""
    from evenflow import gallery
    from evenflow.energy.heat import HeatDiffusion
    from evenflow.front import minimize
    from evenflow.memory import release_long_arrays

    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not (status.is_file() and clear.exists()):
        return None

    def resident(name: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return 1024 * int(line.split()[1])

    small = gallery.lattice(60, 60)
    for warm in (HeatDiffusion.sides(small), HeatDiffusion.random_baths(small)):
        minimize(warm, method="auto", progress=False)  # imports and compiled code are not its memory
    release_long_arrays()  # nor is it what earlier solves have left
    clear.write_text("5")  # resets the peak
    before = resident("VmRSS")
    minimize(energy, method="auto", max_seconds=60.0, progress=False)
    return (resident("VmHWM") - before) / energy.size


# ---------------------------------------------------------------------- summary


def geometric_mean(values: Sequence[float]) -> float:
    import numpy as np

    return float(np.exp(np.mean(np.log(values)))) if values else float("nan")


def time_of(outcome: Comparison, method: str, target: str) -> float | None:
    """Seconds of a method to a target, None where it was not run or missed it."""
    return next((row.times.get(target) for row in outcome.rows if row.method == method), None)


def summarise(outcomes: list[tuple[Case, Comparison, float | None]]) -> str:
    """The claims, each as a number."""
    lines = ["", f"{'case':<28}{'auto':>10}{'best':>10}  {'by':<20}{'ratio':>7}{'passes':>8}{'B/node':>8}"]
    ratios: list[float] = []
    for case, outcome, memory in outcomes:
        auto = time_of(outcome, "auto", "1e-08")
        others = {row.method: row.times["1e-08"] for row in outcome.rows if row.times.get("1e-08") is not None}
        if auto is None:
            lines.append(
                f"{case.name:<28}  auto missed 1e-08: {outcome.row('auto').status} {outcome.row('auto').reason}"
            )
            continue
        name, best = min(others.items(), key=lambda item: item[1])
        if auto > 0.01:
            ratios.append(auto / best)
        passes = auto / outcome.pass_seconds
        line = f"{case.name:<28}{auto:>10.4g}{best:>10.4g}  {name:<20}{auto / best:>7.2f}{passes:>8.0f}"
        lines.append(line if memory is None else f"{line}{memory:8.0f}")
    if ratios:
        lines.append(
            f"auto / best where auto takes over 10 ms: worst {max(ratios):.2f}, mean {geometric_mean(ratios):.2f}"
        )
    for method, label in (
        ("scipy-lbfgsb", "SciPy L-BFGS-B"),
        ("torch-adam", "the papers' Adam"),
        ("gcn", "the papers' GCN"),
    ):
        lines.append(speed_up(outcomes, method, label))
    lines += growth(outcomes)
    lines += [alone(case, outcome) for case, outcome, _ in outcomes if case.family in ("road", "decades")]
    return "\n".join(lines)


def alone(case: Case, outcome: Comparison) -> str:
    """Peers without a preconditioner that reach 1e-8 within ten times the time of ``auto``."""
    auto = time_of(outcome, "auto", "1e-08")
    if auto is None:
        return f"{case.name}: auto missed 1e-08 or was not run"
    plain = [row for row in outcome.rows if not row.own and row.method not in PRECONDITIONED]
    times = [(row.method, row.times["1e-08"]) for row in plain]
    near = [f"{name} ({seconds / auto:.1f})" for name, seconds in times if seconds is not None and seconds <= 10 * auto]
    return f"{case.name}: peers without a preconditioner within ten times auto: {', '.join(near) or 'none'}"


def speed_up(outcomes: list[tuple[Case, Comparison, float | None]], method: str, label: str) -> str:
    """Geometric means of method / auto, at each target, over the cases where the method got there."""
    parts = []
    for target in ("0.0001", "1e-06", "1e-08"):
        factors = []
        for _, outcome, _ in outcomes:
            slow, fast = time_of(outcome, method, target), time_of(outcome, "auto", target)
            if slow is not None and fast:
                factors.append(slow / fast)
        mean = f"{geometric_mean(factors):.1f}" if factors else "-"
        parts.append(f"{target}: {mean} ({len(factors)} of {len(outcomes)} cases)")
    return f"auto against {label}, times faster, geometric means: " + ", ".join(parts)


def growth(outcomes: list[tuple[Case, Comparison, float | None]]) -> list[str]:
    """Exponents of the cost of ``auto`` from 40 k nodes on, family by family: in seconds, in nodes passed over.

    The second is that of the algorithm: in seconds even a pass grows faster than the graph, once states leave the
    cache.
    """
    import numpy as np

    points: dict[str, list[tuple[float, float, float]]] = {}
    for case, outcome, _ in outcomes:
        auto, nodes = time_of(outcome, "auto", "1e-08"), outcome.graph["nodes"]
        if auto is not None and case.size >= 40_000:
            work = nodes * auto / outcome.pass_seconds
            points.setdefault(f"{case.family}/{case.baths}", []).append((nodes, auto, work))
    lines = []
    for name, found in points.items():
        if len(found) > 1:
            nodes, *costs = np.log(np.array(found)).T
            seconds, work = (np.polyfit(nodes, cost, 1)[0] for cost in costs)
            lines.append(f"auto on {name} grows as n^{seconds:.2f} in seconds, n^{work:.2f} in nodes passed over")
    return lines


def same_ranking(first: Comparison, second: Comparison) -> str:
    """Compare the order of methods whose times differ by more than a fifth."""
    one = {row.method: row.times["1e-08"] for row in first.rows if row.times.get("1e-08") is not None}
    two = {row.method: row.times["1e-08"] for row in second.rows if row.times.get("1e-08") is not None}
    names = sorted(set(one) & set(two))
    pairs = [(a, b) for a in names for b in names if one[a] * 1.2 < one[b]]
    swapped = [f"{a} < {b}" for a, b in pairs if two[a] > two[b]]
    return f"second run: {len(pairs) - len(swapped)} of {len(pairs)} clear orders the same" + (
        f"; swapped: {', '.join(swapped)}" if swapped else ""
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = parse(arguments)
    for name in ("EVENFLOW_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(args.threads)  # before NumPy and torch read it
    import torch

    torch.set_num_threads(args.threads)
    from evenflow.comparison import PEERS

    methods = args.methods or [*OWN, *PEERS]
    outcomes: list[tuple[Case, Comparison, float | None]] = []
    try:
        run_cases(args, methods, outcomes)
    except KeyboardInterrupt:
        print("\ninterrupted: what follows is about the cases above")
    print(summarise(outcomes))


def run_cases(
    args: argparse.Namespace, methods: Sequence[str], outcomes: list[tuple[Case, Comparison, float | None]]
) -> None:
    """Run every case, print its table and append it to ``outcomes``."""
    hopeless: dict[str, dict[str, str]] = {}
    for case in cases(args.sizes, args.cases):
        if args.baths not in ("both", case.baths):
            continue
        outcome, memory = run_case(case, args, methods, hopeless)
        outcomes.append((case, outcome, memory))
        print(f"\n=== {case.name}: {case.spec}\n{outcome}", flush=True)
        if args.twice:
            print(same_ranking(outcome, run_case(case, args, methods, dict(hopeless))[0]), flush=True)
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            stem = case.name.replace("/", "-")
            outcome.to_json(args.out / f"{stem}.json")
            outcome.to_parquet(args.out / f"{stem}.parquet")
            outcome.plot(args.out / f"{stem}.png")


def parse(arguments: Sequence[str] | None) -> Any:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def listed(text: str) -> list[str]:
        return text.split(",")

    parser.add_argument("--quick", action="store_true", help="2 500 and 40 000 nodes, short limits")
    parser.add_argument("--sizes", type=lambda text: [int(float(n)) for n in text.split(",")], default=None)
    parser.add_argument("--cases", type=listed, default=None, help="families, comma-separated")
    parser.add_argument("--baths", choices=("random", "sides", "both"), default="both")
    parser.add_argument("--methods", type=listed, default=None, help="methods and peers; all by default")
    parser.add_argument("--max-seconds", type=float, default=None, help="limit of a run (60; quick: 5)")
    parser.add_argument("--tune-seconds", type=float, default=None, help="limit of a trial of a peer's knobs")
    parser.add_argument("--warmup-seconds", type=float, default=None, help="limit of the unmeasured first call")
    parser.add_argument("--repeats", type=int, default=5, help="of runs under a second; medians are shown")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu is steadier on a busy machine")
    parser.add_argument("--twice", action="store_true", help="run every case again and compare the rankings")
    parser.add_argument("--out", type=Path, default=None, help="folder for parquet, JSON and pictures")
    parser.add_argument("--verbose", action="store_true", help="tell on standard error what runs")
    args = parser.parse_args(arguments)
    args.sizes = args.sizes or (SIZES[:2] if args.quick else SIZES)
    args.max_seconds = args.max_seconds or (5.0 if args.quick else 60.0)
    args.tune_seconds = args.tune_seconds or args.max_seconds / 12
    args.warmup_seconds = args.warmup_seconds or args.max_seconds / 12
    return args


if __name__ == "__main__":
    main()
