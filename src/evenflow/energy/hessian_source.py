"""Source of the kernels that fill the sparse Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sy

from evenflow.energy.row_source import RowSource, symbol_names
from evenflow.energy.symbolic import symbol

__all__ = ["HessianSource"]


class HessianSource(RowSource):
    """Writes the Hessian kernels of one potential."""

    def _hessian(self) -> None:
        """Write the kernels that fill the one-hop pattern, and for sums the factors of the two-hop part."""
        if self.constant_couplings:
            self._couplings()
            self._diagonal()
            if self.potential.dim == 1:
                self._series()
            return
        w, d = self.out, self.d
        w("")
        w("@njit(**OPTIONS)")
        extra = ["jac", "jac_t", "weight"] if len(self.sums) else []
        with w.block(self._signature("hessian", ["w", "data", *extra])):
            self._prelude()
            self._fill_node_functions()
            if len(self.sums):
                self._weights_phase()
            with w.block("if phase & 4:"), self._row_loop("i"):
                node = [d.node_hessian[c][b] for c, b in self._upper]
                self._load_row(node, self._with_squares([*self._slot_curvature(), *self._slopes()]))
                self._fill_row()
                self._assign([f"N{c}_{b} =" for c, b in self._upper], node, "r")
                w("place = diagonal + i")
                self._store_block("place", lambda c, b: f"S{c}_{b} + N{c}_{b}")
                for m in self.sums:
                    w(f"jac[{m}, place] = J{m}")
                    w(f"jac_t[{m}, place] = J{m}")
            w("return 0.0")

    @property
    def constant_couplings(self) -> bool:
        """Whether entries between different nodes do not depend on w: pair terms are quadratic."""
        return not len(self.sums) and all(name[0] in "pqebs" for name in symbol_names(self._slot_curvature()))

    @property
    def _upper(self) -> list[tuple[int, int]]:
        return [(c, b) for c in self.dims for b in self.dims if c <= b]

    def _slot_curvature(self) -> list[Any]:
        slots = [self.d.curvature[c][b] for c, b in self._upper]
        for m in self.sums:
            slots[0] += symbol(f"P{m}") * self.d.phi[m][2] + symbol(f"Pj{m}") * self.d.phi_back[m][1]
        return slots

    def _slopes(self) -> list[Any]:
        return [e for m in self.sums for e in (self.d.phi[m][1], self.d.phi_back[m][0])]

    def _fill_row(self) -> None:
        """Write the loop over the slots of row i; its sums S and J, and the slot before which the diagonal stands."""
        w, flat, slopes = self.out, self._slot_curvature(), self._slopes()
        w("begin, end = indptr[i], indptr[i + np.uint64(1)]")
        w("diagonal = end")
        for c, b in self._upper:
            w(f"S{c}_{b} = 0.0")
        for m in self.sums:
            w(f"J{m} = 0.0")
        w("k = begin")
        with w.block("while k < end:"):
            self._begin_slot([*flat, *slopes])
            w("" if self.potential.uniform else "a = weights[k]")
            with w.block("if j > i and diagonal == end:"):
                w("diagonal = k")
            a = sy.Symbol("a")
            self._assign(
                [f"C{c}_{b} =" for c, b in self._upper] + [f"L{q} =" for q in range(len(slopes))],
                [a * e for e in [*flat, *slopes]],
                "t",
            )
            w("place = k + i + (np.uint64(1) if j > i else np.uint64(0))")
            for c, b in self._upper:
                w(f"S{c}_{b} += C{c}_{b}")
            self._store_block("place", lambda c, b: f"-C{c}_{b}")
            for m in self.sums:
                w(f"J{m} += L{2 * m}")
                w(f"jac[{m}, place] = -L{2 * m}")
                w(f"jac_t[{m}, place] = -L{2 * m + 1}")
            w("k = after(k)")

    def _couplings(self) -> None:
        """Write the kernel that runs once: entries between nodes, their row sums, and where the diagonal stands."""
        w = self.out
        w("")
        w("@njit(**OPTIONS)")
        with w.block(self._signature("couplings", ["data", "row_sum", "middle"])):
            self._prelude()
            with self._row_loop("i"):
                self._fill_row()
                w("middle[i] = diagonal")
                for q, (c, b) in enumerate(self._upper):
                    w(f"row_sum[{q}, i] = S{c}_{b}")
            w("return 0.0")

    def _diagonal(self) -> None:
        """Write the kernel that refreshes the diagonal blocks alone."""
        w, d = self.out, self.d
        w("")
        w("@njit(**OPTIONS)")
        with w.block(self._signature("hessian", ["w", "data", "row_sum", "middle"])):
            self._prelude()
            self._fill_node_functions()
            with w.block("if phase & 4:"), self._row_loop("i"):
                node = [d.node_hessian[c][b] for c, b in self._upper]
                self._load_row(node, [])
                self._assign(
                    [f"N{c}_{b} =" for c, b in self._upper],
                    [sy.Symbol(f"row_sum[{q}, i]") + e for q, e in enumerate(node)],
                    "r",
                )
                if self.potential.dim > 1:
                    w("begin, end = indptr[i], indptr[i + np.uint64(1)]")
                w("place = middle[i] + i")
                self._store_block("place", lambda c, b: f"N{c}_{b}")
            w("return 0.0")

    def _series(self) -> None:
        """Write the kernel of the derivatives along each node from the second on; mixed ones of third order vanish."""
        w, d = self.out, self.d
        w("")
        w("@njit(**OPTIONS)")
        with w.block(self._signature("series", ["w", "row_sum", "second", "third", "fourth"])):
            self._prelude()
            self._fill_node_functions()
            with w.block("if phase & 4:"), self._row_loop("i"):
                node = d.node_hessian[0][0]
                self._load_row([node, *d.node_series], [])
                # the second apart, so that it is to the last bit what the Hessian has
                self._assign(["second[i] ="], [sy.Symbol("row_sum[0, i]") + node], "r")
                self._assign(["third[i] =", "fourth[i] ="], d.node_series, "t")
            w("return 0.0")

    def _store_block(self, place: str, entry: Callable[[int, int], str]) -> None:
        """Write a symmetric d x d block of ``entry(c, b)``, c <= b; the rows of node i start at d^2 (indptr[i] + i)."""
        dim = self.potential.dim
        if dim == 1:
            self.out(f"data[{place}] = {entry(0, 0)}")
            return
        one = "np.uint64(1)"
        self.out(f"first = np.uint64({dim * dim}) * (begin + i) + np.uint64({dim}) * ({place} - begin - i)")
        self.out(f"width = np.uint64({dim}) * (end - begin + {one})")
        for c in self.dims:
            for b in self.dims:
                self.out(f"data[first + np.uint64({c}) * width + np.uint64({b})] = {entry(min(c, b), max(c, b))}")

    def _weights_phase(self) -> None:
        w, d = self.out, self.d
        with w.block("if phase & 2:"), self._row_loop("i"):
            accumulators: list[Any] = []
            sums = [d.factor(phi).evaluate(accumulators) for phi, _, _ in d.phi]
            outer = [*d.outer_gradient, *(e for row in d.outer_hessian for e in row)]
            self._load_row([*sums, *outer], accumulators)
            self._slot_loop(accumulators, "i")
            self._assign([f"s{m} =" for m in self.sums], sums, "r")
            targets = [f"field[{self.trig + m}, i] =" for m in self.sums]
            targets += [f"weight[{m}, {q}, i] =" for m in self.sums for q in self.sums]
            self._assign(targets, outer, "g")
