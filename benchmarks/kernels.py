"""Cost of an energy-and-gradient, a Hessian product and an Adam step, against doing without evenflow.

Run ``python benchmarks/kernels.py`` (``--quick`` skips n = 10^6). One thread, float64, medians over interleaved rounds;
the table gives each contender's time as a multiple of evenflow's in the same row. The hand-written kernel is the fused
loop over CSR rows that one would write for this one energy in numba; the tuned one has unsigned indices too. On the
lattices neighbours are near in memory; in the block model of 10^6 nodes some are anywhere. In the random graph lengths
of rows vary without rule.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("EVENFLOW_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numba
import numpy as np
import scipy.sparse as sp
import torch

import evenflow as ef
from evenflow.energy.local import Energy
from evenflow.graph import Graph
from evenflow.history import Counts
from evenflow.minimizer.problem import Problem
from evenflow.reparametrization.identity import Identity

Contender = Callable[[], object]
GRAPHS: dict[str, Callable[[], Graph]] = {
    "lattice, 2 500": lambda: ef.gallery.lattice(50, 50),
    "random, 40 000": lambda: ef.gallery.er(40_000).largest_component(),  # ten neighbours, more or less
    "lattice, 10^6": lambda: ef.gallery.lattice(1000, 1000),
    # one neighbour of eleven is in another block
    "blocks, 10^6": lambda: ef.gallery.sbm(4000, 250, p_out=9e-7).largest_component(),
}


@numba.njit(nogil=True, error_model="numpy")
def hand_heat(indptr: Any, indices: Any, held: Any, target: Any, w: Any, out: Any) -> float:
    energy = 0.0
    for i in range(len(w)):
        pull = 0.0
        bond = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            d = w[i] - w[indices[k]]
            pull += d
            bond += d * d
        off = w[i] - target[i]
        energy += 0.25 * bond + held[i] * off**4
        out[i] = pull + 4.0 * held[i] * off**3
    return energy


@numba.njit(nogil=True, error_model="numpy")
def hand_kuramoto(indptr: Any, indices: Any, w: Any, cosine: Any, sine: Any, out: Any) -> float:
    for i in range(len(w)):
        cosine[i] = math.cos(w[i])
        sine[i] = math.sin(w[i])
    energy = 0.0
    for i in range(len(w)):
        c = 0.0
        s = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            c += cosine[j]
            s += sine[j]
        energy -= cosine[i] * c + sine[i] * s
        out[i] = 2.0 * (sine[i] * c - cosine[i] * s)
    return energy


@numba.njit(nogil=True, error_model="numpy")
def hand_heat_hvp(indptr: Any, indices: Any, held: Any, target: Any, w: Any, v: Any, out: Any) -> None:
    for i in range(len(w)):
        pull = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            pull += v[i] - v[indices[k]]
        out[i] = pull + 12.0 * held[i] * (w[i] - target[i]) ** 2 * v[i]


@numba.njit(nogil=True, error_model="numpy")
def hand_kuramoto_hvp(indptr: Any, indices: Any, w: Any, v: Any, cosine: Any, sine: Any, out: Any) -> None:
    for i in range(len(w)):
        cosine[i] = math.cos(w[i])
        sine[i] = math.sin(w[i])
    for i in range(len(w)):
        pull = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            pull += (cosine[i] * cosine[j] + sine[i] * sine[j]) * (v[i] - v[j])
        out[i] = 2.0 * pull


class Case:
    """One energy on one graph, and everything that computes the same numbers."""

    def __init__(self, name: str, graph: Graph) -> None:
        self.name, self.n = name, graph.n_nodes
        self.energy: Energy = ef.HeatDiffusion.random_baths(graph) if name == "heat" else ef.Kuramoto(graph)
        rng = np.random.default_rng(0)
        self.w, self.v = self.energy.initial(rng), rng.standard_normal(self.n)
        self.out, self.cosine, self.sine = np.empty(self.n), np.empty(self.n), np.empty(self.n)
        self.A, self.L = sp.csr_matrix(graph.adjacency), sp.csr_matrix(graph.laplacian)
        self.held, self.target = np.zeros(self.n), np.zeros(self.n)
        if isinstance(self.energy, ef.HeatDiffusion):
            self.held[self.energy.hot] = self.held[self.energy.cold] = self.energy.constants["strength"]
            self.target[self.energy.hot] = self.energy.constants["t_hot"]
        self.w_torch = torch.tensor(self.w, requires_grad=True)
        self.A_torch, self.L_torch = _torch_csr(self.A), _torch_csr(self.L)
        self.held_torch, self.target_torch = torch.tensor(self.held), torch.tensor(self.target)

    def rows(self) -> dict[str, dict[str, Contender]]:
        """Contenders of each row of the table."""
        return {
            "energy + gradient": self.gradients(),
            "Hessian product": self.products(),
            "Adam step": self.adam_steps(),
        }

    def gradients(self) -> dict[str, Contender]:
        """Energy and gradient."""
        found: dict[str, Contender] = {"evenflow": lambda: self.energy.value_and_gradient(self.w, self.out)[1]}
        for label, kind in (("hand numba", np.int32), ("hand numba, tuned", np.uint32)):
            ptr, idx = self.A.indptr.astype(kind), self.A.indices.astype(kind)
            found[label] = lambda ptr=ptr, idx=idx: self.hand_gradient(ptr, idx)
        return found | {
            "SciPy CSR": self.scipy_gradient,
            "torch CSR": self.torch_csr_gradient,
            "torch autograd": self.torch_autograd,
        }

    def hand_gradient(self, indptr: Any, indices: Any) -> Any:
        """A kernel written for this energy."""
        if self.name == "heat":
            hand_heat(indptr, indices, self.held, self.target, self.w, self.out)
        else:
            hand_kuramoto(indptr, indices, self.w, self.cosine, self.sine, self.out)
        return self.out

    def scipy_gradient(self) -> Any:
        """Analytic, with SciPy's sparse product."""
        w = self.w
        if self.name == "heat":
            Lw, off = self.L @ w, w - self.target
            cube = self.held * off * off * off
            return 0.5 * (w @ Lw) + cube @ off, Lw + 4 * cube
        c, s = np.cos(w), np.sin(w)
        Ac, As = self.A @ c, self.A @ s
        return -(c @ Ac + s @ As), 2 * (s * Ac - c * As)

    def torch_csr_gradient(self, w: Any = None) -> Any:
        """Analytic, with torch's sparse product."""
        w = self.w_torch.detach() if w is None else w
        if self.name == "heat":
            Lw, off = self.L_torch @ w, w - self.target_torch
            cube = self.held_torch * off * off * off
            return 0.5 * (w @ Lw) + cube @ off, Lw + 4 * cube
        c, s = torch.cos(w), torch.sin(w)
        Ac, As = self.A_torch @ c, self.A_torch @ s
        return -(c @ Ac + s @ As), 2 * (s * Ac - c * As)

    def torch_autograd(self) -> Any:
        """By torch's automatic differentiation, gathering over the edge list."""
        energy = self.energy.torch_value(self.w_torch)
        return torch.autograd.grad(energy, self.w_torch)

    def products(self) -> dict[str, Contender]:
        """Hessian times vector; the sparse ones have the Hessian assembled beforehand."""
        linear = self.energy.linearise(self.w)
        hessian = sp.csr_matrix(self.energy.hessian(self.w).copy())
        hessian_torch, v_torch = _torch_csr(hessian), torch.tensor(self.v)
        gradient = torch.autograd.grad(self.energy.torch_value(self.w_torch), self.w_torch, create_graph=True)[0]
        ptr, idx = self.A.indptr, self.A.indices
        return {
            "evenflow": lambda: linear(self.v),
            "evenflow, w anew": lambda: self.energy.hvp(self.w, self.v),
            "hand numba": lambda: self.hand_product(ptr, idx),
            "SciPy CSR": lambda: hessian @ self.v,
            "torch CSR": lambda: hessian_torch @ v_torch,
            "torch autograd": lambda: torch.autograd.grad(gradient, self.w_torch, v_torch, retain_graph=True),
        }

    def hand_product(self, indptr: Any, indices: Any) -> None:
        """A kernel written for this energy."""
        if self.name == "heat":
            hand_heat_hvp(indptr, indices, self.held, self.target, self.w, self.v, self.out)
        else:
            hand_kuramoto_hvp(indptr, indices, self.w, self.v, self.cosine, self.sine, self.out)

    def adam_steps(self) -> dict[str, Contender]:
        """Energy, gradient and update."""
        problem = Problem(self.energy, _identity(self.energy), Counts())
        adam = ef.Adam(lr=1e-9)
        state = adam.init(problem, self.w.copy().ravel())
        x = torch.tensor(self.w, requires_grad=True)
        plain = torch.optim.Adam([x], lr=1e-9)

        def autograd_step() -> None:
            plain.zero_grad()
            self.energy.torch_value(x).backward()
            plain.step()

        def csr_step() -> None:
            _, x.grad = self.torch_csr_gradient(x.detach())
            plain.step()

        return {"evenflow": lambda: adam.step(problem, state), "torch CSR": csr_step, "torch autograd": autograd_step}


def _identity(energy: Energy) -> Identity:
    identity = Identity()
    identity.setup(energy, np.random.default_rng(0), Counts())
    return identity


def _torch_csr(matrix: Any) -> torch.Tensor:
    with_indices = (torch.tensor(matrix.indptr), torch.tensor(matrix.indices), torch.tensor(matrix.data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its CSR support a beta
        return torch.sparse_csr_tensor(*with_indices, size=matrix.shape, check_invariants=False)


def check(case: Case) -> None:
    """All ways must give the same gradient."""
    expected = case.energy.gradient(case.w)
    hand = np.array(case.hand_gradient(case.A.indptr, case.A.indices))
    others = [hand, case.scipy_gradient()[1], case.torch_csr_gradient()[1].numpy(), case.torch_autograd()[0].numpy()]
    for other in others:
        np.testing.assert_allclose(other, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def medians(contenders: dict[str, Contender], seconds: float) -> dict[str, float]:
    """Median seconds of each contender; rounds are interleaved so that all see the same machine."""
    repeats: dict[str, int] = {}
    for name, run in contenders.items():
        run()
        start = time.perf_counter()
        run()
        repeats[name] = max(1, int(2e-3 / max(time.perf_counter() - start, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["evenflow"]) < 5:
        for name, run in contenders.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times[name].append((time.perf_counter() - start) / repeats[name])
    return {name: float(np.median(samples)) for name, samples in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="n = 2 500 only")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways = ["hand numba", "hand numba, tuned", "evenflow, w anew", "SciPy CSR", "torch CSR", "torch autograd"]
    print(f"{'':39s}{'evenflow':>12s}" + "".join(f"{way:>19s}" for way in ways))
    worst_torch, worst_hand = math.inf, 0.0
    for label, make in list(GRAPHS.items())[: 2 if options.quick else None]:
        graph = make()
        for name in ("heat", "kuramoto"):
            case = Case(name, graph)
            check(case)
            for row, contenders in case.rows().items():
                found = medians(contenders, options.seconds)
                own = found["evenflow"]
                ratios = "".join(f"{found[way] / own:19.2f}" if way in found else f"{'-':>19s}" for way in ways)
                print(f"{name:9s} {label:15s} {row:14.14s}{own * 1e6:10.1f} us{ratios}", flush=True)
                if row.startswith("energy"):
                    worst_torch = min(worst_torch, found["torch autograd"] / own)
                    worst_hand = max(worst_hand, own / min(found["hand numba"], found["hand numba, tuned"]))
    print(f"\nenergy + gradient: at least {worst_torch:.1f} times faster than torch autograd (target 8)")
    print(f"energy + gradient: at most {worst_hand:.2f} times a hand-written kernel (target 1.3)")


if __name__ == "__main__":
    main()
