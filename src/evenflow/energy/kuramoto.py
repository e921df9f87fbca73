"""Kuramoto: coupled phases that want to agree, up to offsets on the edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.energy import functions as ef
from evenflow.energy.base import FloatArray
from evenflow.energy.graph_arrays import graph_from_arrays, graph_to_arrays
from evenflow.energy.local import Energy, laplacian
from evenflow.energy.phases import PhaseStates
from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.graph import Graph

__all__ = ["Kuramoto"]


class Kuramoto(PhaseStates, Energy):
    r"""Energy of coupled phases, with couplings of both signs and offsets.

    .. math:: E(w) = -\sum_{ij} a_{ij} \cos(w_i - w_j - \delta_{ij})
              = -2 \sum_{(i,j)} a_{ij} \cos(w_i - w_j - \delta_{ij})

    over ordered pairs, each edge twice [1]_. Phases are in radians.

    Parameters
    ----------
    graph : Graph
    offsets : array_like, shape (m,), or str, optional
        delta_ij in radians for each edge (i, j), i < j, in the order of ``graph.edges``, with
        delta_ji = -delta_ij; or the name of oriented edge data of the graph.
    fixed : mapping or tuple, optional
        Phases held at given values.

    References
    ----------
    .. [1] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024, eq. 6 (the sign of
       its eq. 15 is a misprint).

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow.energy import Kuramoto
    >>> from evenflow.graph import Graph
    >>> energy = Kuramoto(Graph.from_edges([[0, 1], [1, 2], [0, 2]]))
    >>> energy.value(np.zeros(3)), energy.reference()
    (-6.0, -6.0)
    """

    name = "kuramoto"
    summary = "coupled phases, -sum a_ij cos(w_i - w_j - offset_ij); offsets=NAME of oriented edge data"

    def __init__(self, graph: Graph, *, offsets: npt.ArrayLike | str | None = None, fixed: Any = None) -> None:
        if isinstance(offsets, str):
            if offsets not in graph.edge_data or offsets not in graph.oriented:
                raise InputError(
                    f"offsets names {offsets!r}, which is no oriented edge data of the graph: it has "
                    f"{sorted(graph.oriented) or 'none'}"
                )
            offsets = graph.edge_data[offsets]
        self.offsets: FloatArray | None = None if offsets is None else np.array(offsets, dtype=np.float64)
        if self.offsets is None:
            super().__init__(graph, pair=lambda x: -2 * ef.cos(x), fixed=fixed)
        else:
            if self.offsets.shape != (graph.n_edges,):
                raise InputError(
                    f"offsets has shape {self.offsets.shape}, expected ({graph.n_edges},): one for each edge"
                )
            super().__init__(
                graph,
                pair=lambda x, offset: -2 * ef.cos(x - offset),
                edge_data={"offset": self.offsets},
                oriented=["offset"],
                fixed=fixed,
            )

    @classmethod
    def from_graph(cls, graph: Graph, *, offsets: str | None = None, **options: Any) -> Kuramoto:
        """Build from a graph alone, as the command line does."""
        if set(options) - {"fixed"}:
            raise InputError(f"kuramoto has no parameter {sorted(options)[0]!r}; {cls.summary}")
        return cls(graph, offsets=offsets, **options)

    def curvature(self) -> sp.csr_array:
        """Hessian at synchrony, 2 L of the absolute weights, with a unit diagonal at fixed nodes."""
        return self.pin(2.0 * laplacian(self.graph))

    def reference(self) -> float:
        """Lower bound -2 sum |a_ij|: the exact minimum for positive couplings without offsets or fixed nodes."""
        return -2.0 * float(np.abs(self.graph.weights).sum())

    def export(self) -> dict[str, Any]:
        """Graph and offsets."""
        return {
            "graph": graph_to_arrays(self.graph),
            "offsets": self.offsets,
            "fixed": None if self.fixed is None else list(self.fixed),
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Kuramoto:
        """Inverse of :meth:`export`."""
        fixed = saved["fixed"]
        return cls(
            graph_from_arrays(saved["graph"]),
            offsets=saved["offsets"],
            fixed=None if fixed is None else tuple(fixed),
        )
