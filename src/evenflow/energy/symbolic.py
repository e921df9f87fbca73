"""From a potential to the expressions that its kernels compute; runs only when the cache has no kernels yet.

Trigonometric functions of differences are expanded, cos(w_i - w_j) = cos w_i cos w_j + sin w_i sin w_j, so that sines
and cosines are computed once for each node and not for each edge; what depends on the row alone is then taken out of
the sum over its slots.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sympy as sy

from evenflow.energy.expression import OPERATORS, Expression
from evenflow.energy.potential import Potential

__all__ = ["Derivation", "RowSum", "derive"]

_SYMPY = {
    "sqrt": sy.sqrt, "exp": sy.exp, "log": sy.log, "sin": sy.sin, "cos": sy.cos, "tan": sy.tan, "sinh": sy.sinh,
    "cosh": sy.cosh, "tanh": sy.tanh, "arctan": sy.atan, "abs": sy.Abs,
}  # fmt: skip


def symbol(name: str) -> Any:
    """Return the real sympy symbol of this name."""
    return sy.Symbol(name, real=True)


@dataclass
class RowSum:
    """A row quantity ``sum_k row_k * (sum over slots of a_ij slot_k) + rest``: row factors taken out of the sum."""

    terms: list[tuple[Any, Any]]

    def evaluate(self, accumulators: list[Any]) -> Any:
        """Build the row expression, registering the slot expressions it needs in ``accumulators``."""
        total = sy.Integer(0)
        for row, slot in self.terms:
            if slot not in accumulators:
                accumulators.append(slot)
            total += row * sy.Symbol(f"A{accumulators.index(slot)}")
        return total


@dataclass
class Derivation:
    """Everything the code generator needs, as sympy expressions.

    Slot symbols: ``D0 ...`` differences, ``hj0 ...`` node functions at the far end, ``e0 ...`` and ``b0 ...`` edge data
    and functions of them, ``s`` the orientation, ``dv0 ...`` differences of a direction. Row symbols: ``w0 ...``,
    ``h0 ...``, ``n0 ...``, ``v0 ...``.
    """

    potential: Potential
    scales: list[Any] = field(default_factory=list)  # sines and cosines of scale * w are kept for each node
    columns: dict[Any, Any] = field(default_factory=dict)  # edge column symbol -> its formula in edge data
    prelude: dict[Any, Any] = field(default_factory=dict)  # symbol -> formula in constants alone
    value: Any = None
    gradient: list[Any] = field(default_factory=list)
    curvature: list[list[Any]] = field(default_factory=list)
    node_value: Any = None
    node_gradient: list[Any] = field(default_factory=list)
    node_hessian: list[list[Any]] = field(default_factory=list)
    node_series: list[Any] = field(default_factory=list)  # third and fourth derivative, for d = 1
    node_quartic: bool = False  # whether the node's term is a polynomial of at most fourth degree, for d = 1
    phi: list[tuple[Any, Any, Any]] = field(default_factory=list)  # phi, phi', phi'' of slot (i, j)
    phi_back: list[tuple[Any, Any]] = field(default_factory=list)  # phi', phi'' of the reversed slot
    outer: Any = None
    outer_gradient: list[Any] = field(default_factory=list)
    outer_hessian: list[list[Any]] = field(default_factory=list)

    def hoist(self, expression: Any) -> Any:
        """Write sines and cosines of ``scale * D0 + edge formula`` with node functions of both ends."""
        if self.potential.squared:
            return expression
        D = symbol("D0")
        return expression.replace(
            lambda e: isinstance(e, sy.sin | sy.cos) and e.args[0].has(D), lambda e: self._expand(e, D)
        )

    def hoist_node(self, expression: Any) -> Any:
        """Use the node functions in a node term where it asks for the same ones."""
        w = symbol("w0")
        if self.potential.dim > 1:
            return expression

        def known(e: Any) -> Any:
            scale, sign = _positive(sy.expand(e.args[0]).coeff(w, 1))
            if sy.expand(e.args[0] - sign * scale * w) != 0 or scale not in self.scales:
                return e
            index = self.scales.index(scale)
            return symbol(f"h{2 * index}") if isinstance(e, sy.cos) else sign * symbol(f"h{2 * index + 1}")

        return expression.replace(lambda e: isinstance(e, sy.sin | sy.cos) and e.args[0].has(w), known)

    def _expand(self, e: Any, D: Any) -> Any:
        angle = sy.expand(e.args[0])
        slope = angle.coeff(D, 1)
        offset = sy.expand(angle - slope * D)
        if offset.has(D) or any(str(name)[0] != "p" for name in slope.free_symbols):
            return e
        scale, sign = _positive(slope)
        if scale not in self.scales:
            self.scales.append(scale)
        k = self.scales.index(scale)
        ci, si, cj, sj = (symbol(f"{end}{2 * k + f}") for end, f in (("h", 0), ("h", 1), ("hj", 0), ("hj", 1)))
        co, so = self._edge_function(sy.cos(offset)), self._edge_function(sy.sin(offset))
        # angle = sign (scale w_i) + rest, rest = -sign (scale w_j) + offset
        c_rest, s_rest = cj * co + sign * sj * so, cj * so - sign * sj * co
        if isinstance(e, sy.cos):
            return ci * c_rest - sign * si * s_rest
        return sign * si * c_rest + ci * s_rest

    def _edge_function(self, e: Any) -> Any:
        if e.is_Number:
            return e
        sign = -1 if e.could_extract_minus_sign() else 1
        e = sign * e
        is_edge = any(str(name)[0] == "e" for name in e.free_symbols)
        table, letter = (self.columns, "b") if is_edge else (self.prelude, "q")
        for name, formula in table.items():
            if formula == e:
                return sign * name
        name = symbol(f"{letter}{len(table)}")
        table[name] = e
        return sign * name

    def factor(self, expression: Any) -> RowSum:
        """Take row factors out of a slot expression that is linear in them."""
        expression = sy.sympify(expression)
        if expression == 0:
            return RowSum([])
        coefficients = _multilinear(expression, self._row_groups(expression))
        if coefficients is None:
            coefficients = [(sy.Integer(1), expression)]
        terms = []
        for row, coefficient in coefficients:
            number, slot = sy.factor_terms(coefficient).as_coeff_Mul()
            constant, slot = slot.as_independent(*[x for x in slot.free_symbols if str(x)[0] not in "pq"], as_Add=False)
            if slot.could_extract_minus_sign():
                number, slot = -number, -slot
            if not slot.is_Add and not slot.free_symbols:
                constant, slot = constant * slot, sy.Integer(1)
            terms.append((row * number * constant, slot))
        return RowSum(terms)

    def _row_groups(self, expression: Any) -> list[list[Any]]:
        found = {str(name): name for name in expression.free_symbols}
        outer = [found[name] for name in sorted(found) if name[0] in "PQ" and name[1] != "j"]
        trig = [found[name] for name in sorted(found) if name[0] == "h" and name[1] != "j"]
        return [group for group in (outer, trig) if group]


def _positive(slope: Any) -> tuple[Any, int]:
    return (-slope, -1) if slope.could_extract_minus_sign() else (slope, 1)


def _multilinear(expression: Any, groups: list[list[Any]]) -> list[tuple[Any, Any]] | None:
    """Split ``expression`` into (row monomial, coefficient); None where it is not linear in each group."""
    if not groups:
        return [(sy.Integer(1), expression)]
    group, rest = groups[0], groups[1:]
    pieces = [(x, sy.diff(expression, x)) for x in group]
    if any(sy.expand(coefficient).has(*group) for _, coefficient in pieces):
        return None
    pieces = [(x, sy.expand(coefficient)) for x, coefficient in pieces]
    pieces.append((sy.Integer(1), expression.subs(dict.fromkeys(group, 0))))
    result: list[tuple[Any, Any]] = []
    for x, coefficient in pieces:
        if coefficient == 0:
            continue
        inner = _multilinear(coefficient, rest)
        if inner is None:
            return None
        result += [(x * monomial, value) for monomial, value in inner]
    return result


def to_sympy(expression: Expression | None) -> Any:
    """Convert a recorded formula."""
    if expression is None:
        return sy.Integer(0)
    if expression.op == "num":
        number = expression.args[0]
        return sy.Integer(number) if isinstance(number, int) else sy.nsimplify(number, rational=True)
    if expression.op == "sym":
        return symbol(expression.args[0])
    operands = [to_sympy(argument) for argument in expression.args]
    return (OPERATORS.get(expression.op) or _SYMPY[expression.op])(*operands)


def derivative(expression: Any, x: Any) -> Any:
    """Differentiate; the derivative of sign is 0 everywhere."""
    return sy.diff(expression, x).replace(sy.DiracDelta, lambda *_: sy.Integer(0)).doit()


def derive(potential: Potential) -> Derivation:
    """Differentiate a potential and arrange the results for row kernels."""
    d = Derivation(potential)
    _derive_pair(d)
    _derive_sums(d)
    w = [symbol(f"w{c}") for c in range(potential.dim)]
    node = to_sympy(potential.node)
    d.node_value = d.hoist_node(node)
    d.node_gradient = [d.hoist_node(derivative(node, a)) for a in w]
    d.node_hessian = [[d.hoist_node(derivative(derivative(node, a), b)) for b in w] for a in w]
    if potential.dim == 1:
        third = derivative(derivative(derivative(node, w[0]), w[0]), w[0])
        fourth = derivative(third, w[0])
        d.node_series = [d.hoist_node(third), d.hoist_node(fourth)]
        d.node_quartic = bool(node.is_polynomial(w[0]) and sy.expand(derivative(fourth, w[0])) == 0)
    return d


def _derive_pair(d: Derivation) -> None:
    potential, x = d.potential, symbol("x")
    D = [symbol(f"D{c}") for c in range(potential.dim)]
    f = to_sympy(potential.pair)
    if potential.squared:
        f1, f2 = derivative(f, x), derivative(derivative(f, x), x)
        d.value = f
        d.gradient = [2 * f1 * a for a in D]
        d.curvature = [[4 * f2 * a * b + (2 * f1 if a is b else 0) for b in D] for a in D]
        return
    f = _orient(f.subs(x, D[0]), D[0], potential)
    f1 = derivative(f, D[0])
    d.value, d.gradient, d.curvature = d.hoist(f), [d.hoist(f1)], [[d.hoist(derivative(f1, D[0]))]]


def _orient(f: Any, D: Any, potential: Potential) -> Any:
    """Make f give the same energy from both ends of an edge, with ``s`` = 1 on slots that run up, else -1."""
    back = _reversed(f, D, potential)
    if sy.expand(f - back) == 0:
        return f
    s = symbol("s")
    if f.has(sy.sin, sy.cos):
        return (f + back) / 2 + s * (f - back) / 2
    return f.subs({D: s * D} | {x: s * x for x in _oriented(potential)}, simultaneous=True)


def _oriented(potential: Potential) -> list[Any]:
    return [symbol(f"e{k}") for k, flips in enumerate(potential.oriented) if flips]


def _reversed(f: Any, D: Any, potential: Potential) -> Any:
    return f.subs({D: -D} | {x: -x for x in _oriented(potential)}, simultaneous=True)


def _derive_sums(d: Derivation) -> None:
    potential, D = d.potential, symbol("D0")
    for formula in potential.sums:
        phi = to_sympy(formula).subs(symbol("x"), D)
        first = derivative(phi, D)
        second = derivative(first, D)
        d.phi.append((d.hoist(phi), d.hoist(first), d.hoist(second)))
        d.phi_back.append((d.hoist(_reversed(first, D, potential)), d.hoist(_reversed(second, D, potential))))
    sums = [symbol(f"s{m}") for m in range(len(potential.sums))]
    d.outer = to_sympy(potential.outer)
    d.outer_gradient = [derivative(d.outer, a) for a in sums]
    d.outer_hessian = [[derivative(derivative(d.outer, a), b) for b in sums] for a in sums]
