"""Expression: a formula recorded by calling the user's Python function on symbols.

Recording needs nothing but operator overloading, so that a potential whose kernels are already in the cache is
recognised without importing sympy.
"""

from __future__ import annotations

import inspect
import keyword
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NoReturn

from evenflow.errors import InputError

__all__ = ["FUNCTIONS", "OPERATORS", "Expression", "evaluate", "names", "parameters_of", "parse", "substitute", "trace"]

FUNCTIONS = ("sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "abs")
"""Functions a potential may use, by the names of NumPy and torch."""

_ARITY = {"add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2, "neg": 1} | dict.fromkeys(FUNCTIONS, 1)
OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "pow": operator.pow,
    "neg": operator.neg,
}  # fmt: skip
"""Arithmetic operations by the names they have in a tree."""

_UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "power": "pow",
    "float_power": "pow", "negative": "neg", "absolute": "abs",
} | {name: name for name in FUNCTIONS}  # fmt: skip
_MAX_DEPTH = 200


class Expression:
    """A node of a formula: a number, a symbol, or an operation on expressions.

    Parameters
    ----------
    op : str
        ``"num"``, ``"sym"``, an arithmetic operation or one of :data:`FUNCTIONS`.
    args : tuple
        The number, the name, or the operands.

    Examples
    --------
    >>> from evenflow.energy.expression import trace
    >>> print(trace(lambda d: 1 - 0.5 * d**2, ["d"], "pair"))
    (1 - (0.5 * (d ** 2)))
    """

    __slots__ = ("args", "op")

    def __init__(self, op: str, *args: Any) -> None:
        self.op, self.args = op, args

    @staticmethod
    def of(value: Any) -> Expression:
        """Turn a number into an expression; pass an expression through."""
        if isinstance(value, Expression):
            return value
        if isinstance(value, Integral) and value is not True and value is not False:
            return Expression("num", int(value))
        if isinstance(value, Real) and value is not True and value is not False:
            number = float(value)
            if not math.isfinite(number):
                raise InputError(f"a potential holds the constant {number}; every constant must be finite")
            return Expression("num", int(number) if number.is_integer() and abs(number) < 2**31 else number)
        raise InputError(
            f"a potential combines a symbol with {type(value).__name__} {value!r}; use numbers, "
            "and hand arrays over by name with edge_data= or node_data="
        )

    def __add__(self, other: Any) -> Expression:
        return Expression("add", self, Expression.of(other))

    def __radd__(self, other: Any) -> Expression:
        return Expression("add", Expression.of(other), self)

    def __sub__(self, other: Any) -> Expression:
        return Expression("sub", self, Expression.of(other))

    def __rsub__(self, other: Any) -> Expression:
        return Expression("sub", Expression.of(other), self)

    def __mul__(self, other: Any) -> Expression:
        return Expression("mul", self, Expression.of(other))

    def __rmul__(self, other: Any) -> Expression:
        return Expression("mul", Expression.of(other), self)

    def __truediv__(self, other: Any) -> Expression:
        return Expression("div", self, Expression.of(other))

    def __rtruediv__(self, other: Any) -> Expression:
        return Expression("div", Expression.of(other), self)

    def __pow__(self, other: Any) -> Expression:
        return Expression("pow", self, Expression.of(other))

    def __rpow__(self, other: Any) -> Expression:
        return Expression("pow", Expression.of(other), self)

    def __neg__(self) -> Expression:
        return Expression("neg", self)

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return Expression("abs", self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Expression:
        op = _UFUNCS.get(ufunc.__name__)
        if op is None or method != "__call__" or kwargs:
            raise InputError(f"a potential uses numpy.{ufunc.__name__}; the functions at hand are {_listed()}")
        return Expression(op, *(Expression.of(value) for value in inputs))

    def _refuse(self, *_: Any) -> NoReturn:
        raise InputError(
            "a potential compares or branches on a state; it must be one formula without if, <, min or max. "
            "Use a smooth formula (evenflow.sqrt, evenflow.abs, evenflow.tanh), or TorchEnergy for a general function"
        )

    __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _refuse
    __hash__ = object.__hash__

    def _convert(self) -> NoReturn:
        raise InputError(
            "a potential hands a state to a function of the math module, which only takes numbers; "
            f"use evenflow's own functions instead: {_listed()}"
        )

    __float__ = __int__ = __index__ = __complex__ = _convert

    def tree(self) -> list[Any]:
        """Return the formula as nested lists of strings and numbers, fit for JSON and for :func:`parse`."""
        if self.op in {"num", "sym"}:
            return [self.op, self.args[0]]
        return [self.op, *(argument.tree() for argument in self.args)]

    def __str__(self) -> str:
        if self.op in {"num", "sym"}:
            return str(self.args[0])
        if self.op == "neg":
            return f"(-{self.args[0]})"
        sign = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}.get(self.op)
        if sign:
            return f"({self.args[0]} {sign} {self.args[1]})"
        return f"{self.op}({self.args[0]})"

    __repr__ = __str__


def _listed() -> str:
    return ", ".join(f"evenflow.{name}" for name in FUNCTIONS)


def trace(function: Callable[..., Any], symbols: Sequence[str | Expression], argument: str) -> Expression:
    """Record what ``function`` computes.

    Parameters
    ----------
    function : callable
        Called once with the symbols.
    symbols : sequence of str or Expression
        The arguments, or names to make symbols of.
    argument : str
        How messages call the function.

    Raises
    ------
    InputError
        If the function uses an operation that has no derivative here.
    """
    try:
        return Expression.of(function(*(s if isinstance(s, Expression) else Expression("sym", s) for s in symbols)))
    except InputError as error:
        raise InputError(f"{argument}: {error}") from error
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise InputError(
            f"{argument} could not be recorded as a formula ({type(error).__name__}: {error}); write it with "
            f"+ - * / ** and {_listed()}, or use TorchEnergy for a general function"
        ) from error


def parameters_of(function: Callable[..., Any], first: Sequence[str], known: Iterable[str], argument: str) -> list[str]:
    """Names of the data arguments of a potential, those after the first ones.

    Raises
    ------
    InputError
        If a name is not among the ``known`` data, or the function does not take the first arguments.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise InputError(f"{argument} must be a Python function, got {function!r}") from error
    if any(p.kind in {p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY} for p in parameters):
        raise InputError(f"{argument} must have plain arguments, without *, *args or **kwargs")
    if len(parameters) < len(first):
        raise InputError(
            f"{argument} takes {len(parameters)} arguments, expected {', '.join(first)} and then data names"
        )
    rest = [p.name for p in parameters[len(first) :] if p.default is p.empty]
    known = set(known)
    for name in rest:
        if name not in known:
            raise InputError(
                f"{argument} has an argument {name!r} that is no data name; known names: {sorted(known) or 'none'}. "
                f"Hand the array over as {'edge' if argument.startswith('pair') else 'node'}_data={{{name!r}: array}}"
            )
    return rest


def parse(tree: Any, allowed: Iterable[str] | None = None, _depth: int = 0) -> Expression:
    """Inverse of :meth:`Expression.tree`, safe on untrusted input.

    Raises
    ------
    InputError
        If the tree is malformed or names a symbol that is not allowed.
    """
    if _depth > _MAX_DEPTH:
        raise InputError(f"a stored formula is nested deeper than {_MAX_DEPTH} levels")
    if not isinstance(tree, list) or not tree or not isinstance(tree[0], str):
        raise InputError(f"a stored formula holds {tree!r}, expected a list that starts with an operation")
    op, *args = tree
    if op == "num" and len(args) == 1:
        if isinstance(args[0], bool) or not isinstance(args[0], int | float):
            raise InputError(f"a stored formula holds the constant {args[0]!r}, expected a number")
        return Expression.of(args[0])
    if op == "sym" and len(args) == 1:
        name = args[0]
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise InputError(f"a stored formula names the symbol {name!r}, expected an identifier")
        if allowed is not None and name not in allowed:
            raise InputError(f"a stored formula names the unknown symbol {name!r}")
        return Expression("sym", name)
    if len(args) != _ARITY.get(op, -1):
        raise InputError(f"a stored formula holds the operation {op!r} with {len(args)} operands")
    return Expression(op, *(parse(argument, allowed, _depth + 1) for argument in args))


def names(expression: Expression) -> set[str]:
    """Names of all symbols in an expression."""
    if expression.op == "sym":
        return {expression.args[0]}
    if expression.op == "num":
        return set()
    return set().union(*(names(argument) for argument in expression.args))


def substitute(expression: Expression, replace: Callable[[Expression], Expression | None]) -> Expression:
    """Rebuild an expression, replacing every leaf for which ``replace`` returns something."""
    if expression.op in {"num", "sym"}:
        found = replace(expression)
        return expression if found is None else found
    return Expression(expression.op, *(substitute(argument, replace) for argument in expression.args))


def evaluate(expression: Expression, values: Mapping[str, Any], module: Any) -> Any:
    """Compute an expression with the functions of ``module`` (numpy or torch)."""
    if expression.op == "num":
        return expression.args[0]
    if expression.op == "sym":
        return values[expression.args[0]]
    operands = [evaluate(argument, values, module) for argument in expression.args]
    if expression.op in OPERATORS:
        return OPERATORS[expression.op](*operands)
    if isinstance(operands[0], int | float):
        return getattr(math, {"arctan": "atan", "abs": "fabs"}.get(expression.op, expression.op))(operands[0])
    return getattr(module, expression.op)(operands[0])
