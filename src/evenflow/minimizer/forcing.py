"""Forcing: how exactly the next model is worth minimising."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Forcing"]

_ROUND_OFF = 1e-14  # of an energy
_EXACT = 1e-8  # least relative residual that a model is trusted with


@dataclass
class Forcing:
    """Relative residual, in the norm of P^-1, that the next inner solve aims at.

    It tightens with the progress of the gradient (forcing terms of Eisenstat and Walker [1]_, choice 2), and where a
    model is of higher order, at once to what it has shown itself worth: the error of the energy that the last one
    foretold, beside the decrease, is what an exact solve would leave. One that is the energy itself is trusted from the
    first (``mismatch`` 0).

    Parameters
    ----------
    largest : float
    exponent : float
    mismatch : float
        Error of the decrease that the last model foretold, beside that decrease; at most 1.

    Attributes
    ----------
    eta : float
        The relative residual.

    References
    ----------
    .. [1] S. Eisenstat, H. Walker, "Choosing the forcing terms in an inexact Newton method",
       SIAM J. Sci. Comput. 17, 1996, eq. 2.6.
    """

    largest: float
    exponent: float
    mismatch: float = 1.0
    eta: float = field(init=False)

    def __post_init__(self) -> None:
        self.loosen()
        self.trust()

    def loosen(self) -> None:
        """Begin again with the largest residual."""
        self.eta = self.largest

    def compare(self, foretold: float, before: float, after: float) -> None:
        """Measure the last model by the energy it foretold (nan if the step was another) after a step."""
        decrease = before - after
        error = max(abs(after - foretold) - _ROUND_OFF * (abs(before) + abs(after)), 0.0)
        self.mismatch = min(error / decrease, 1.0) if decrease > 0.0 and not math.isnan(error) else 1.0

    def tighten(self, progress: float) -> None:
        """Choose for a gradient whose square in the norm of P^-1 is ``progress`` times the last one's."""
        eta = 0.9 * progress ** (0.5 * self.exponent)
        floor = 0.9 * self.eta**self.exponent
        self.eta = min(self.largest, max(eta, floor) if floor > 0.1 else eta)

    def trust(self) -> None:
        """Choose for a model of higher order."""
        self.eta = min(self.eta, max(math.sqrt(self.mismatch), _EXACT))
