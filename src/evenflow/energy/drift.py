"""PhaseDrift: how unevenly the phases of a Hopf-Kuramoto network turn."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evenflow.energy import drift_kernels as kernels
from evenflow.energy.base import FloatArray, HessianProduct
from evenflow.energy.fixed import parse_fixed
from evenflow.energy.phases import PhaseStates
from evenflow.errors import InputError

if TYPE_CHECKING:
    from typing import Any

    import torch

    from evenflow.graph import Graph

__all__ = ["PhaseDrift"]

_Room = tuple[FloatArray, FloatArray]


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

    @cached_property
    def _rows(self) -> tuple[Any, ...]:
        """Compressed rows, their weights, and the couplings, as the kernels take them."""
        indptr, indices, edge = self.graph.rows
        unsigned = np.uint32 if len(indices) < 2**32 else np.uint64
        couplings = (self.c, self.c * self.s1, 2 * self.s2)
        return indptr.astype(unsigned), indices.astype(unsigned), self.graph.weights[edge], couplings

    @cached_property
    def _scratch(self) -> _Scratch:
        return _Scratch(self.size)

    def __getstate__(self) -> dict[str, Any]:
        """Leave scratch memory behind."""
        return {name: value for name, value in self.__dict__.items() if name not in {"_rows", "_scratch"}}

    def _turned(self, w: FloatArray, room: _Room | None = None) -> tuple[FloatArray, FloatArray]:
        """Cosines and sines of w, and room for the fields; both belong to the thread unless room is given."""
        room = self._scratch.room if room is None else room
        kernels.turn(self.impose(w), room[0])
        return room

    def velocity(self, w: FloatArray) -> FloatArray:
        """Vector field F at w, rad per unit time, shape (n,)."""
        F = np.empty(self.shape)
        if self.size:
            kernels.velocity(*self._rows, *self._turned(w), F)
        return F

    def value(self, w: FloatArray) -> float:
        """Variance of the velocities at w."""
        z, field = self._turned(w)
        return kernels.variance(*self._rows, z, field, np.empty(self.shape)) if self.size else 0.0

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        """Variance of the velocities and its gradient, by four passes over the rows."""
        out = self._room_for_result(out)
        z, field = self._turned(w)
        value = kernels.gradient(*self._rows, z, field, out) if self.size else 0.0
        if self.fixed is not None:
            out[self.fixed[0]] = 0.0
        return value, out

    def _room_for_result(self, out: FloatArray | None) -> FloatArray:
        """The array given, if compiled code, which does not look, can write to it; else a new one."""
        if out is None:
            return np.empty(self.shape)
        if out.shape != self.shape or out.dtype != np.float64:
            raise InputError(f"out is {out.dtype} of shape {out.shape}, expected float64 of shape {self.shape}")
        return out

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        """Product of the Hessian at w with v, by differentiating the gradient along v."""
        return self.linearise(w)(v)

    def linearise(self, w: FloatArray) -> HessianProduct:
        """Return v -> H(w) v for many v at one w; each takes four passes over the rows."""
        z, field = self._turned(w, _room(self.size))
        if self.size:
            kernels.gradient(*self._rows, z, field, np.empty(self.shape))
        free = None if self.fixed is None else self.free_mask()

        def product(v: FloatArray, out: FloatArray | None = None) -> FloatArray:
            if np.shape(v) != self.shape:
                raise InputError(f"v has shape {np.shape(v)}, expected {self.shape}")
            v = np.ascontiguousarray(v if free is None else v * free, dtype=np.float64)
            out = self._room_for_result(out)
            if self.size:
                kernels.tangent(*self._rows, z, field, v, out)
            if free is not None:
                out *= free
            return out

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


def _room(n: int) -> _Room:
    """Uninitialised arrays for the cosines and sines, and for the fields."""
    return np.empty((n, 2)), np.empty((kernels.FIELDS, n))


class _Scratch(threading.local):
    """Arrays that a call overwrites, one set for each thread."""

    def __init__(self, n: int) -> None:
        self.room = _room(n)
