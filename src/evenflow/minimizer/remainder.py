"""Remainder: how much conjugate gradients have still to gain, by what they have gained.

The steps after iteration j gain (r.A^-1 r)/2 of its residual r [1]_. What the steps so far have gained of it, beside
r.P^-1 r, is known, and almost all of it is, but for the last few iterations: the largest of these ratios tells what to
expect of a residual [2]_.

References
----------
.. [1] M. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems", J. Res. Nat. Bur.
   Standards 49, 1952, theorem 6:1.
.. [2] G. Meurant, J. Papez, P. Tichy, "Accurate error estimation in CG", Numer. Algorithms 88, 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from numba import njit

from evenflow.energy.base import FloatArray

__all__ = ["Remainder", "largest_ratio"]

_FORGET = 0.25  # of the largest ratio known, after as long a solve as the one that found it


@dataclass
class Remainder:
    """What the inner solves so far have shown of the ratio.

    Parameters
    ----------
    least : float
        Ratio to believe in where nothing is known.

    Attributes
    ----------
    known : float
        Largest ratio believed in.
    depth : int
        Iterations of the solve that has shown it.
    ratio, length : float and int
        Ratio and iterations of the last solve; nan where it has shown none.
    """

    least: float
    known: float = field(init=False)
    depth: int = field(default=1, init=False)
    ratio: float = field(default=math.nan, init=False)
    length: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin again: what was known is of another preconditioner."""
        self.known = self.least

    def learn(self) -> None:
        """Believe the last solve; if it was short it has not seen the slowest mode, so that little is forgotten."""
        if self.ratio >= self.known:
            self.known, self.depth = self.ratio, self.length
        else:
            share = min(self.length / self.depth, 1.0) ** 2
            self.known = max(_FORGET**share * self.known, self.ratio, self.least)


@njit(cache=True, nogil=True, error_model="numpy")
def largest_ratio(gains: FloatArray, squares: FloatArray, count: int, most: float = math.inf) -> float:
    """Largest ratio, over the iterations, of what was gained from there on to r . P^-1 r there.

    Parameters
    ----------
    gains, squares : ndarray
        Decrease of the model by each iteration, r . P^-1 r before it.
    count : int
        Iterations.
    most : float
        Look no further once the ratio is above.
    """
    total, ratio = 0.0, 0.0
    for k in range(count - 1, -1, -1):
        total += gains[k]
        ratio = max(ratio, total / squares[k])
        if ratio > most:
            break
    return ratio
