"""Potential: the formulas of a local energy, in the canonical form that names its kernels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from evenflow.energy.expression import Expression, names, substitute

__all__ = ["Potential"]

_SMALL_DYADIC = 16.0


@dataclass(frozen=True)
class Potential:
    """Formulas of a local energy on canonical symbols.

    ``x`` is the argument of a pair term, ``w0 ...`` the state components of a node, ``s0 ...`` the neighbourhood sums,
    ``e0 ...`` edge data, ``n0 ...`` node data and ``p0 ...`` constants lifted out of the formulas, so that a change of
    a constant costs no compilation.

    Attributes
    ----------
    dim : int
        Components of a state.
    pair : Expression or None
        f(x; e), x = w_i - w_j or x = |w_i - w_j|^2.
    squared : bool
        Whether x is the squared distance.
    node : Expression or None
        g(w0, ...; n).
    sums : tuple of Expression
        phi_m(x; e) of the neighbourhood sums s_m,i = sum_j a_ij phi_m(w_i - w_j).
    outer : Expression or None
        F(s0, ...; n).
    oriented : tuple of bool
        For each edge datum, whether it changes sign with the direction.
    uniform : bool
        Whether all edge weights are equal, so that kernels need no weight array.
    constants : tuple of float
        Values of ``p0 ...``; not part of the key.
    """

    dim: int = 1
    pair: Expression | None = None
    squared: bool = False
    node: Expression | None = None
    sums: tuple[Expression, ...] = ()
    outer: Expression | None = None
    oriented: tuple[bool, ...] = ()
    uniform: bool = True
    constants: tuple[float, ...] = ()

    def lifted(self) -> Potential:
        """Return the potential with its non-trivial constants replaced by ``p0 ...``."""
        given, constants = len(self.constants), list[float]()

        def lift(leaf: Expression) -> Expression | None:
            if leaf.op != "num" or not isinstance(leaf.args[0], float) or _is_small_dyadic(leaf.args[0]):
                return None
            if leaf.args[0] not in constants:
                constants.append(leaf.args[0])
            return Expression("sym", f"p{given + constants.index(leaf.args[0])}")

        def visit(expression: Expression) -> Expression:
            if expression.op == "pow" and expression.args[1].op == "num":  # exponents shape the code: keep them
                return Expression("pow", visit(expression.args[0]), expression.args[1])
            if expression.op in {"num", "sym"}:
                return substitute(expression, lift)
            return Expression(expression.op, *(visit(argument) for argument in expression.args))

        def optional(expression: Expression | None) -> Expression | None:
            return None if expression is None else visit(expression)

        return replace(
            self,
            pair=optional(self.pair),
            node=optional(self.node),
            sums=tuple(visit(phi) for phi in self.sums),
            outer=optional(self.outer),
            constants=(*self.constants, *constants),
        )

    def canonical(self) -> str:
        """Text that decides which kernels belong to this potential."""

        def tree(expression: Expression | None) -> Any:
            return None if expression is None else expression.tree()

        return json.dumps(
            [
                self.dim,
                tree(self.pair),
                self.squared,
                tree(self.node),
                [tree(phi) for phi in self.sums],
                tree(self.outer),
                list(self.oriented),
                self.uniform,
            ]
        )

    def node_columns(self) -> int:
        """Number of node data columns the formulas use, counted from ``n0``."""
        used = set().union(*(names(e) for e in (self.node, self.outer) if e is not None))
        return max((int(name[1:]) + 1 for name in used if name[0] == "n"), default=0)


def _is_small_dyadic(number: float) -> bool:
    return abs(number) <= _SMALL_DYADIC and (number * _SMALL_DYADIC).is_integer()
