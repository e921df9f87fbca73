"""NodeTerms: what terms of single unknowns add to the quadratic model of an energy, to fourth order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import FloatArray

__all__ = [
    "NodeTerms",
    "bend_along",
    "follow",
    "follow_secant",
    "least_along",
    "put",
    "settle_along",
    "sizes_at",
    "take_secant",
]

_TRIALS = 100  # of a length; Newton's method takes a few
_CLOSE = 1e-13
_SIXTH = 1.0 / 6.0
_NOTHING = 1e-8
_HALLEY = 3  # steps of Halley's method, each of which at least halves the way to the root of a cubic

_scalar = njit(cache=True, nogil=True, error_model="numpy")
_dense = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


@dataclass
class NodeTerms:
    """The sum of third x^3 / 6 + fourth x^4 / 24 over the unknowns that have such a term.

    Attributes
    ----------
    where : ndarray of uint32
        These unknowns, ascending.
    third, fourth : ndarray
        Their derivatives.
    """

    where: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    third: FloatArray = field(default_factory=lambda: np.zeros(0))
    fourth: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, third: FloatArray, fourth: FloatArray) -> NodeTerms:
        """Those of derivatives along all unknowns."""
        return cls(*_gather(third, fourth))


@_scalar
def _gather(third, fourth):  # type: ignore[no-untyped-def]
    """Unknowns whose derivatives are not both zero, and these; no branch could foretell which."""
    room = third.size + 1  # of which what is not written to takes no memory
    where, some_third, some_fourth = np.empty(room, np.uint32), np.empty(room), np.empty(room)
    k = np.uint64(0)
    for i in range(third.size):
        where[k] = i  # written over by the next one unless this has terms
        some_third[k], some_fourth[k] = third[i], fourth[i]
        k += np.uint64((third[i] != 0.0) | (fourth[i] != 0.0))
    return where[:k], some_third[:k], some_fourth[:k]


@_scalar
def put(where, values, target):  # type: ignore[no-untyped-def]
    """Write the values to these places of the target."""
    for k in range(where.size):
        target[where[k]] = values[k]


@_scalar
def sizes_at(where, source, out):  # type: ignore[no-untyped-def]
    """Write the absolute values of what is at these places of the source."""
    for k in range(where.size):
        out[k] = abs(source[where[k]])


@_dense
def bend_along(where, third, fourth, x, d):  # type: ignore[no-untyped-def]
    """Second to fourth derivative of the terms at x along d."""
    second = 0.0
    cubic = 0.0
    quartic = 0.0
    for k in range(where.size):
        y, s = x[where[k]], d[where[k]]
        square = s * s
        slope = third[k] + fourth[k] * y
        second += square * 0.5 * y * (third[k] + slope)
        cubic += square * s * slope
        quartic += square * square * fourth[k]
    return second, cubic, quartic


@_dense
def _stiffening(third, fourth, y):  # type: ignore[no-untyped-def]
    """Change of a term's second derivative from zero to y."""
    return y * (third + 0.5 * y * fourth)


@_dense
def _secant(third, fourth, y, s):  # type: ignore[no-untyped-def]
    """Change of a term's gradient from y to y + s, over s."""
    return third * (y + 0.5 * s) + fourth * (0.5 * y * (y + s) + s * s * _SIXTH)


@_dense
def take_secant(a, where, third, fourth, held, x, d, Hd):  # type: ignore[no-untyped-def]
    """Add to ``Hd`` the change of the terms' gradient from x to x + a d, over a.

    Returns
    -------
    float
        Largest change of a term's second derivative from zero to x + a d, beside what a preconditioner holds there,
        ``held`` (if it is not empty).
    """
    drift = 0.0
    for k in range(where.size):
        i = where[k]
        y, s = x[i], a * d[i]
        Hd[i] += d[i] * _secant(third[k], fourth[k], y, s)
        if held.size > 0:
            drift = max(drift, abs(_stiffening(third[k], fourth[k], y + s)) / held[k])
    return drift


@_dense
def follow(where, third, fourth, held, x, inverse):  # type: ignore[no-untyped-def]
    """Update the inverse of a diagonal, which is ``held`` at zero, for the terms at x."""
    for k in range(held.size):
        diagonal = abs(held[k] + _stiffening(third[k], fourth[k], x[where[k]]))
        if diagonal > _NOTHING * held[k]:
            inverse[where[k]] = 1.0 / diagonal


@_dense
def follow_secant(a, where, third, fourth, held, x, d, Hd, inverse):  # type: ignore[no-untyped-def]
    """As :func:`take_secant`, and :func:`follow` at x + a d, in one pass, for a ``held`` that is not empty."""
    for k in range(where.size):
        i = where[k]
        t3, t4, y, s = third[k], fourth[k], x[i], a * d[i]
        Hd[i] += d[i] * _secant(t3, t4, y, s)
        diagonal = abs(held[k] + _stiffening(t3, t4, y + s))
        if diagonal > _NOTHING * held[k]:
            inverse[i] = 1.0 / diagonal


@_scalar
def settle_along(where, third, fourth, held, g, d):  # type: ignore[no-untyped-def]
    """Let d lead each unknown with terms to where it would settle alone, with the diagonal ``held`` and gradient g.

    Far from there, a step along its quadratic model is a fraction of the way, or many times it. As many steps for all,
    without a branch, so that a processor works on several at once.
    """
    for k in range(held.size):
        i = where[k]
        t2, t3, t4, pull = held[k], third[k], fourth[k], -g[i]
        s = 0.0
        for _ in range(_HALLEY):
            slope = t2 + _stiffening(t3, t4, s)
            lack = pull - s * (t2 + s * (0.5 * t3 + _SIXTH * t4 * s))
            whole = slope * slope + 0.5 * lack * (t3 + t4 * s)
            step = lack * slope / (whole if whole > 0.0 else 1.0)
            s += step if (whole > 0.0) & (slope > 0.0) else 0.0
        d[i] = s if s * pull > 0.0 else d[i]


@_scalar
def least_along(slope, second, third, fourth):  # type: ignore[no-untyped-def]
    """Where slope + second a + third a^2/2 + fourth a^3/6 = 0 first for a > 0; inf if it does not grow up to there.

    ``slope`` is negative, ``second`` positive. Newton's method, kept between what is too short and too long.
    """
    low, high = 0.0, math.inf
    a = -slope / second
    for _ in range(_TRIALS):
        bend = second + a * (third + 0.5 * a * fourth)
        if not bend > 0.0:
            return math.inf
        value = slope + a * (second + a * (0.5 * third + a * fourth / 6.0))
        if value < 0.0:
            low = a
        else:
            high = a
        step = -value / bend
        if not low <= a + step <= high:
            step = 0.5 * (low + high) - a if high < math.inf else a
        a += step
        if abs(step) <= _CLOSE * a:
            break
    return a
