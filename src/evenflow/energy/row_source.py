"""Parts that all generated kernels share: arguments, loading of rows and slots, sums over slots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sympy as sy

from evenflow.energy.locality import Layout
from evenflow.energy.potential import Potential
from evenflow.energy.source import Printer, Writer
from evenflow.energy.symbolic import Derivation, derive, symbol

__all__ = ["RowSource", "symbol_names"]


class RowSource:
    """Writes the rows of one potential.

    Parameters
    ----------
    potential : Potential
    layout : {"plain", "scattered", "sorted"}
        How kernels go through the rows of the graph.
    """

    def __init__(self, potential: Potential, layout: Layout) -> None:
        self.potential, self.layout = potential, layout
        self.turn = "r" if layout == "sorted" else "i"  # what rows are counted by, but in the Hessian
        self.d: Derivation = derive(potential)
        self.out = Writer()
        self.printer = Printer()
        self.dims = range(potential.dim)
        self.sums = range(len(potential.sums))
        self.trig = 2 * len(self.d.scales)  # rows of ``field`` that hold node functions
        self.columns = self._edge_columns()
        self.node_columns = potential.node_columns()
        fields = self.trig + 2 * len(self.sums)
        self.tail = ["order"] * (layout == "sorted") + ["indptr", "indices", "a" if potential.uniform else "weights"]
        self.tail += ["edge"] * bool(self.columns) + ["node"] * bool(self.node_columns)
        self.tail += ["params"] * bool(potential.constants) + ["field"] * bool(fields)
        self.fields = fields

    def _edge_columns(self) -> list[tuple[Any, Any]]:
        used = set()
        slot_expressions = [self.d.value, *self.d.gradient, *(e for row in self.d.curvature for e in row)]
        slot_expressions += [e for group in (*self.d.phi, *self.d.phi_back) for e in group]
        for e in slot_expressions:
            used |= {x for x in sy.sympify(e).free_symbols if str(x)[0] in "eb"}
        formulas = dict(self.d.columns)
        return [(x, formulas.get(x, x)) for x in sorted(used, key=str)]

    def _write_edge_columns(self) -> None:
        printer = Printer("np")
        w = self.out
        w("")
        with w.block("def edge_columns(e, p):"):
            w("# slot data from the edge data e[k] (2m,) and the constants p")
            rows = []
            for _, formula in self.columns:
                names = {x: sy.Symbol(f"{str(x)[0]}[{str(x)[1:]}]") for x in sy.sympify(formula).free_symbols}
                rows.append(printer.doprint(formula.subs(names)))
            w(f"return np.ascontiguousarray(np.stack([{', '.join(rows)}]))" if rows else "return None")
        w("")

    def _signature(self, name: str, arrays: Iterable[str]) -> str:
        return f"def {name}({', '.join([*arrays, 'start', 'stop', 'phase', *self.tail])}):"

    def _prelude(self) -> None:
        for k in range(len(self.potential.constants)):
            self.out(f"p{k} = params[{k}]")
        for name, formula in self.d.prelude.items():
            self.out(f"{name} = {self.printer.doprint(formula)}")

    def _fill_node_functions(self) -> None:
        if not self.d.scales:
            return
        with self.out.block("if phase & 1:"):
            for k, scale in enumerate(self.d.scales):
                row = 2 * k
                self.out(f"sincos(start, stop, {self.printer.doprint(scale)}, w, field[{row}], field[{row + 1}])")

    def _load_row(self, expressions: Iterable[Any], slots: Iterable[Any]) -> None:
        """Load row symbols that the row's expressions need."""
        slots = list(slots)
        names = symbol_names(expressions) | symbol_names(slots)
        far = symbol_names(slots)
        for c in self.dims:
            if f"w{c}" in names or f"D{c}" in far:
                self.out(f"w{c} = w[i]" if self.potential.dim == 1 else f"w{c} = w[i, {c}]")
            if f"v{c}" in names or f"dv{c}" in far:
                self.out(f"v{c} = v[i]" if self.potential.dim == 1 else f"v{c} = v[i, {c}]")
        for k in range(self.trig):
            if f"h{k}" in names:
                self.out(f"h{k} = field[{k}, i]")
        for m in self.sums:
            for letter, offset in (("P", self.trig), ("Q", self.trig + len(self.sums))):
                if f"{letter}{m}" in names:
                    self.out(f"{letter}{m} = field[{offset + m}, i]")
        for k in range(self.node_columns):
            if f"n{k}" in names:
                self.out(f"n{k} = node[{k}, i]")

    def _load_slot(self, slots: Iterable[Any]) -> None:
        names = symbol_names(slots)
        self.out("j = indices[k]")
        for c in self.dims:
            at = "j" if self.potential.dim == 1 else f"j, {c}"
            if f"D{c}" in names:
                self.out(f"D{c} = w{c} - w[{at}]")
            if f"dv{c}" in names:
                self.out(f"dv{c} = v{c} - v[{at}]")
        if "x" in names:
            self.out("x = " + " + ".join(f"D{c} * D{c}" for c in self.dims))
        for k in range(self.trig):
            if f"hj{k}" in names:
                self.out(f"hj{k} = field[{k}, j]")
        for m in self.sums:
            for letter, offset in (("Pj", self.trig), ("Qj", self.trig + len(self.sums))):
                if f"{letter}{m}" in names:
                    self.out(f"{letter}{m} = field[{offset + m}, j]")
        for k, (name, _) in enumerate(self.columns):
            if str(name) in names:
                self.out(f"{name} = edge[{k}, k]")
        if "s" in names:
            self.out("s = 1.0 if j > i else -1.0")

    def _begin_slot(self, slots: list[Any]) -> None:
        """Load what the expressions of a slot need; where neighbours are far in memory, ask for a later one's."""
        slots = self._with_squares(slots)
        if self.layout == "scattered":
            self._prefetch(slots)
        self._load_slot(slots)

    def _prefetch(self, slots: Iterable[Any]) -> None:
        """Ask for what a later slot will load of its node."""
        names, dim, last = symbol_names(slots), self.potential.dim, self.trig + len(self.sums)
        states = [a for a, letter in (("w", "D"), ("v", "dv")) if any(f"{letter}{c}" in names for c in self.dims)]
        rows = [k for k in range(self.trig) if f"hj{k}" in names]
        rows += [self.trig + m for m in self.sums if f"Pj{m}" in names]
        rows += [last + m for m in self.sums if f"Qj{m}" in names]
        if states or rows:
            self.out("later = indices[k + np.uint64(AHEAD)]")
        for array in states:
            self.out(f"prefetch({array}, later)" if dim == 1 else f"prefetch({array}, later * np.uint64({dim}))")
        for row in rows:
            self.out(f"prefetch(field, np.uint64({row}) * np.uint64(field.shape[1]) + later)")

    def _assign(self, targets: list[str], expressions: list[Any], prefix: str) -> None:
        """Assign expressions to targets, common subexpressions first."""
        temporaries, results = sy.cse(
            expressions, symbols=(sy.Symbol(f"{prefix}{k}") for k in range(10**6)), order="none"
        )
        for name, e in temporaries:
            self.out(f"{name} = {self.printer.doprint(e)}")
        for target, e in zip(targets, results, strict=True):
            self.out(f"{target} {self.printer.doprint(e)}")

    @contextmanager
    def _row_loop(self, turn: str) -> Iterator[None]:
        """Write the loop over rows i, counted by a ``turn``."""
        with self.out.block(f"for {turn} in range(np.uint64(start), np.uint64(stop)):"):
            if turn != "i":
                self.out(f"i = np.uint64(order[{turn}])")
            yield

    def _slot_loop(self, accumulators: list[Any], turn: str) -> None:
        """Accumulate ``A_m = sum over the slots of row i of a_ij accumulators[m]``; they are those of a ``turn``."""
        uniform = self.potential.uniform
        sums = [k for k, e in enumerate(accumulators) if not (uniform and e == 1)]
        for k in range(len(accumulators)):
            text = "0.0" if k in sums else f"a * np.float64(indptr[{turn} + np.uint64(1)] - indptr[{turn}])"
            self.out(f"A{k} = {text}")
        if not sums:
            return
        self.out(f"k, end = indptr[{turn}], indptr[{turn} + np.uint64(1)]")
        with self.out.block("while k < end:"):
            slots = [accumulators[k] for k in sums]
            self._begin_slot(slots)
            factor = sy.Integer(1) if uniform else sy.Symbol("a")
            if not uniform:
                self.out("a = weights[k]")
            self._assign([f"A{k} +=" for k in sums], [factor * e for e in slots], "t")
            self.out("k = after(k)")
        if uniform:
            for k in sums:
                self.out(f"A{k} *= a")

    def _with_squares(self, slots: list[Any]) -> list[Any]:
        return [*slots, *(symbol(f"D{c}") for c in self.dims)] if "x" in symbol_names(slots) else slots


def symbol_names(expressions: Iterable[Any]) -> set[str]:
    """Names of the symbols in some expressions."""
    return {str(x) for e in expressions for x in sy.sympify(e).free_symbols}
