"""Compiled conjugate gradients on the model of an energy: what one iteration does, and whole solves.

The recurrences live in a short array so that the compiled solves (assembled Hessian, diagonal metric or one cycle of
multigrid) and the interpreted one (any metric, any Hessian product) run the same code.
"""

from __future__ import annotations

import math
from enum import IntEnum

from numba import njit

from evenflow.energy.base import FloatArray
from evenflow.minimizer.linear_algebra import IntArray, cg_direction, spmv_dot
from evenflow.minimizer.node_terms import bend_along, follow, follow_secant, least_along, settle_along, take_secant
from evenflow.minimizer.remainder import largest_ratio
from evenflow.minimizer.uniform_rows import UniformRows, scattered_product, uniform_product
from evenflow.preconditioner.cycle import CycleArguments, run_cycle

__all__ = [
    "BROKEN",
    "DD",
    "DECREASE",
    "DRIFT",
    "ENERGY",
    "ENOUGH",
    "EXHAUSTED",
    "FLAT",
    "KAPPA",
    "KNOWN",
    "LARGEST",
    "LAST",
    "LEVEL",
    "RZ",
    "RZ0",
    "SOLVED",
    "XX",
    "End",
    "begin",
    "iterate",
    "redirect",
    "settle_first",
    "solve_cycles",
    "solve_diagonal",
]


class End(IntEnum):
    """How a solve ended."""

    RUNNING = 0
    SOLVED = 1
    BOUNDARY = 2
    NEGATIVE = 3
    EXHAUSTED = 4
    BROKEN = 5
    STALE = 6


SOLVED, BOUNDARY, NEGATIVE, EXHAUSTED, BROKEN, STALE = (int(end) for end in list(End)[1:])
LEVEL = len(End)  # as SOLVED, but along the direction that is next nothing changes
# Places in the array of recurrences: r.z at the start and now, |x|^2, x.d and |d|^2 in the metric, decrease of
# the model, largest Rayleigh quotient seen, last step length, last d.Hd, r.r, what is flat,
# energy at the start, share of it that is enough, ratio of what is left to gain to r.z that was known before, drift of
# the diagonal that is too much, last decrease.
RZ0, RZ, XX, XD, DD, DECREASE, LARGEST, ALPHA, KAPPA, RR, FLAT = range(11)
ENERGY, ENOUGH, KNOWN, DRIFT, GAIN, LAST = range(11, 17)

_dense = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
_scalar = njit(cache=True, nogil=True, error_model="numpy")


@_dense
def _axpy2(a: float, d: FloatArray, Hd: FloatArray, x: FloatArray, r: FloatArray) -> float:
    """Advance: x += a d, r += a Hd; return r . r."""
    square = 0.0
    for i in range(d.size):
        x[i] += a * d[i]
        s = r[i] + a * Hd[i]
        r[i] = s
        square += s * s
    return square


@_dense
def _advance(
    a: float, d: FloatArray, Hd: FloatArray, inverse: FloatArray, x: FloatArray, r: FloatArray
) -> tuple[float, float]:
    """Advance in a diagonal metric: x += a d, r += a Hd; return (r . z, z . Hd) for z = inverse r."""
    rz = 0.0
    zh = 0.0
    for i in range(d.size):
        h = Hd[i]
        x[i] += a * d[i]
        s = r[i] + a * h
        r[i] = s
        z = inverse[i] * s
        rz += s * z
        zh += z * h
    return rz, zh


@_dense
def _two_dots(r: FloatArray, z: FloatArray, Hd: FloatArray) -> tuple[float, float]:
    """Return (r . z, z . Hd)."""
    rz = 0.0
    zh = 0.0
    for i in range(r.size):
        rz += r[i] * z[i]
        zh += z[i] * Hd[i]
    return rz, zh


@_dense
def begin(g: FloatArray, z: FloatArray, x: FloatArray, r: FloatArray, d: FloatArray, c: FloatArray) -> None:
    """Start from x = 0, r = g, d = -z."""
    rz = 0.0
    rr = 0.0
    for i in range(g.size):
        x[i] = 0.0
        r[i] = g[i]
        d[i] = -z[i]
        rz += g[i] * z[i]
        rr += g[i] * g[i]
    c[:] = 0.0
    c[RR] = rr
    c[RZ0] = rz
    c[RZ] = rz
    c[DD] = rz


@_dense
def settle_first(
    g: FloatArray,
    inverse: FloatArray,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
    held: FloatArray,
    d: FloatArray,
    c: FloatArray,
) -> None:
    """Turn the first direction, in a diagonal metric, to where each unknown with terms would settle alone."""
    settle_along(where, third, fourth, held, g, d)
    rz = 0.0
    dd = 0.0
    for i in range(g.size):
        rz -= g[i] * d[i]
        dd += d[i] * d[i] / inverse[i]
    c[RZ] = rz
    c[DD] = dd


@_scalar
def _choose_length(
    c: FloatArray,
    kappa: float,
    radius: float,
    d: FloatArray,
    x: FloatArray,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
) -> int:
    """Go along d to the least model, or to the boundary where curvature or radius ask for it; kappa is d . H d.

    The callers keep the books of the iterations: with their arrays here, compiled code is a tenth slower.
    """
    rz, xx, xd, dd = c[RZ], c[XX], c[XD], c[DD]
    cubic, quartic = 0.0, 0.0
    if where.size > 0:
        second, cubic, quartic = bend_along(where, third, fourth, x, d)
        kappa += second
    c[KAPPA] = kappa
    if not (rz > 0.0 and dd > 0.0 and math.isfinite(kappa) and math.isfinite(rz)):
        return BROKEN
    quotient = kappa / dd
    c[LARGEST] = max(c[LARGEST], abs(quotient))
    if abs(quotient) <= c[FLAT] * c[LARGEST] and xx > 0.0:
        return LEVEL
    end = 0
    a = math.inf
    if kappa <= 0.0:
        end = NEGATIVE
    else:
        a = rz / kappa if where.size == 0 else least_along(-rz, kappa, cubic, quartic)
        if a == math.inf:
            a, end = rz / kappa, BOUNDARY
    if end == NEGATIVE or xx + a * (2.0 * xd + a * dd) >= radius * radius:
        end = max(end, BOUNDARY)
        if math.isinf(radius):
            a = rz / abs(kappa) if kappa < 0.0 else 1.0
        else:
            inside = max(radius * radius - xx, 0.0)
            a = inside / (xd + math.sqrt(xd * xd + dd * inside))
    c[GAIN] = a * (rz - a * (0.5 * kappa + a * (cubic / 6.0 + a * quartic / 24.0)))
    c[DECREASE] += c[GAIN]
    c[XX] = xx + a * (2.0 * xd + a * dd)
    c[XD] = xd + a * dd
    c[ALPHA] = a
    return end


@_scalar
def _conjugate(c: FloatArray, rz: float, zh: float, flexible: bool) -> float:
    """Share beta of the last direction in the next one, for z . Hd = ``zh``."""
    beta = max(c[ALPHA] * zh if flexible else rz, 0.0) / c[RZ]
    c[XD] *= beta
    c[DD] = rz + beta * beta * c[DD]
    c[RZ] = rz
    return beta


@_dense
def _turn_diagonal(beta: float, inverse: FloatArray, r: FloatArray, d: FloatArray) -> None:
    """Overwrite d with -inverse r + beta d."""
    for i in range(d.size):
        d[i] = beta * d[i] - inverse[i] * r[i]


@_scalar
def _is_enough(c: FloatArray, rz: float, bound: float, gains: FloatArray, squares: FloatArray, count: int) -> bool:
    """Whether the residual is down to its bound, or what is left to gain is enough by the largest ratio known."""
    if rz <= bound:
        return True
    most = c[ENOUGH] * abs(c[ENERGY] - c[DECREASE]) / rz
    return c[KNOWN] <= most and largest_ratio(gains, squares, count, most) <= most


@_scalar
def iterate(
    c: FloatArray,
    kappa: float,
    radius: float,
    bound: float,
    k: int,
    d: FloatArray,
    Hd: FloatArray,
    x: FloatArray,
    r: FloatArray,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
    held: FloatArray,
    gains: FloatArray,
    squares: FloatArray,
) -> int:
    """Iteration ``k`` in any metric, up to its application, and how the solve ends with it, if it does.

    The end is foreseen from r.r, with r.z / r.r as it was one iteration before.
    """
    squares[k] = c[RZ]
    end = _choose_length(c, kappa, radius, d, x, where, third, fourth)
    if end in (BROKEN, LEVEL):
        return end
    gains[k] = c[GAIN]
    drift = take_secant(c[ALPHA], where, third, fourth, held, x, d, Hd)
    rr = _axpy2(c[ALPHA], d, Hd, x, r)
    foreseen = c[RZ] * rr / c[RR]
    c[RR] = rr
    if end == 0:
        c[RZ] = foreseen
        if _is_enough(c, foreseen, bound, gains, squares, k + 1):
            return SOLVED
        if drift > c[DRIFT]:
            return STALE
    return end


@_scalar
def redirect(
    c: FloatArray, before: float, flexible: bool, r: FloatArray, z: FloatArray, Hd: FloatArray, d: FloatArray
) -> bool:
    """Turn d to the next direction, for z = P^-1 r and r.z as it was ``before``; False if P is not definite."""
    rz, zh = _two_dots(r, z, Hd)
    if not (math.isfinite(rz) and rz > 0.0):
        return False
    c[RZ] = before
    cg_direction(z, _conjugate(c, rz, zh, flexible), d)
    return True


@_scalar
def solve_diagonal(
    indptr: IntArray,
    indices: IntArray,
    data: FloatArray,
    scattered: bool,
    uniform: UniformRows,
    inverse: FloatArray,
    work: FloatArray,
    c: FloatArray,
    radius: float,
    tolerance: float,
    first: int,
    limit: int,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
    held: FloatArray,
    gains: FloatArray,
    squares: FloatArray,
) -> tuple[int, int]:
    """The whole solve with an assembled Hessian and a diagonal metric; ``work`` holds x, r, z, d, Hd."""
    x, r, d, Hd = work[0], work[1], work[3], work[4]
    for k in range(first, limit):
        squares[k] = c[RZ]
        if uniform[0].size > 0:
            kappa = uniform_product(*uniform, d, Hd)
        elif uniform[4].size > 0:
            kappa = scattered_product(indptr, indices, uniform[3], uniform[4], d, Hd)
        else:
            kappa = spmv_dot(indptr, indices, data, scattered, d, Hd)
        end = _choose_length(c, kappa, radius, d, x, where, third, fourth)
        if end == LEVEL:
            return k, SOLVED
        if end == BROKEN:
            return k + 1, end
        gains[k] = c[GAIN]
        a = c[ALPHA]
        if held.size > 0:
            follow_secant(a, where, third, fourth, held, x, d, Hd, inverse)
        else:
            take_secant(a, where, third, fourth, held, x, d, Hd)
        rz, zh = _advance(a, d, Hd, inverse, x, r)
        if end != 0:
            return k + 1, end
        if _is_enough(c, rz, tolerance * tolerance * c[RZ0], gains, squares, k + 1):
            c[RZ] = rz
            return k + 1, SOLVED
        _turn_diagonal(_conjugate(c, rz, zh, where.size > 0), inverse, r, d)
    return limit, EXHAUSTED


@_scalar
def solve_cycles(
    indptr: IntArray,
    indices: IntArray,
    data: FloatArray,
    scattered: bool,
    cycle: CycleArguments,
    pivots: FloatArray,
    work: FloatArray,
    c: FloatArray,
    radius: float,
    bound: float,
    first: int,
    limit: int,
    flexible: bool,
    where: IntArray,
    third: FloatArray,
    fourth: FloatArray,
    held: FloatArray,
    gains: FloatArray,
    squares: FloatArray,
) -> tuple[int, int, int]:
    """The whole solve with an assembled Hessian and multigrid, and how many cycles it took."""
    x, r, z, d, Hd = work[0], work[1], work[2], work[3], work[4]
    cycles = 0
    for k in range(first, limit):
        if k > 0:
            run_cycle(r, z, *cycle)
            cycles += 1
            if not redirect(c, squares[k - 1], flexible, r, z, Hd, d):
                return k, BROKEN, cycles
        kappa = spmv_dot(indptr, indices, data, scattered, d, Hd)
        end = iterate(c, kappa, radius, bound, k, d, Hd, x, r, where, third, fourth, held, gains, squares)
        if end == LEVEL:
            return k, SOLVED, cycles
        if end != 0:
            return k + 1, end, cycles
        if pivots.size > 0:
            follow(where, third, fourth, held, x, pivots)
    return limit, EXHAUSTED, cycles
