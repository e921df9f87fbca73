"""Functions for potentials: they record a formula on symbols and compute on numbers and arrays.

Examples
--------
>>> import numpy as np
>>> from evenflow.energy import functions as ef
>>> bool(ef.sqrt(np.float64(4.0)) == 2.0)
True
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evenflow.energy.expression import Expression

__all__ = ["abs", "arctan", "cos", "cosh", "exp", "log", "sin", "sinh", "sqrt", "tan", "tanh"]


def _apply(name: str, x: Any) -> Any:
    return Expression(name, x) if isinstance(x, Expression) else getattr(np, name)(x)


def sqrt(x: Any) -> Any:
    """Square root."""
    return _apply("sqrt", x)


def exp(x: Any) -> Any:
    """Exponential."""
    return _apply("exp", x)


def log(x: Any) -> Any:
    """Natural logarithm."""
    return _apply("log", x)


def sin(x: Any) -> Any:
    """Sine of an angle in radians."""
    return _apply("sin", x)


def cos(x: Any) -> Any:
    """Cosine of an angle in radians."""
    return _apply("cos", x)


def tan(x: Any) -> Any:
    """Tangent of an angle in radians."""
    return _apply("tan", x)


def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    return _apply("sinh", x)


def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return _apply("cosh", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _apply("tanh", x)


def arctan(x: Any) -> Any:
    """Inverse tangent, in radians."""
    return _apply("arctan", x)


def abs(x: Any) -> Any:
    """Absolute value; its derivative at 0 is taken as 0."""
    return _apply("abs", x)
