"""Whitening: the linear map that turns the curvature of an energy into (nearly) the identity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.reparametrization.base import Reparametrization

__all__ = ["Whitening"]

IntArray = npt.NDArray[np.int32]

_INDEFINITE = "the shifted curvature of this energy is not positive definite; lower strength"
_DEFAULT_STRENGTH = {"cholesky": 100.0, "large-steps": 19.0}


@dataclass
class Whitening(Reparametrization):
    """w = kappa theta, where kappa kappa^T is a preconditioner: every mode moves at one speed.

    With C the curvature of the energy (the graph Laplacian, for diffusion):

    - "cholesky": kappa kappa^T = (C + I / strength)^-1, from a sparse factor Q^T L D L^T Q of C + I / strength,
      kappa = Q^T L^-T D^-1/2. The Hessian in theta is near the identity where C is the Hessian.
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
        self._factorise(strength)
        counts.factorisation += 1

    def initial(self, rng: np.random.Generator) -> None:
        """Start from the energy's own draw, encoded."""
        return

    def decode(self, theta: FloatArray) -> FloatArray:
        """Apply kappa."""
        self.counts.forward += 1
        ordered = theta if self.kind == "cholesky" else self._half(theta) * self._scale
        ordered = ordered * self._scale
        _solve_transposed(self._starts, self._rows, self._values, ordered)
        return ordered[self._place].reshape(self._shape)

    def pullback(self, theta: FloatArray, g_w: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Apply the transpose of kappa to the gradient."""
        self.counts.backward += 1
        gradient = self._half(g_w.reshape(-1))
        gradient *= self._scale
        if self.kind == "large-steps":  # kappa is symmetric: go on with the rest of the solve
            gradient *= self._scale
            _solve_transposed(self._starts, self._rows, self._values, gradient)
            gradient = gradient[self._place]
        if out is None:
            return gradient
        out[:] = gradient
        return out

    def encode(self, w: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Apply the inverse of kappa: a product, no solve."""
        flat = np.array(w, dtype=np.float64).ravel()
        self.encode_error = 0.0
        if self.kind == "large-steps":
            return self._matrix @ flat
        ordered = np.empty_like(flat)
        ordered[self._place] = flat
        _multiply_transposed(self._starts, self._rows, self._values, ordered)
        return ordered / self._scale

    def _factorise(self, strength: float) -> None:
        """Factor the matrix as Q^T L D L^T Q without pivoting; keep L, D^-1/2 and the ordering."""
        from scipy.sparse.linalg import splu

        try:
            factor = splu(
                self._matrix.tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError as error:  # exactly singular
            raise InputError(f"strength={strength!r}: {_INDEFINITE}") from error
        pivots = factor.U.diagonal()
        if not (pivots > 0).all() or (factor.perm_r != factor.perm_c).any():
            raise InputError(f"strength={strength!r}: {_INDEFINITE}")
        lower = factor.L.tocsc()
        lower.sort_indices()
        self._starts, self._rows, self._values = lower.indptr, lower.indices, lower.data
        self._scale = 1.0 / np.sqrt(pivots)
        self._place = factor.perm_c.astype(np.int64)

    def _half(self, flat: FloatArray) -> FloatArray:
        """L^-1 Q times a flat vector."""
        ordered = np.empty(self.size)
        ordered[self._place] = flat
        _solve(self._starts, self._rows, self._values, ordered)
        return ordered


# L is unit lower triangular in compressed columns, the diagonal entry first in each.


@njit(cache=True, nogil=True)
def _solve(starts: IntArray, rows: IntArray, values: FloatArray, x: FloatArray) -> None:
    """Replace x by L^-1 x."""
    for j in range(x.size):
        y = x[j]
        for k in range(starts[j] + 1, starts[j + 1]):
            x[rows[k]] -= values[k] * y


@njit(cache=True, nogil=True)
def _solve_transposed(starts: IntArray, rows: IntArray, values: FloatArray, x: FloatArray) -> None:
    """Replace x by L^-T x."""
    for j in range(x.size - 1, -1, -1):
        y = x[j]
        for k in range(starts[j] + 1, starts[j + 1]):
            y -= values[k] * x[rows[k]]
        x[j] = y


@njit(cache=True, nogil=True)
def _multiply_transposed(starts: IntArray, rows: IntArray, values: FloatArray, x: FloatArray) -> None:
    """Replace x by L^T x."""
    for j in range(x.size):
        y = x[j]
        for k in range(starts[j] + 1, starts[j + 1]):
            y += values[k] * x[rows[k]]
        x[j] = y
