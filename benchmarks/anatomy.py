"""Where the time of ``auto`` goes where it nests: each part alone, times how often it is needed.

Run ``python benchmarks/anatomy.py`` (``--cases lattice,decades --sizes 40000`` for fewer). Heat with baths on two
sides, to a relative gap of 1e-8; one thread, medians. Everything is told in energy passes (value and gradient). What
the parts do not account for ("rest") is vector work, the interpreter, and caches that a part alone finds warm.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

for variable in ("EVENFLOW_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from diffusion import cases

import evenflow as ef
from evenflow.preconditioner import Multigrid


def median(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def anatomy(energy: ef.HeatDiffusion, repeats: int) -> list[tuple[str, int, float]]:
    """(part, how often, seconds each) of a solve; the last row is the whole."""
    w = energy.initial(np.random.default_rng(0))
    best = ef.minimize(energy, w, tolerance=1e-13, progress=False)
    target = best.energy + 1e-8 * abs(best.energy)
    runs = [ef.minimize(energy, w, tolerance=1e-8, target=target, progress=False) for _ in range(repeats)]
    if "nested iteration" not in runs[0].message:
        raise ValueError(f"auto does not nest here: {runs[0].message}")
    counts = runs[0].counts
    mean = np.full(energy.shape, w.mean())
    gradient, series = energy.value_and_gradient(mean)[1], energy.diagonal_series(mean)
    matrix = energy.hessian(w)
    built, nested = Multigrid(), Multigrid()
    built.refresh_couplings(matrix)
    nested.refresh_couplings(matrix)
    diagonals = [energy.hessian_diagonal(w), energy.hessian_diagonal(best.w)]
    product, r = energy.linearise(best.w), np.random.default_rng(1).normal(size=energy.size)
    out, buffer = np.empty(energy.size), np.empty(energy.shape)

    def refresh() -> None:
        diagonals.reverse()
        built.refresh_diagonal(matrix, diagonals[0])

    refresh()
    return [
        ("value and gradient", counts.gradient, median(lambda: energy.value_and_gradient(w, buffer), 3 * repeats)),
        ("Hessian product", counts.hvp, median(lambda: product(r.reshape(energy.shape)), 3 * repeats)),
        ("Hessian, assembled", 1, median(lambda: energy.hessian(w), repeats)),
        ("nodes' own derivatives", counts.hessian - 1, median(lambda: energy.diagonal_series(w), repeats)),
        ("hierarchy, built", 1, median(lambda: Multigrid().refresh_couplings(matrix), repeats)),
        ("nested iteration", 1, median(lambda: nested.nest(gradient, *series), repeats)),
        ("hierarchy, refreshed", counts.factorisation - 1, median(refresh, repeats)),
        ("cycle", counts.preconditioner, median(lambda: built.apply(r, out), 3 * repeats)),
        ("whole", 1, float(np.median([run.seconds for run in runs]))),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="lattice,lattice3d,rgg,decades", help="families of diffusion.py")
    parser.add_argument("--sizes", default="2500,40000,1000000")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    for case in cases([int(size) for size in args.sizes.split(",")], args.cases.split(",")):
        if case.baths != "sides":
            continue
        try:
            rows = anatomy(case.energy(), args.repeats)
        except ValueError as refusal:
            print(f"{case.name}: {refusal}\n")
            continue
        one = rows[0][2]
        print(f"{case.name}: one pass takes {one * 1e6:.0f} us\n{'':<22}{'times':>6}{'passes each':>13}{'passes':>8}")
        for part, count, seconds in rows[:-1]:
            print(f"{part:<22}{count:>6}{seconds / one:>13.2f}{count * seconds / one:>8.1f}")
        known = sum(count * seconds for _, count, seconds in rows[:-1])
        print(f"{'rest':<41}{(rows[-1][2] - known) / one:>8.1f}\n{'whole':<41}{rows[-1][2] / one:>8.1f}\n", flush=True)


if __name__ == "__main__":
    main()
