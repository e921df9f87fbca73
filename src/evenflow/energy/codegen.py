"""From derived expressions to the source text of a module of numba kernels.

Every kernel works on a range of rows ``[start, stop)``, writes only to its own rows and returns the energy of its
rows, so that any number of threads gives the same bits. Arguments after the range, in this order, are the arrays the
potential needs: ``indptr, indices`` (uint32 or uint64: unsigned, so that numba adds no wrap-around test), ``weights``
(2m,) or the common weight ``a`` as a number, ``edge`` (columns, 2m), ``node`` (columns, n), ``params`` (p,) and
``field`` (functions, n): the scratch array of node functions. Modules for scattered graphs ask for states ahead of
their turn (see :mod:`evenflow.energy.locality`); theirs is an ``indices`` that is ``AHEAD`` longer. Those for sorted
rows begin with ``order`` (n,), the row of each turn, and in all kernels but those of the Hessian ``indptr`` and what
belongs to slots is in the order of the turns.

``phase`` selects node functions (1), neighbourhood sums (2) and rows (4), so that a chunked caller can put a barrier
between them.
"""

from __future__ import annotations

from typing import Any

import sympy as sy

from evenflow.energy.hessian_source import HessianSource
from evenflow.energy.locality import Layout
from evenflow.energy.potential import Potential
from evenflow.energy.source import HEADER, PREFETCH, TWO_HOP, sincos_source
from evenflow.energy.symbolic import symbol

__all__ = ["generate"]


class Generator(HessianSource):
    """Writes the kernels of one potential."""

    def module(self) -> str:
        """Return the source of the module."""
        self.out(HEADER)
        if self.layout == "scattered":
            self.out(PREFETCH)
        self.out(f"FIELDS = {self.fields}")
        self.out(f"COLUMNS = {len(self.columns)}")
        self.out(f"TAIL = {self.tail!r}")
        self.out(f"QUARTIC = {self.d.node_quartic}")
        self._write_edge_columns()
        if self.d.scales:
            self.out(sincos_source())
        if len(self.sums):
            self.out(TWO_HOP)
        self._rows("value")
        self._rows("gradient")
        self._rows("hvp")
        self._hessian()
        return self.out.text()

    def _rows(self, kind: str) -> None:
        """Write the value, the value-and-gradient or the Hessian-product kernel."""
        w, d = self.out, self.d
        w("")
        w("@njit(**OPTIONS)")
        arrays = {"value": ["w"], "gradient": ["w", "out"], "hvp": ["w", "v", "out"]}[kind]
        with w.block(self._signature(kind, arrays)):
            self._prelude()
            self._fill_node_functions()
            if len(self.sums):
                self._sum_phase(kind)
            accumulators: list[Any] = []
            energy: Any = sy.Integer(0)
            if kind != "hvp":
                energy = d.factor(d.value).evaluate(accumulators) / 2 + d.node_value
            targets, results = [], []
            if kind != "value":
                for c, slot in enumerate(self._slot_outputs(kind)):
                    targets.append("out[i] =" if self.potential.dim == 1 else f"out[i, {c}] =")
                    results.append(d.factor(slot).evaluate(accumulators) + self._node_output(kind, c))
            if kind != "hvp":
                targets.insert(0, "energy +=")
                results.insert(0, energy)
            w("energy = 0.0")
            with w.block("if phase & 4:"), self._row_loop(self.turn):
                self._load_row(results, self._with_squares(accumulators))
                self._slot_loop(accumulators, self.turn)
                self._assign(targets, results, "r")
            w("return energy" + ("" if not len(self.sums) or kind == "hvp" else " + outer_energy"))

    def _slot_outputs(self, kind: str) -> list[Any]:
        d = self.d
        dv = [symbol(f"dv{c}") for c in self.dims]
        if kind == "gradient":
            slots = list(d.gradient)
        else:
            slots = [sum((d.curvature[c][b] * dv[b] for b in self.dims), sy.Integer(0)) for c in self.dims]
        for m in self.sums:
            P, Q, Pj, Qj = (symbol(f"{letter}{m}") for letter in ("P", "Q", "Pj", "Qj"))
            _, first, second = d.phi[m]
            first_back, second_back = d.phi_back[m]
            if kind == "gradient":
                slots[0] += P * first - Pj * first_back
            else:
                slots[0] += Q * first - Qj * first_back + (P * second + Pj * second_back) * dv[0]
        return slots

    def _node_output(self, kind: str, c: int) -> Any:
        if kind == "gradient":
            return self.d.node_gradient[c]
        return sum((self.d.node_hessian[c][b] * symbol(f"v{b}") for b in self.dims), sy.Integer(0))

    def _sum_phase(self, kind: str) -> None:
        """Neighbourhood sums s_i and what later rows need of them: P = dF/ds and, for products, Q = d2F/ds2 ds."""
        w, d = self.out, self.d
        w("outer_energy = 0.0")
        with w.block("if phase & 2:"), self._row_loop(self.turn):
            accumulators: list[Any] = []
            sums = [d.factor(phi).evaluate(accumulators) for phi, _, _ in d.phi]
            slopes = []
            if kind == "hvp":
                slopes = [d.factor(first * symbol("dv0")).evaluate(accumulators) for _, first, _ in d.phi]
            outer = [d.outer, *d.outer_gradient, *(e for row in d.outer_hessian for e in row)]
            self._load_row([*sums, *slopes, *outer], accumulators)
            self._slot_loop(accumulators, self.turn)
            self._assign([f"s{m} =" for m in self.sums], sums, "r")
            if kind != "hvp":
                self._assign(["outer_energy +="], [d.outer], "u")
            if kind != "value":
                self._assign([f"field[{self.trig + m}, i] =" for m in self.sums], d.outer_gradient, "g")
            if kind == "hvp":
                self._assign([f"ds{m} =" for m in self.sums], slopes, "y")
                ds = [symbol(f"ds{m}") for m in self.sums]
                products = [sum((row[m] * ds[m] for m in self.sums), sy.Integer(0)) for row in d.outer_hessian]
                offset = self.trig + len(self.sums)
                self._assign([f"field[{offset + m}, i] =" for m in self.sums], products, "z")


def generate(potential: Potential, layout: Layout = "plain") -> str:
    """Return the source of the kernel module of a potential, for a way to go through the rows of a graph."""
    return Generator(potential, layout).module()
