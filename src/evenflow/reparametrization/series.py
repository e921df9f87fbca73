"""Series: the truncated binomial series of (I - X)^(-1/2), a linear graph network with fixed weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError, SolveError
from evenflow.history import Counts
from evenflow.reparametrization.base import Reparametrization
from evenflow.reparametrization.propagation import propagation_matrix

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Series"]

_PRINTED = [1.0, -1.0 / 2.0, -3.0 / 4.0]


@dataclass
class Series(Reparametrization):
    """w = kappa theta with kappa = sum_{q <= order} c_q X^q, X = (1 - damping) A_s, c_q = binom(2q, q) / 4^q.

    A_s is the normalised adjacency, so that I - A_s stands for the early Hessian of a diffusion energy and
    kappa for its inverse square root: gradient descent on theta is descent on w preconditioned by kappa^2.
    The series diverges at the eigenvalue 1 of A_s, which every component has; damping moves it away.

    Parameters
    ----------
    order : int
        Highest power.
    damping : float
        xi in [0, 1).
    coefficients : {"right", "printed-000", "printed-001"}
        The printed ones are 1, -1/2, -3/4, of order two, and **wrong**: they make the conditioning far worse
        than none. They are here to reproduce the papers. "printed-001" [1]_ has X = A_s, undamped; "printed-000"
        [2]_ has X = I - (1 - damping) H / h_max, where H is the curvature of the energy and h_max its largest
        absolute row sum, since the printed estimate of h_max is 0/0 for a Laplacian.
    propagation : {"sym", "kipf"}
        A_s = D^-1/2 A D^-1/2, or the same of A + I.

    References
    ----------
    .. [1] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024, section 4, "Relation to
       Quasi-Newton methods".
    .. [2] "Accelerating Optimization using Neural Reparametrization", 2021, eq. 15.

    Examples
    --------
    >>> from evenflow.reparametrization import Series
    >>> Series(order=3).weights()
    [1.0, 0.5, 0.375, 0.3125]
    """

    order: int = 2
    damping: float = 0.05
    coefficients: Literal["right", "printed-000", "printed-001"] = "right"
    propagation: Literal["sym", "kipf"] = "sym"

    name: ClassVar[str] = "series"
    linear: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.order < 0:
            raise InputError(f"order={self.order!r}: expected a whole number from 0")
        if not 0 <= self.damping < 1:
            raise InputError(f"damping={self.damping!r}: expected a number in [0, 1)")
        if self.coefficients not in ("right", "printed-000", "printed-001"):
            raise InputError(f"coefficients={self.coefficients!r}: expected 'right', 'printed-000' or 'printed-001'")
        if self.propagation not in ("sym", "kipf"):
            raise InputError(f"propagation={self.propagation!r}: expected 'sym' or 'kipf'")
        if self.coefficients != "right" and self.order > 2:
            raise InputError(f"order={self.order!r}: the papers print no coefficient beyond order 2")

    def weights(self) -> list[float]:
        """Coefficients c_0 .. c_order."""
        if self.coefficients != "right":
            return _PRINTED[: self.order + 1]
        return [math.comb(2 * q, q) / 4.0**q for q in range(self.order + 1)]

    def setup(self, energy: BaseEnergy, rng: np.random.Generator, counts: Counts) -> None:
        """Build X."""
        import scipy.sparse as sp

        self._shape, self.size, self.counts = energy.shape, energy.size, counts
        if self.coefficients == "printed-000":
            curvature = energy.curvature()
            largest = float(abs(curvature).sum(axis=1).max()) or 1.0
            x = sp.eye_array(energy.size, format="csr") - curvature * ((1.0 - self.damping) / largest)
            self._rows = energy.size
        else:
            damping = self.damping if self.coefficients == "right" else 0.0
            x = propagation_matrix(energy, self.propagation) * (1.0 - damping)
            self._rows = energy.shape[0]
        self._x: sp.csr_array = x.tocsr()
        self._weights = self.weights()

    def initial(self, rng: np.random.Generator) -> None:
        """Start from the energy's own draw, encoded."""
        return

    def decode(self, theta: FloatArray) -> FloatArray:
        """Apply kappa, by Horner's rule."""
        self.counts.forward += 1
        return self._kappa(theta).reshape(self._shape)

    def pullback(self, theta: FloatArray, g_w: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Apply kappa, which is symmetric, to the gradient."""
        self.counts.backward += 1
        gradient = self._kappa(g_w)
        if out is None:
            return gradient
        out[:] = gradient
        return out

    def encode(self, w: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Solve kappa theta = w: by conjugate gradients, or by a sparse factor for the indefinite printed kappa.

        Raises
        ------
        SolveError
            If the printed kappa is singular.
        """
        target = np.array(w, dtype=np.float64).ravel()
        solve: Callable[[FloatArray], FloatArray] = (
            self._solve_definite if self.coefficients == "right" else self._solve_indefinite
        )
        theta = solve(target)
        theta += solve(target - self._kappa(theta))
        self.encode_error = float(np.sqrt(np.mean((self._kappa(theta) - target) ** 2)))
        return theta

    def _kappa(self, values: FloatArray) -> FloatArray:
        """Kappa times a vector or a state array, flat."""
        column = values.reshape(self._rows, -1)
        if column.shape[1] == 1:
            column = column[:, 0]  # the product with a vector is the faster one
        total = self._weights[-1] * column
        for weight in self._weights[-2::-1]:
            total = self._x @ total
            total += weight * column
        return total.reshape(-1)

    def _solve_definite(self, target: FloatArray) -> FloatArray:
        """Conjugate gradients; kappa has a small condition number."""
        from scipy.sparse.linalg import LinearOperator, cg

        operator = LinearOperator((self.size, self.size), matvec=self._kappa, dtype=np.float64)
        theta, _ = cg(operator, target, rtol=1e-13, maxiter=10 * len(self._weights) + 1000)
        return theta

    def _solve_indefinite(self, target: FloatArray) -> FloatArray:
        """A sparse LU factorisation of kappa."""
        import scipy.sparse as sp
        from scipy.sparse.linalg import splu

        kappa = sp.csr_array((self._x.shape[0], self._x.shape[0]))
        for weight in reversed(self._weights):
            kappa = kappa @ self._x + weight * sp.eye_array(self._x.shape[0], format="csr")
        try:
            theta = splu(kappa.tocsc()).solve(target.reshape(self._rows, -1))
        except RuntimeError as error:
            raise SolveError(f"coefficients={self.coefficients!r}: kappa is singular on this graph") from error
        return theta.ravel()
