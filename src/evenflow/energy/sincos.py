"""Sine and cosine of all nodes at once; generated modules hold a copy of this function's text."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["sincos"]

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


# One sine and cosine together, branch-free so that LLVM vectorises it: x = k pi + r with |r| <= pi/2 in two-part
# arithmetic (exact for |k| < 2^20), then Taylor polynomials whose remainder is below 2^-53 on that interval.
@njit(**OPTIONS)
def sincos(start, stop, scale, w, cosine, sine):  # type: ignore[no-untyped-def]
    """Write cos(scale w[i]) and sin(scale w[i]) for start <= i < stop to two arrays that do not overlap w."""
    strange = 0
    for i in range(np.uint64(start), np.uint64(stop)):
        x = scale * w[i]
        strange += 0 if abs(x) <= 3.0e6 else 1
        k = (x * 0.3183098861837907 + 6755399441055744.0) - 6755399441055744.0
        r = (x - k * 3.1415926218032837) - k * 3.178650954705639e-08
        half = 0.5 * k
        odd = half - ((half + 6755399441055744.0) - 6755399441055744.0)
        sign = 1.0 - 8.0 * odd * odd
        z = r * r
        p = -8.22063524662432972e-18 + z * 1.95729410633912612e-20
        p = -7.64716373181981648e-13 + z * (2.81145725434552076e-15 + z * p)
        p = -2.50521083854417188e-8 + z * (1.60590438368216146e-10 + z * p)
        p = -1.98412698412698413e-4 + z * (2.75573192239858907e-6 + z * p)
        p = -1.66666666666666667e-1 + z * (8.33333333333333333e-3 + z * p)
        q = -1.56192069685862265e-16 + z * 4.11031762331216486e-19
        q = -1.14707455977297247e-11 + z * (4.77947733238738530e-14 + z * q)
        q = -2.75573192239858907e-7 + z * (2.08767569878680990e-9 + z * q)
        q = -1.38888888888888889e-3 + z * (2.48015873015873016e-5 + z * q)
        q = 4.16666666666666667e-2 + z * q
        cosine[i] = sign * ((1.0 - 0.5 * z) + z * z * q)
        sine[i] = sign * (r + r * z * p)
    if strange:
        for i in range(np.uint64(start), np.uint64(stop)):
            x = scale * w[i]
            if not abs(x) <= 3.0e6:
                cosine[i] = math.cos(x)
                sine[i] = math.sin(x)
