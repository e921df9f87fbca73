"""Whitening: the linear map that turns the curvature of an energy into (nearly) the identity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.preconditioner.base import Breakdown
from evenflow.preconditioner.cholesky import SparseCholesky
from evenflow.reparametrization.base import Reparametrization

__all__ = ["Whitening"]

_INDEFINITE = "the shifted curvature of this energy is not positive definite; lower strength"
_DEFAULT_STRENGTH = {"cholesky": 100.0, "large-steps": 19.0}


@dataclass
class Whitening(Reparametrization):
    """w = kappa theta, where kappa kappa^T is a preconditioner: every mode moves at one speed.

    With C the curvature of the energy (the graph Laplacian, for diffusion):

    - "cholesky": kappa kappa^T = (C + I / strength)^-1, from the factor Q L D L^T Q^T of C + I / strength by
      :class:`~evenflow.preconditioner.SparseCholesky`, kappa = Q L^-T D^-1/2. The Hessian in theta is near the
      identity where C is the Hessian.
    - "large-steps": kappa = (I + strength C)^-1, the change of variables of [1]_ (there with C = L).

    Gradient descent on theta is descent on w preconditioned by kappa kappa^T; other minimizers gain in the
    same way. The factor is built once, in :meth:`setup`: it helps as far as C resembles the Hessian, and stiff
    terms on single nodes that C leaves out stay stiff. L-BFGS makes the most of it; Adam rescales theta entry by
    entry, and needs a learning rate in units of sqrt(C) w.

    Parameters
    ----------
    kind : {"cholesky", "large-steps"}
    strength : float, optional
        Modes whose curvature is below 1 / strength are left as they are. In units of 1 / C; by default 100 for
        "cholesky" and 19 for "large-steps" (the default of [1]_).

    References
    ----------
    .. [1] B. Nicolet, A. Jacobson, W. Jakob, "Large Steps in Inverse Rendering of Geometry", ACM TOG 40(6), 2021,
       eq. 8.

    Examples
    --------
    >>> from evenflow.reparametrization import Whitening
    >>> Whitening("large-steps", strength=50.0).linear
    True
    """

    kind: Literal["cholesky", "large-steps"] = "cholesky"
    strength: float | None = None

    name: ClassVar[str] = "whitening"
    linear: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.kind not in _DEFAULT_STRENGTH:
            raise InputError(f"kind={self.kind!r}: expected 'cholesky' or 'large-steps'")
        if self.strength is not None and not 0 < self.strength < math.inf:
            raise InputError(f"strength={self.strength!r}: expected a positive number")

    def setup(self, energy: BaseEnergy, rng: np.random.Generator, counts: Counts) -> None:
        """Factor the shifted curvature.

        Raises
        ------
        InputError
            If it is not positive definite.
        """
        import scipy.sparse as sp

        self._shape, self.size, self.counts = energy.shape, energy.size, counts
        strength = self.strength or _DEFAULT_STRENGTH[self.kind]
        curvature, eye = energy.curvature(), sp.eye_array(energy.size, format="csr")
        self._matrix = curvature + eye / strength if self.kind == "cholesky" else eye + strength * curvature
        self._factor = SparseCholesky(backend="superlu")  # kappa depends on the ordering: the same one everywhere
        try:
            self._factor.refresh(self._matrix)
        except Breakdown as error:
            raise InputError(f"strength={strength!r}: {_INDEFINITE}") from error
        if self._factor.shifted:
            raise InputError(f"strength={strength!r}: {_INDEFINITE}")
        counts.factorisation += 1

    def initial(self, rng: np.random.Generator) -> None:
        """Start from the energy's own draw, encoded."""
        return

    def decode(self, theta: FloatArray) -> FloatArray:
        """Apply kappa."""
        self.counts.forward += 1
        solve = self._factor.half_solve if self.kind == "cholesky" else self._factor.solve
        return solve(theta).reshape(self._shape)

    def pullback(self, theta: FloatArray, g_w: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Apply the transpose of kappa to the gradient."""
        self.counts.backward += 1
        # with "large-steps" kappa is its own transpose
        solve = self._factor.half_solve_t if self.kind == "cholesky" else self._factor.solve
        gradient = solve(g_w.reshape(-1))
        if out is None:
            return gradient
        out[:] = gradient
        return out

    def encode(self, w: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Apply the inverse of kappa: a product, no solve."""
        flat = np.asarray(w, dtype=np.float64).reshape(-1)
        self.encode_error = 0.0
        return self._factor.half_multiply(flat) if self.kind == "cholesky" else self._matrix @ flat
