"""HopfKuramoto: phases of coupled limit-cycle oscillators with second-neighbour terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from evenflow.energy import functions as ef
from evenflow.energy.base import BaseEnergy, FloatArray, HessianProduct
from evenflow.energy.drift import PhaseDrift
from evenflow.energy.graph_arrays import graph_from_arrays, graph_to_arrays
from evenflow.energy.local import Energy, laplacian
from evenflow.energy.phases import PhaseStates
from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch

    from evenflow.graph import Graph

__all__ = ["HopfKuramoto", "Loss"]

Loss = Literal["paper", "potential", "drift"]


class HopfKuramoto(PhaseStates):
    r"""Hopf-Kuramoto energies in the local alignment C and the local torque S of each phase.

    With :math:`C_j = \sum_i a_{ij} \cos(w_j - w_i)` and :math:`S_j = \sum_i a_{ij} \sin(w_j - w_i)`, in O(edges):

    ``loss="paper"``
        :math:`c s_1 \sum_j C_j + s_2 \sum_j C_j^2`, what the printed loss [1]_ collapses to on an undirected graph.
    ``loss="potential"``
        :math:`-c s_1 \sum_{(i,j)} a_{ij} \cos(w_i - w_j) + s_2 \sum_j S_j^2`, the potential of the variational part of
        the dynamics (the printed one has other signs).
    ``loss="drift"``
        :math:`\frac1n \sum_i (F_i - \bar F)^2` of the full vector field F (:meth:`velocity`); zero at phase-locked
        states. It has Hessian products but no sparse Hessian.

    Phases are in radians.

    Parameters
    ----------
    graph : Graph
    s1, s2 : float
        First- and second-neighbour couplings.
    c : float
        Scale of the first-neighbour terms.
    loss : {"paper", "potential", "drift"}
    fixed : mapping or tuple, optional
        Phases held at given values.

    References
    ----------
    .. [1] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024, eq. 7 and 13.

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow.energy import HopfKuramoto
    >>> from evenflow.graph import Graph
    >>> square = Graph.from_edges([[0, 1], [1, 2], [2, 3], [0, 3]])
    >>> energy = HopfKuramoto(square, s1=1.0, s2=0.1)
    >>> energy.value(np.array([0.0, np.pi, 0.0, np.pi])), energy.reference()
    (-6.4, -6.4)
    """

    name = "hopf-kuramoto"
    summary = "phases with second-neighbour terms; s1, s2, c, loss=paper|potential|drift"

    def __init__(
        self, graph: Graph, *, s1: float, s2: float, c: float = 1.0, loss: Loss = "paper", fixed: Any = None
    ) -> None:
        if loss not in get_args(Loss):
            raise InputError(f"loss is {loss!r}, expected one of {', '.join(get_args(Loss))}")
        for name, value in (("s1", s1), ("s2", s2), ("c", c)):
            if not np.isfinite(value):
                raise InputError(f"{name} is {value}, expected a finite number")
        self.graph, self.s1, self.s2, self.c, self.loss = graph, float(s1), float(s2), float(c), loss
        self._core = self._build_core(graph, fixed)
        self.shape, self.fixed, self.sparse_hessian = self._core.shape, self._core.fixed, self._core.sparse_hessian
        self.reach = self._core.reach

    def _build_core(self, graph: Graph, fixed: Any) -> BaseEnergy:
        """Return the energy that does the work."""
        first = self.c * self.s1
        match self.loss:
            case "paper":
                return Energy(
                    graph,
                    neighbourhood=(lambda s, first, second: first * s + second * s**2, ef.cos),
                    node_data={"first": first, "second": self.s2},
                    fixed=fixed,
                )
            case "potential":
                return Energy(
                    graph,
                    pair=lambda x, first: -first * ef.cos(x),
                    neighbourhood=(lambda s, second: second * s**2, ef.sin),
                    edge_data={"first": first},
                    node_data={"second": self.s2},
                    fixed=fixed,
                )
        return PhaseDrift(graph, self.s1, self.s2, self.c, fixed)

    @classmethod
    def from_graph(cls, graph: Graph, *, s1: float = 1.0, s2: float = 0.1, **options: Any) -> HopfKuramoto:
        """Build from a graph alone, as the command line does."""
        unknown = sorted(set(options) - {"c", "loss", "fixed"})
        if unknown:
            raise InputError(f"hopf-kuramoto has no parameter {unknown[0]!r}; {cls.summary}")
        return cls(graph, s1=s1, s2=s2, **options)

    # -- evaluation -----------------------------------------------------------------------------------------------

    def value(self, w: FloatArray) -> float:
        """Energy of w, fixed nodes imposed."""
        return self._core.value(w)

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        """Energy and gradient in one pass; the gradient goes to ``out`` if given."""
        return self._core.value_and_gradient(w, out)

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        """Product of the Hessian at w with v, matrix-free."""
        return self._core.hvp(w, v)

    def linearise(self, w: FloatArray) -> HessianProduct:
        """Return v -> H(w) v for many v at one w."""
        return self._core.linearise(w)

    def hessian(self, w: FloatArray) -> sp.csr_array:
        """Sparse Hessian at w over two hops; not for ``loss="drift"``, whose Hessian reaches four."""
        return self._core.hessian(w)

    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        """Energy as a differentiable scalar of the device and dtype of w."""
        return self._core.torch_value(w)

    def velocity(self, w: FloatArray) -> FloatArray:
        """Vector field F of the dynamics dw/dt = F(w), rad per unit time, shape (n,)."""
        drift = PhaseDrift(self.graph, self.s1, self.s2, self.c)
        return drift.velocity(self.impose(w))

    def curvature(self) -> sp.csr_array:
        """Positive semi-definite stand-in for the Hessian, with a unit diagonal at fixed nodes.

        ``potential``: the Hessian at synchrony, c s1 L + 2 s2 L^2. ``paper``: 2 c s1 L + s2 L^2, the same operators
        with the weights they have where neighbours differ by pi and by random phases. ``drift``:
        (2/n) (c s1 + 2 s2 k)^2 L^2 with the mean degree k. Couplings enter by their absolute values.
        """
        L = laplacian(self.graph)
        first, second = abs(self.c * self.s1), abs(self.s2)
        match self.loss:
            case "paper":
                matrix = 2 * first * L + second * (L @ L)
            case "potential":
                matrix = first * L + 2 * second * (L @ L)
            case "drift":
                n = max(self.graph.n_nodes, 1)
                matrix = (2 / n) * (first + 2 * second * L.diagonal().mean()) ** 2 * (L @ L)
        return self.pin(matrix)

    # -- description ----------------------------------------------------------------------------------------------

    def reference(self) -> float:
        """Certified lower bound.

        ``paper``: each node's term at its best alignment; exact on k-regular bipartite graphs of positive weights.
        ``potential``: exact, -c s1 sum a_ij at synchrony, for s1, s2 >= 0 and positive weights. ``drift``: 0.
        """
        first, weights = self.c * self.s1, np.abs(self.graph.weights)
        reach = np.bincount(self.graph.edges.ravel(), np.repeat(weights, 2), minlength=self.graph.n_nodes)
        if self.loss == "paper":
            best = -reach * abs(first) + self.s2 * reach**2
            if self.s2 > 0:
                inside = abs(first) / (2 * self.s2) <= reach
                best[inside] = -(first**2) / (4 * self.s2)
            return float(best.sum())
        if self.loss == "potential":
            return float(-abs(first) * weights.sum() + min(self.s2, 0.0) * (reach**2).sum())
        return 0.0

    def report(self, w: FloatArray) -> dict[str, float]:
        """Observables of the phases, and the standard deviation of the velocities."""
        return super().report(w) | {"velocity_spread": float(np.std(self.velocity(w))) if self.size else 0.0}

    def export(self) -> dict[str, Any]:
        """Graph and constants."""
        return {
            "graph": graph_to_arrays(self.graph),
            "constants": {"s1": self.s1, "s2": self.s2, "c": self.c, "loss": self.loss},
            "fixed": None if self.fixed is None else list(self.fixed),
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> HopfKuramoto:
        """Inverse of :meth:`export`."""
        fixed = saved["fixed"]
        return cls(
            graph_from_arrays(saved["graph"]), fixed=None if fixed is None else tuple(fixed), **saved["constants"]
        )

    def __repr__(self) -> str:
        return f"HopfKuramoto({self.graph!r}, s1={self.s1:g}, s2={self.s2:g}, c={self.c:g}, loss={self.loss!r})"
