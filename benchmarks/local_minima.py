"""Time to a relative gradient norm of 1e-8 on energies that are not diffusion: `auto` beside every peer.

Kuramoto from a synchronised start with noise, the Hopf-Kuramoto potential from the same, a spring network pinned at
its rim, and an energy written in torch. Every contestant gets the same start, one thread and float64; its own
evaluations are watched, and the clock stops at the first gradient below 1e-8 of the first one. Set-up is inside; a
first, unmeasured run compiles. Minima of nonconvex energies may differ: the energy reached is in the table.
"""

from __future__ import annotations

import os

for _variable in ("EVENFLOW_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy
import torch
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize as scipy_minimize

import evenflow as ef

OWN = ("auto", "lbfgs", "newton-cg", "newton-mg", "newton-chol", "ncg")
RELATIVE = 1e-8


class Reached(Exception):
    """The gradient is small enough."""


class Watch:
    """Value and gradient of an energy over flat vectors, watching the clock and the gradient."""

    def __init__(self, energy: ef.BaseEnergy, goal: float, limit: float) -> None:
        self.energy, self.goal, self.limit = energy, goal, limit
        self.began = time.perf_counter()
        self.energy_reached = float("nan")

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.energy.value_and_gradient(flat.reshape(self.energy.shape))
        self.energy_reached = value
        if np.linalg.norm(gradient) <= self.goal:
            raise Reached
        if time.perf_counter() - self.began > self.limit:
            raise TimeoutError
        return value, gradient.ravel()

    def run(self, solve: Callable[[], object]) -> float | None:
        """Seconds until the goal is met, or None."""
        try:
            solve()
        except Reached:
            return time.perf_counter() - self.began
        except TimeoutError:
            return None
        return None


def peer(name: str, energy: ef.BaseEnergy, start: np.ndarray, goal: float, limit: float) -> tuple[float | None, float]:
    """Run SciPy's or torch's minimizer with the compiled gradient (and products where it takes them)."""
    watch = Watch(energy, goal, limit)

    def products(flat: np.ndarray, v: np.ndarray) -> np.ndarray:
        return energy.hvp(flat.reshape(energy.shape), v.reshape(energy.shape)).ravel()

    def torch_lbfgs() -> None:
        x = torch.tensor(start.ravel(), requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [x], max_iter=10**6, max_eval=10**7, history_size=10, line_search_fn="strong_wolfe",
            tolerance_grad=0.0, tolerance_change=0.0,
        )  # fmt: skip

        def closure() -> torch.Tensor:
            value, gradient = watch(x.detach().numpy())
            x.grad = torch.from_numpy(gradient.copy())
            return torch.tensor(value, dtype=torch.float64)

        optimizer.step(closure)

    options = {
        "scipy L-BFGS-B": {
            "method": "L-BFGS-B",
            "options": {"maxcor": 10, "ftol": 0, "gtol": 0, "maxiter": 10**6, "maxfun": 10**7},
        },
        "scipy Newton-CG": {"method": "Newton-CG", "hessp": products, "options": {"xtol": 0, "maxiter": 10**5}},
        "scipy trust-krylov": {"method": "trust-krylov", "hessp": products, "options": {"gtol": 0, "maxiter": 10**5}},
    }  # fmt: skip
    if name == "torch LBFGS":
        return watch.run(torch_lbfgs), watch.energy_reached
    return watch.run(lambda: scipy_minimize(watch, start.ravel(), jac=True, **options[name])), watch.energy_reached


def own(name: str, energy: ef.BaseEnergy, start: np.ndarray, goal: float, limit: float) -> tuple[float | None, float]:
    """Run one of evenflow's methods to the same goal."""
    result = ef.minimize(energy, start, method=name, gtol=goal, max_seconds=limit, progress=False)
    return (result.seconds if result.gradient_norm <= goal * (1 + 1e-9) else None), result.energy


def cases(side: int) -> dict[str, tuple[ef.BaseEnergy, np.ndarray]]:
    """Energies and starts on lattices of side x side."""
    rng = np.random.default_rng(0)
    open_lattice, periodic = ef.gallery.lattice(side, side), ef.gallery.lattice(side, side, periodic=True)
    n = open_lattice.n_nodes
    place = np.stack(np.divmod(np.arange(n), side), axis=1).astype(float)
    rim = np.flatnonzero(((place == 0) | (place == side - 1)).any(axis=1))
    springs = ef.Energy(
        open_lattice,
        pair=lambda r2, rest: (ef.sqrt(r2) - rest) ** 2,
        pair_of="squared_distance",
        edge_data={"rest": rng.uniform(0.8, 1.2, open_lattice.n_edges)},
        dim=2,
        fixed=(rim, 1.05 * place[rim]),
    )
    i, j = torch.tensor(open_lattice.edges.T)
    goal = torch.tensor(rng.normal(size=n))
    in_torch = ef.TorchEnergy(
        lambda w: ((w[i] - w[j]) ** 2).sum() + 0.01 * ((w - goal) ** 4).sum(), shape=(n,), graph=open_lattice
    )
    return {
        "Kuramoto": (ef.Kuramoto(open_lattice), 0.3 * rng.normal(size=n)),
        "Hopf-Kuramoto potential": (
            ef.HopfKuramoto(periodic, s1=1.0, s2=1.0, loss="potential"),
            0.1 * rng.normal(size=n),
        ),
        "springs": (springs, place + 0.1 * rng.normal(size=place.shape)),
        "torch energy": (in_torch, 3.0 * rng.normal(size=n)),
    }


def main() -> None:
    """Print one table a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="*", default=[50, 200])
    parser.add_argument("--max-seconds", type=float, default=20.0, help="per run")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=130)
    console.print(
        f"scipy {scipy.__version__}, torch {torch.__version__}; one thread; medians of {arguments.repeats} runs"
    )
    for side in arguments.sides:
        for label, (energy, start) in cases(side).items():
            goal = RELATIVE * float(np.linalg.norm(energy.gradient(start)))
            rows = []
            for name in (*OWN, "scipy L-BFGS-B", "scipy Newton-CG", "scipy trust-krylov", "torch LBFGS"):
                run = own if name in OWN else peer
                times, reached = [], float("nan")
                for repeat in range(arguments.repeats + 1):
                    seconds, reached = run(name, energy, start, goal, arguments.max_seconds)
                    if repeat or seconds is None:
                        times.append(seconds)
                    if seconds is None:
                        break
                rows.append((name, None if None in times else statistics.median(times), reached))
            auto = rows[0][1]
            best_peer = min(seconds for name, seconds, _ in rows if seconds is not None and name not in OWN)
            table = Table("method", "milliseconds", "times auto", "energy", title=f"{label}, {side} x {side}")
            for name, seconds, reached in rows:
                text = "not reached" if seconds is None else f"{1e3 * seconds:.2f}"
                ratio = "-" if seconds is None or auto is None else f"{seconds / auto:.2f}"
                table.add_row(name, text, ratio, f"{reached:.8g}")
            console.print(table)
            if auto is not None:
                console.print(f"best peer / auto: {best_peer / auto:.2f}\n")


if __name__ == "__main__":
    main()
