"""Damped Newton with a general sparse solver: what one would write with SciPy and PyAMG in an afternoon."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenflow.comparison.peers.base import Peer
from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.preconditioner.pyamg_multigrid import seeded_pyamg

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.comparison.recorder import Recorder

__all__ = ["NewtonPyamg", "NewtonSuperLU"]


@dataclass(frozen=True)
class _DampedNewton(Peer):
    """Newton with Armijo backtracking; the Hessian is shifted while the step does not point downhill."""

    @abstractmethod
    def solve(self, hessian: sp.csr_array, rhs: FloatArray, tolerance: float) -> FloatArray | None:
        """Solve ``hessian p = rhs``; None if the matrix cannot be treated."""

    def refuses(self, energy: BaseEnergy) -> str | None:
        """A sparse Hessian is needed."""
        if not energy.sparse_hessian:
            return "needs a sparse Hessian, which this energy does not offer"
        return super().refuses(energy)

    def run(self, run: Recorder, w0: FloatArray, seed: int) -> FloatArray:
        """Iterate until the target, the deadline, or until no step lowers the energy."""
        w = w0
        run.visit(w)
        value, gradient = run.value_and_gradient(w)
        first = float(np.linalg.norm(gradient))
        shift = 0.0
        with seeded_pyamg(seed):
            while first > 0:
                norm = float(np.linalg.norm(gradient))
                tolerance = min(0.1, np.sqrt(norm / first))
                hessian = run.hessian(w)
                step, shift = self._direction(run, hessian, gradient, tolerance, shift)
                moved = _backtrack(run, w, value, gradient, step)
                if moved is None:
                    break
                w = moved
                run.visit(w)
                value, gradient = run.value_and_gradient(w)
        return w

    def _direction(
        self, run: Recorder, hessian: sp.csr_array, gradient: FloatArray, tolerance: float, shift: float
    ) -> tuple[FloatArray, float]:
        """Downhill step, and the shift to try first next time."""
        import scipy.sparse as sp

        flat = gradient.reshape(-1)
        unit = float(np.abs(hessian.diagonal()).max())
        shift = shift / 4 if shift > 1e-8 * unit else 0.0
        while True:
            run.check()
            matrix = hessian + shift * sp.eye_array(hessian.shape[0], format="csr") if shift else hessian
            run.counts.factorisation += 1
            step = self.solve(matrix, -flat, tolerance)
            if step is not None and np.isfinite(step).all() and step @ flat < 0:
                return step.reshape(gradient.shape), shift
            shift = max(4 * shift, 1e-6 * unit)


def _backtrack(run: Recorder, w: FloatArray, value: float, gradient: FloatArray, step: FloatArray) -> FloatArray | None:
    """First point of w + step, w + step / 2, ... with sufficient decrease; None at round-off level."""
    slope = float(np.vdot(gradient, step))
    length = 1.0
    for _ in range(40):
        trial = w + length * step
        found = run.value(trial)
        if found < value and found <= value + 1e-4 * length * slope:
            return trial
        length /= 2
    return None


@dataclass(frozen=True)
class NewtonPyamg(_DampedNewton):
    """Newton steps by conjugate gradients with algebraic multigrid, set up anew each step."""

    name: ClassVar[str] = "newton-pyamg"
    description: ClassVar[str] = "damped Newton, steps by CG with a PyAMG hierarchy of each Hessian"
    tuning: ClassVar[str] = (
        "smoothed aggregation or Ruge-Stuben, whichever is faster, each at its defaults for symmetric matrices; "
        "residual min(0.1, sqrt(|g| / |g0|))"
    )
    package: ClassVar[str] = "pyamg"
    module: ClassVar[str] = "pyamg"

    hierarchy: str = "smoothed-aggregation"

    def candidates(self) -> Sequence[Peer]:
        """Both kinds of hierarchy."""
        return [NewtonPyamg(hierarchy=name) for name in ("smoothed-aggregation", "ruge-stuben")]

    def solve(self, hessian: sp.csr_array, rhs: FloatArray, tolerance: float) -> FloatArray | None:
        """Preconditioned conjugate gradients."""
        import pyamg
        import scipy.sparse as sp
        from scipy.sparse.linalg import cg

        matrix = sp.csr_matrix(hessian)
        matrix.indptr, matrix.indices = matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32)
        if (matrix.diagonal() <= 0).any():
            return None
        if self.hierarchy == "ruge-stuben":
            levels = pyamg.ruge_stuben_solver(matrix)
        else:
            levels = pyamg.smoothed_aggregation_solver(matrix, symmetry="symmetric")
        step, _ = cg(matrix, rhs, rtol=tolerance, maxiter=500, M=levels.aspreconditioner())
        return step


@dataclass(frozen=True)
class NewtonSuperLU(_DampedNewton):
    """Newton steps by sparse LU."""

    name: ClassVar[str] = "newton-superlu"
    description: ClassVar[str] = "damped Newton, steps by scipy.sparse.linalg.splu of each Hessian"
    tuning: ClassVar[str] = "minimum-degree ordering of the symmetric pattern, symmetric mode"
    package: ClassVar[str] = "scipy"
    module: ClassVar[str] = "scipy"

    def solve(self, hessian: sp.csr_array, rhs: FloatArray, tolerance: float) -> FloatArray | None:
        """Direct solve; a singular matrix is answered by a shift."""
        from scipy.sparse.linalg import MatrixRankWarning, splu

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MatrixRankWarning)
            try:
                factor = splu(
                    hessian.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
                )
            except RuntimeError:  # "Factor is exactly singular"
                return None
        return factor.solve(rhs)
