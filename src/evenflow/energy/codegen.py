"""From derived expressions to the source text of a module of numba kernels.

Every kernel works on a range of rows ``[start, stop)``, writes only to its own rows and returns the energy of its
rows, so that any number of threads gives the same bits. Arguments after the range, in this order, are the arrays the
potential needs: ``indptr, indices`` (uint32 or uint64: unsigned, so that numba adds no wrap-around test), ``weights``
(2m,) or the common weight ``a`` as a number, ``edge`` (columns, 2m), ``node`` (columns, n), ``params`` (p,) and
``field`` (functions, n): the scratch array of node functions.

``phase`` selects node functions (1), neighbourhood sums (2) and rows (4), so that a chunked caller can put a barrier
between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy as sy

from evenflow.energy.potential import Potential
from evenflow.energy.source import HEADER, TWO_HOP, Printer, Writer, sincos_source
from evenflow.energy.symbolic import Derivation, derive, symbol

__all__ = ["generate"]


class Generator:
    """Writes the kernels of one potential."""

    def __init__(self, potential: Potential) -> None:
        self.potential = potential
        self.d: Derivation = derive(potential)
        self.out = Writer()
        self.printer = Printer()
        self.dims = range(potential.dim)
        self.sums = range(len(potential.sums))
        self.trig = 2 * len(self.d.scales)  # rows of ``field`` that hold node functions
        self.columns = self._edge_columns()
        self.node_columns = potential.node_columns()
        fields = self.trig + 2 * len(self.sums)
        self.tail = ["indptr", "indices", "a" if potential.uniform else "weights"]
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

    def module(self) -> str:
        """Return the source of the module."""
        self.out(HEADER)
        self.out(f"FIELDS = {self.fields}")
        self.out(f"COLUMNS = {len(self.columns)}")
        self.out(f"TAIL = {self.tail!r}")
        self._write_edge_columns()
        if self.d.scales:
            self.out(sincos_source())
        if len(self.sums):
            self.out(TWO_HOP)
        self._rows("value")
        self._rows("gradient")
        self._rows("hvp")
        self._hessian()
        if not len(self.sums):
            self._relax()
        return self.out.text()

    # -- pieces -------------------------------------------------------------------------------------------------

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
        names = _symbol_names(expressions) | _symbol_names(slots)
        far = _symbol_names(slots)
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
        names = _symbol_names(slots)
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

    def _assign(self, targets: list[str], expressions: list[Any], prefix: str) -> None:
        """Assign expressions to targets, common subexpressions first."""
        temporaries, results = sy.cse(
            expressions, symbols=(sy.Symbol(f"{prefix}{k}") for k in range(10**6)), order="none"
        )
        for name, e in temporaries:
            self.out(f"{name} = {self.printer.doprint(e)}")
        for target, e in zip(targets, results, strict=True):
            self.out(f"{target} {self.printer.doprint(e)}")

    def _slot_loop(self, accumulators: list[Any]) -> None:
        """Accumulate ``A_m = sum over the slots of row i of a_ij accumulators[m]``."""
        uniform = self.potential.uniform
        sums = [k for k, e in enumerate(accumulators) if not (uniform and e == 1)]
        for k in range(len(accumulators)):
            text = "0.0" if k in sums else "a * np.float64(indptr[i + np.uint64(1)] - indptr[i])"
            self.out(f"A{k} = {text}")
        if not sums:
            return
        with self.out.block("for k in range(indptr[i], indptr[i + np.uint64(1)]):"):
            slots = [accumulators[k] for k in sums]
            self._load_slot(self._with_squares(slots))
            factor = sy.Integer(1) if uniform else sy.Symbol("a")
            if not uniform:
                self.out("a = weights[k]")
            self._assign([f"A{k} +=" for k in sums], [factor * e for e in slots], "t")
        if uniform:
            for k in sums:
                self.out(f"A{k} *= a")

    def _with_squares(self, slots: list[Any]) -> list[Any]:
        return [*slots, *(symbol(f"D{c}") for c in self.dims)] if "x" in _symbol_names(slots) else slots

    # -- kernels ------------------------------------------------------------------------------------------------

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
            with w.block("if phase & 4:"), w.block("for i in range(np.uint64(start), np.uint64(stop)):"):
                self._load_row(results, self._with_squares(accumulators))
                self._slot_loop(accumulators)
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
        with w.block("if phase & 2:"), w.block("for i in range(np.uint64(start), np.uint64(stop)):"):
            accumulators: list[Any] = []
            sums = [d.factor(phi).evaluate(accumulators) for phi, _, _ in d.phi]
            slopes = []
            if kind == "hvp":
                slopes = [d.factor(first * symbol("dv0")).evaluate(accumulators) for _, first, _ in d.phi]
            outer = [d.outer, *d.outer_gradient, *(e for row in d.outer_hessian for e in row)]
            self._load_row([*sums, *slopes, *outer], accumulators)
            self._slot_loop(accumulators)
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

    def _hessian(self) -> None:
        """Write the kernel that fills the one-hop pattern, and for sums the factors of the two-hop part."""
        w, d, dim = self.out, self.d, self.potential.dim
        w("")
        w("@njit(**OPTIONS)")
        extra = ["jac", "jac_t", "weight"] if len(self.sums) else []
        slots = [list(row) for row in d.curvature]
        for m in self.sums:
            slots[0][0] += symbol(f"P{m}") * d.phi[m][2] + symbol(f"Pj{m}") * d.phi_back[m][1]
        with w.block(self._signature("hessian", ["w", "data", *extra])):
            self._prelude()
            self._fill_node_functions()
            if len(self.sums):
                self._weights_phase()
            with w.block("if phase & 4:"), w.block("for i in range(np.uint64(start), np.uint64(stop)):"):
                upper = [(c, b) for c in self.dims for b in self.dims if c <= b]
                flat = [slots[c][b] for c, b in upper]
                node = [d.node_hessian[c][b] for c, b in upper]
                slopes = [e for m in self.sums for e in (d.phi[m][1], d.phi_back[m][0])]
                self._load_row(node, self._with_squares([*flat, *slopes]))
                w("begin, end = indptr[i], indptr[i + np.uint64(1)]")
                w("diagonal = end")
                for c, b in upper:
                    w(f"S{c}_{b} = 0.0")
                for m in self.sums:
                    w(f"J{m} = 0.0")
                with w.block("for k in range(begin, end):"):
                    self._load_slot(self._with_squares([*flat, *slopes]))
                    w("" if self.potential.uniform else "a = weights[k]")
                    with w.block("if j > i and diagonal == end:"):
                        w("diagonal = k")
                    a = sy.Symbol("a")
                    self._assign(
                        [f"C{c}_{b} =" for c, b in upper] + [f"L{q} =" for q in range(len(slopes))],
                        [a * e for e in [*flat, *slopes]],
                        "t",
                    )
                    w("place = k + i + (np.uint64(1) if j > i else np.uint64(0))")
                    for c, b in upper:
                        w(f"S{c}_{b} += C{c}_{b}")
                    self._store_block("place", [[f"-C{min(c, b)}_{max(c, b)}" for b in self.dims] for c in self.dims])
                    for m in self.sums:
                        w(f"J{m} += L{2 * m}")
                        w(f"jac[{m}, place] = -L{2 * m}")
                        w(f"jac_t[{m}, place] = -L{2 * m + 1}")
                self._assign([f"N{c}_{b} =" for c, b in upper], node, "r")
                w("place = diagonal + i")
                self._store_block(
                    "place",
                    [[f"S{min(c, b)}_{max(c, b)} + N{min(c, b)}_{max(c, b)}" for b in self.dims] for c in self.dims],
                )
                for m in self.sums:
                    w(f"jac[{m}, place] = J{m}")
                    w(f"jac_t[{m}, place] = J{m}")
            w("return 0.0")
        assert dim == 1 or not len(self.sums)

    def _store_block(self, place: str, block: list[list[str]]) -> None:
        """Write a d x d block; the rows of node i start at d^2 (indptr[i] + i)."""
        dim = self.potential.dim
        if dim == 1:
            self.out(f"data[{place}] = {block[0][0]}")
            return
        one = "np.uint64(1)"
        self.out(f"first = np.uint64({dim * dim}) * (begin + i) + np.uint64({dim}) * ({place} - begin - i)")
        self.out(f"width = np.uint64({dim}) * (end - begin + {one})")
        for c in self.dims:
            for b in self.dims:
                self.out(f"data[first + np.uint64({c}) * width + np.uint64({b})] = {block[c][b]}")

    def _relax(self) -> None:
        """Write the sweep that moves each node by one Newton step along its own diagonal, never uphill."""
        w, d = self.out, self.d
        w("")
        w("@njit(**OPTIONS)")
        with w.block(self._signature("relax", ["w", "free"])):
            self._prelude()
            self._fill_node_functions()
            with w.block("for i in range(np.uint64(start), np.uint64(stop)):"):
                with w.block("if not free[i]:"):
                    w("continue")
                accumulators: list[Any] = []
                results = [d.factor(d.value).evaluate(accumulators) + d.node_value]
                value_sums = len(accumulators)
                slots = [*d.gradient, *(d.curvature[c][c] for c in self.dims)]
                nodes = [*d.node_gradient, *(d.node_hessian[c][c] for c in self.dims)]
                results += [d.factor(s).evaluate(accumulators) + g for s, g in zip(slots, nodes, strict=True)]
                self._load_row(results, self._with_squares(accumulators))
                self._slot_loop(accumulators)
                targets = ["before =", *(f"G{c} =" for c in self.dims), *(f"H{c} =" for c in self.dims)]
                self._assign(targets, results, "r")
                for c in self.dims:
                    w(f"old{c} = w[i]" if self.potential.dim == 1 else f"old{c} = w[i, {c}]")
                    w(f"step{c} = -G{c} / H{c} if H{c} > 0.0 else 0.0")
                with w.block("for attempt in range(3):"):
                    self._try_step(results[0], accumulators[:value_sums])
            w("return 0.0")

    def _try_step(self, energy: Any, accumulators: list[Any]) -> None:
        """Write one trial of :meth:`_relax`: accept the step, or shorten it."""
        w, d = self.out, self.d
        for c in self.dims:
            w(f"w{c} = old{c} + step{c}")
        for k, scale in enumerate(d.scales):
            for f, function in enumerate(("cos", "sin")):
                w(f"h{2 * k + f} = math.{function}({self.printer.doprint(scale)} * w0)")
        self._slot_loop(accumulators)
        self._assign(["after ="], [energy], "u")
        with w.block("if after <= before:"):
            for c in self.dims:
                w(f"w[i] = w{c}" if self.potential.dim == 1 else f"w[i, {c}] = w{c}")
            for k in range(self.trig):
                w(f"field[{k}, i] = h{k}")
            w("break")
        for c in self.dims:
            w(f"step{c} *= 0.25")

    def _weights_phase(self) -> None:
        w, d = self.out, self.d
        with w.block("if phase & 2:"), w.block("for i in range(np.uint64(start), np.uint64(stop)):"):
            accumulators: list[Any] = []
            sums = [d.factor(phi).evaluate(accumulators) for phi, _, _ in d.phi]
            outer = [*d.outer_gradient, *(e for row in d.outer_hessian for e in row)]
            self._load_row([*sums, *outer], accumulators)
            self._slot_loop(accumulators)
            self._assign([f"s{m} =" for m in self.sums], sums, "r")
            targets = [f"field[{self.trig + m}, i] =" for m in self.sums]
            targets += [f"weight[{m}, {q}, i] =" for m in self.sums for q in self.sums]
            self._assign(targets, outer, "g")


def _symbol_names(expressions: Iterable[Any]) -> set[str]:
    return {str(x) for e in expressions for x in sy.sympify(e).free_symbols}


def generate(potential: Potential) -> str:
    """Return the source of the kernel module of a potential."""
    return Generator(potential).module()
