"""PhaseDrift: how unevenly the phases of a Hopf-Kuramoto network turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.energy.fixed import parse_fixed
from evenflow.energy.phases import PhaseStates
from evenflow.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import torch

    from evenflow.graph import Graph

__all__ = ["PhaseDrift"]


class PhaseDrift(PhaseStates):
    r"""Variance of the Hopf-Kuramoto velocities, :math:`R(w) = \frac1n \sum_i (F_i - \bar F)^2`.

    Zero exactly at phase-locked states. Derivatives are exact and matrix-free. With
    ``M x = (A o cos Delta) x`` and ``N x = (A o sin Delta) x``, C = M 1 and S = N 1 [1]_,

    .. math:: F = c C - c s_1 S - 2 s_2 (C \circ S - M S).

    Parameters
    ----------
    graph : Graph
    s1, s2, c : float
    fixed : mapping or tuple, optional

    References
    ----------
    .. [1] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024, eq. 13, in closed form.
    """

    name = "phase-drift"
    sparse_hessian = False

    def __init__(self, graph: Graph, s1: float, s2: float, c: float, fixed: Any = None) -> None:
        self.graph, self.s1, self.s2, self.c = graph, s1, s2, c
        self.shape = (graph.n_nodes,)
        self.fixed = parse_fixed(fixed, self.shape)

    def _exchange(self, w: FloatArray) -> Callable[..., list[tuple[FloatArray, FloatArray]]]:
        """Return a function giving (M x, N x) for each x, all in one pass over the adjacency."""
        cosine, sine, A = np.cos(w)[:, None], np.sin(w)[:, None], self.graph.adjacency

        def exchange(*vectors: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
            x, k = np.stack(vectors, axis=1), len(vectors)
            product = A @ np.hstack([cosine * x, sine * x])
            p, q = product[:, :k], product[:, k:]
            return list(zip((cosine * p + sine * q).T, (sine * p - cosine * q).T, strict=True))

        return exchange

    def velocity(self, w: FloatArray) -> FloatArray:
        """Vector field F at w, rad per unit time, shape (n,)."""
        exchange = self._exchange(w)
        ((C, S),) = exchange(np.ones(self.shape))
        ((MS, _),) = exchange(S)
        return self.c * C - self.c * self.s1 * S - 2 * self.s2 * (C * S - MS)

    def value(self, w: FloatArray) -> float:
        """Variance of the velocities at w."""
        return float(np.var(self.velocity(self.impose(w)))) if self.size else 0.0

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        """Variance of the velocities and its gradient, by four passes over the adjacency."""
        if out is None:
            out = np.empty(self.shape)
        elif out.shape != self.shape or out.dtype != np.float64:
            raise InputError(f"out is {out.dtype} of shape {out.shape}, expected float64 of shape {self.shape}")
        forward = _Forward(self, self._exchange(self.impose(w)))
        out[:] = forward.gradient()
        if self.fixed is not None:
            out[self.fixed[0]] = 0.0
        return forward.value, out

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        """Product of the Hessian at w with v, by differentiating the gradient along v."""
        return self.linearise(w)(v)

    def linearise(self, w: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Return v -> H(w) v for many v at one w."""
        forward = _Forward(self, self._exchange(self.impose(w)))
        free = self.free_mask()

        def product(v: FloatArray) -> FloatArray:
            if np.shape(v) != self.shape:
                raise InputError(f"v has shape {np.shape(v)}, expected {self.shape}")
            return forward.tangent(v * free) * free

        return product

    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        """Variance of the velocities as a differentiable scalar."""
        import torch

        if self.fixed is not None:
            values = np.zeros(self.shape)
            values[self.fixed[0]] = self.fixed[1]
            mask = torch.tensor(self.free_mask(), device=w.device)
            w = torch.where(mask, w, torch.tensor(values, device=w.device, dtype=w.dtype))
        i, j = torch.tensor(self.graph.edges.T.copy(), device=w.device)
        a = torch.tensor(self.graph.weights, device=w.device, dtype=w.dtype)
        difference = w[i] - w[j]
        cosine, sine, zero = a * torch.cos(difference), a * torch.sin(difference), torch.zeros_like(w)
        C = zero.index_add(0, i, cosine).index_add(0, j, cosine)
        S = zero.index_add(0, i, sine).index_add(0, j, -sine)
        MS = zero.index_add(0, i, cosine * S[j]).index_add(0, j, cosine * S[i])
        F = self.c * C - self.c * self.s1 * S - 2 * self.s2 * (C * S - MS)
        return ((F - F.mean()) ** 2).mean()

    def reference(self) -> float:
        """Lower bound 0, reached at phase-locked states."""
        return 0.0


class _Forward:
    """Intermediate quantities of the gradient, and their derivatives along a direction.

    The gradient of sum_i lam_i F_i is taken backwards through F: alpha, beta and tau are the sensitivities to C, S and
    M S, and sigma = beta + M tau the total one to S.
    """

    def __init__(self, energy: PhaseDrift, exchange: Callable[..., list[tuple[FloatArray, FloatArray]]]) -> None:
        self.exchange, self.n = exchange, energy.size
        self.c, self.k1, self.k2 = energy.c, energy.c * energy.s1, 2 * energy.s2
        ((self.C, self.S),) = exchange(np.ones(self.n))
        ((self.MS, self.NS),) = exchange(self.S)
        F = self.c * self.C - self.k1 * self.S - self.k2 * (self.C * self.S - self.MS)
        residual = F - F.mean() if self.n else F
        self.value = float(residual @ residual / self.n) if self.n else 0.0
        self.lam = residual * (2 / max(self.n, 1))
        self.alpha = self.lam * (self.c - self.k2 * self.S)
        self.beta = self.lam * (-self.k1 - self.k2 * self.C)
        self.tau = self.k2 * self.lam
        (self.Ma, self.Na), (self.Mt, self.Nt) = exchange(self.alpha, self.tau)
        self.sigma = self.beta + self.Mt
        ((self.Ms, self.Ns),) = exchange(self.sigma)

    def gradient(self) -> FloatArray:
        """Gradient of R."""
        back = self.sigma * self.C - self.Ms - self.alpha * self.S - self.Na
        return back - self.tau * self.NS - self.S * self.Nt

    def tangent(self, v: FloatArray) -> FloatArray:
        """Derivative of the gradient along v; (M x)' = -v N x + N (v x) + M x', (N x)' = v M x - M (v x) + N x'."""
        k1, k2, C, S = self.k1, self.k2, self.C, self.S
        (Mv, Nv), (MvS, NvS) = self.exchange(v, v * S)
        dC, dS = Nv - v * S, v * C - Mv
        ((MdS, NdS),) = self.exchange(dS)
        dMS, dNS = -v * self.NS + NvS + MdS, v * self.MS - MvS + NdS
        dF = self.c * dC - k1 * dS - k2 * (dC * S + C * dS - dMS)
        dlam = (dF - dF.mean()) * (2 / self.n)
        dalpha = dlam * (self.c - k2 * S) - k2 * self.lam * dS
        dbeta = -dlam * (k1 + k2 * C) - k2 * self.lam * dC
        dtau = k2 * dlam
        (Mva, _), (_, Nda), (Mvt, Nvt), (Mdt, Ndt) = self.exchange(v * self.alpha, dalpha, v * self.tau, dtau)
        dNa = v * self.Ma - Mva + Nda
        dMt, dNt = -v * self.Nt + Nvt + Mdt, v * self.Mt - Mvt + Ndt
        dsigma = dbeta + dMt
        (_, Nvs), (Mds, _) = self.exchange(v * self.sigma, dsigma)
        dMs = -v * self.Ns + Nvs + Mds
        back = dsigma * C + self.sigma * dC - dMs - dalpha * S - self.alpha * dS - dNa
        return back - dtau * self.NS - self.tau * dNS - dS * self.Nt - S * dNt
