"""Engine: the compiled kernels of a potential, bound to the arrays of one graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.energy.cache import KernelModule, load
from evenflow.energy.locality import AHEAD, choose_layout
from evenflow.energy.potential import Potential
from evenflow.energy.threads import run_chunks, split_rows

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.energy.pattern import HessianPattern
    from evenflow.graph import Graph

__all__ = ["Engine"]

_FUNCTIONS, _SUMS, _ROWS = 1, 2, 4
_ALL = _FUNCTIONS | _SUMS | _ROWS
_IN_TURN = {"value", "gradient", "hvp"}  # kernels that may go through the rows in another order


class Engine:
    """Value, gradient, Hessian product and Hessian of one potential on one graph; fixed nodes are not its business.

    Parameters
    ----------
    potential : Potential
    graph : Graph
    edge_data : sequence of ndarray
        Values of ``e0 ...``, shape (m,), in the order of ``graph.edges``.
    node_data : sequence of ndarray
        Values of ``n0 ...``, shape (n,).
    """

    def __init__(
        self, potential: Potential, graph: Graph, edge_data: Sequence[FloatArray], node_data: Sequence[FloatArray]
    ) -> None:
        self._potential, self._graph = potential, graph
        self._n = graph.n_nodes
        indptr, indices, edge = graph.rows
        small = 2 * graph.n_edges < 2**32 and self._n < 2**32
        unsigned = np.uint32 if small else np.uint64
        self._indptr, self._indices = indptr.astype(unsigned), indices.astype(unsigned)
        self._layout = choose_layout(self._indptr, self._indices, 8 * potential.dim)
        if self._layout == "scattered":  # room to look ahead of the last slot
            self._indices = np.append(self._indices, np.zeros(AHEAD, unsigned))
        self._kernels: KernelModule = load(potential, self._layout)
        tail: dict[str, Any] = {"indptr": self._indptr, "indices": self._indices}
        weights = graph.weights
        if potential.uniform:
            tail["a"] = float(weights[0]) if len(weights) else 1.0
        else:
            tail["weights"] = weights[edge]
        constants = np.array(potential.constants)
        tail["edge"] = self._slot_data(edge_data, edge, constants) if self._kernels.columns else None
        tail["node"] = np.ascontiguousarray(np.stack(node_data)) if node_data else None
        tail["params"] = constants
        names = [name for name in self._kernels.tail if name != "field"]
        in_turn = _sort_slots(tail) if self._layout == "sorted" else tail
        self._tail_in_turn = tuple(in_turn[name] for name in names)
        self._tail = tuple({**in_turn, **tail}[name] for name in names)  # that of kernels of the Hessian
        self._chunks = split_rows(indptr)
        self._whole = len(self._chunks) == 1
        self._phases = [_FUNCTIONS] * bool(self._kernels.fields) + [_SUMS] * bool(potential.sums) + [_ROWS]
        self._bind()

    def _bind(self) -> None:
        self._scratch = _Scratch(self._kernels.fields, self._n, self._tail, self._tail_in_turn)
        self._pattern: HessianPattern | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave compiled functions and scratch memory behind."""
        return {
            name: value for name, value in self.__dict__.items() if name not in {"_kernels", "_scratch", "_pattern"}
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Find the compiled functions again."""
        self.__dict__.update(state)
        self._kernels = load(self._potential, self._layout)
        self._bind()

    def _slot_data(
        self, edge_data: Sequence[FloatArray], edge: npt.NDArray[np.int64], constants: FloatArray
    ) -> FloatArray:
        indptr, indices, _ = self._graph.rows
        sign = np.where(indices > np.repeat(np.arange(self._n), np.diff(indptr)), 1.0, -1.0)
        slots = []
        for values, oriented in zip(edge_data, self._potential.oriented, strict=True):
            slot = values[edge]
            slots.append(slot * sign if oriented and not self._potential.squared else slot)
        columns: FloatArray = self._kernels.edge_columns(slots, constants)
        return columns

    # -- evaluation -----------------------------------------------------------------------------------------------

    def value(self, w: FloatArray) -> float:
        """Energy of w."""
        if self._whole:
            energy: float = self._kernels.value(w, *self._scratch.in_turn)
            return energy
        return self._chunked("value", (w,))

    def gradient(self, w: FloatArray, out: FloatArray) -> float:
        """Energy of w; its gradient goes to ``out``."""
        if self._whole:
            energy: float = self._kernels.gradient(w, out, *self._scratch.in_turn)
            return energy
        return self._chunked("gradient", (w, out))

    def hvp(self, w: FloatArray, v: FloatArray, out: FloatArray) -> None:
        """Write the product of the Hessian at w with v to ``out``."""
        if self._whole:
            self._kernels.hvp(w, v, out, *self._scratch.in_turn)
        else:
            self._chunked("hvp", (w, v, out))

    def linearise(self, w: FloatArray) -> Callable[[FloatArray, FloatArray], None]:
        """Return ``product(v, out)`` with the node functions of w computed once and kept."""
        w = w.copy()
        scratch = _Scratch(self._kernels.fields, self._n, self._tail, self._tail_in_turn)
        tail = scratch.in_turn[3:]
        phases = self._phases
        if self._kernels.fields:
            self._chunked("hvp", (w, w, w), [_FUNCTIONS], tail)
            phases = phases[1:]
        once = (0, self._n, sum(phases), *tail)

        def product(v: FloatArray, out: FloatArray) -> None:
            if self._whole:
                self._kernels.hvp(w, v, out, *once)
            else:
                self._chunked("hvp", (w, v, out), phases, tail)

        return product

    @cached_property
    def constant_couplings(self) -> bool:
        """Whether only the diagonal (d x d blocks) of the Hessian depends on w."""
        return self._kernels.has("couplings")

    @property
    def uniform(self) -> bool:
        """Whether all edges are alike."""
        return self._potential.uniform and self._kernels.columns == 0

    @property
    def quartic(self) -> bool:
        """Whether the term of each node is a polynomial of at most fourth degree, for d = 1."""
        return self._kernels.quartic

    def _chunked(
        self,
        name: str,
        arrays: tuple[Any, ...],
        phases: Sequence[int] | None = None,
        tail: tuple[Any, ...] | None = None,
    ) -> float:
        kernel = getattr(self._kernels, name)
        if tail is None:
            tail = (self._scratch.in_turn if name in _IN_TURN else self._scratch.whole)[3:]
        total = 0.0
        for phase in self._phases if phases is None else phases:
            total += sum(run_chunks(_chunk_task(kernel, arrays, phase, tail), self._chunks))
        return total

    # -- the sparse Hessian ---------------------------------------------------------------------------------------

    def hessian(self, w: FloatArray) -> sp.csr_array:
        """Sparse Hessian at w; one matrix for each thread, refreshed in place."""
        if self._pattern is None:
            from evenflow.energy.pattern import HessianPattern

            self._pattern = HessianPattern(self._potential, self._graph)
        pattern = self._pattern
        matrix = self._scratch.__dict__.get("matrix")
        if matrix is None:
            matrix = pattern.matrix()
            self._scratch.couplings = self._couplings(matrix)
            self._scratch.matrix = matrix
        if not self._potential.sums:
            self._fill((w, matrix.data, *self._scratch.couplings))
            return matrix
        one_hop, count = len(pattern.indices1), len(self._potential.sums)
        base, jac, jac_t = np.empty(one_hop), np.empty((count, one_hop)), np.empty((count, one_hop))
        weight = np.empty((count, count, self._n))
        self._fill((w, base, jac, jac_t, weight))
        position = np.zeros(self._n, dtype=np.int64)
        self._kernels.two_hop(
            matrix.data,
            base,
            pattern.indptr1,
            pattern.indices1,
            matrix.indptr,
            matrix.indices,
            jac,
            jac_t,
            weight,
            position,
        )
        return matrix

    def hessian_diagonal(self, w: FloatArray) -> FloatArray:
        """Diagonal of the Hessian at w, for constant couplings and d = 1."""
        out = np.empty(self._n)
        row_sum, middle = self._known_couplings(w)
        alone = np.zeros(middle.shape, middle.dtype)  # as if every row had its diagonal entry alone
        self._fill((w, out, row_sum, alone))
        return out

    def series(self, w: FloatArray, second: FloatArray, third: FloatArray, fourth: FloatArray) -> None:
        """Write the second to fourth derivatives along each node, for constant couplings and d = 1."""
        arrays = (w, self._known_couplings(w)[0], second, third, fourth)
        if self._whole:
            self._kernels.series(*arrays, *self._scratch.whole)
        else:
            self._chunked("series", arrays)

    def _known_couplings(self, w: FloatArray) -> tuple[Any, ...]:
        """What kernels of the diagonal need, once the couplings are filled in."""
        if "couplings" not in self._scratch.__dict__:
            self.hessian(w)
        return self._scratch.couplings

    def _couplings(self, matrix: sp.csr_array) -> tuple[Any, ...]:
        """Fill in entries that do not depend on w; return what the kernel of the others needs."""
        if not self.constant_couplings:
            return ()
        dim = self._potential.dim
        row_sum, middle = np.empty((dim * (dim + 1) // 2, self._n)), np.empty_like(self._indptr[1:])
        self._chunked("couplings", (matrix.data, row_sum, middle), [_ROWS])
        return row_sum, middle

    def _fill(self, arrays: tuple[Any, ...]) -> None:
        if self._whole:
            self._kernels.hessian(*arrays, *self._scratch.whole)
        else:
            self._chunked("hessian", arrays)


def _chunk_task(
    kernel: Callable[..., float], arrays: tuple[Any, ...], phase: int, tail: tuple[Any, ...]
) -> Callable[[int, int], float]:
    return lambda start, stop: kernel(*arrays, start, stop, phase, *tail)


def _sort_slots(tail: dict[str, Any]) -> dict[str, Any]:
    """The arrays that kernels take, those of slots in the order of rows sorted by length, and that order."""
    from evenflow.energy.row_order import sort_rows

    indptr = tail["indptr"]
    order = sort_rows(indptr)[0]
    lengths = np.diff(indptr)[order]
    in_turn = np.concatenate([indptr[:1], np.cumsum(lengths, dtype=indptr.dtype)])
    slots = np.repeat(indptr[order] - in_turn[:-1], lengths) + np.arange(in_turn[-1], dtype=indptr.dtype)
    moved = {name: tail[name][..., slots] for name in ("indices", "weights", "edge") if tail.get(name) is not None}
    return {**tail, **moved, "indptr": in_turn, "order": order}


class _Scratch(threading.local):
    """Arrays that a call overwrites, one set for each thread."""

    def __init__(self, fields: int, n: int, tail: tuple[Any, ...], in_turn: tuple[Any, ...]) -> None:
        field = (np.empty((fields, n)),) if fields else ()
        self.whole: tuple[Any, ...] = (0, n, _ALL, *tail, *field)
        self.in_turn: tuple[Any, ...] = (0, n, _ALL, *in_turn, *field)
        self.matrix: sp.csr_array
        self.couplings: tuple[Any, ...]
