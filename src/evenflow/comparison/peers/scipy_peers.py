"""SciPy's minimisers, fed with the compiled gradient and Hessian product."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenflow.comparison.peers.base import Peer
from evenflow.energy.base import FloatArray

if TYPE_CHECKING:
    from evenflow.comparison.recorder import Recorder

__all__ = ["ScipyLBFGSB", "ScipyNewtonCG", "ScipyTrustKrylov"]

_ENDLESS = 1_000_000_000


@dataclass(frozen=True)
class _ScipyPeer(Peer):
    """One call of :func:`scipy.optimize.minimize` that only the target, the clock or round-off ends."""

    package: ClassVar[str] = "scipy"
    module: ClassVar[str] = "scipy"
    method: ClassVar[str]
    second_order: ClassVar[bool] = True

    @abstractmethod
    def options(self, w0: FloatArray) -> dict[str, Any]:
        """Options of the solver, its own stopping rules switched off."""

    def run(self, run: Recorder, w0: FloatArray, seed: int) -> FloatArray:
        """Minimise with SciPy."""
        from scipy.optimize import minimize

        run.visit(w0)
        product: dict[str, Callable[..., FloatArray]] = {"hessp": run.hvp} if self.second_order else {}

        def callback(intermediate_result: Any) -> None:
            run.visit(intermediate_result.x)

        outcome = minimize(
            run.value_and_gradient,
            w0.reshape(-1),
            jac=True,
            method=self.method,
            options=self.options(w0),
            callback=callback,
            **product,
        )
        return np.asarray(outcome.x, dtype=np.float64).reshape(w0.shape)


@dataclass(frozen=True)
class ScipyLBFGSB(_ScipyPeer):
    """Limited-memory BFGS of SciPy, without bounds."""

    name: ClassVar[str] = "scipy-lbfgsb"
    method: ClassVar[str] = "L-BFGS-B"
    second_order: ClassVar[bool] = False
    description: ClassVar[str] = "scipy.optimize L-BFGS-B with our compiled gradient"
    tuning: ClassVar[str] = "maxcor tried at 10, 20, 40; ftol and gtol 0, so that it never stops early"

    maxcor: int = 10

    def candidates(self) -> Sequence[Peer]:
        """Memory lengths."""
        return [ScipyLBFGSB(maxcor=m) for m in (10, 20, 40)]

    def options(self, w0: FloatArray) -> dict[str, Any]:
        """Memory length; no limits."""
        return {"maxcor": self.maxcor, "ftol": 0.0, "gtol": 0.0, "maxiter": _ENDLESS, "maxfun": _ENDLESS, "maxls": 40}


@dataclass(frozen=True)
class ScipyNewtonCG(_ScipyPeer):
    """Line-search Newton-CG of SciPy."""

    name: ClassVar[str] = "scipy-newton-cg"
    method: ClassVar[str] = "Newton-CG"
    description: ClassVar[str] = "scipy.optimize Newton-CG with our compiled gradient and Hessian product"
    tuning: ClassVar[str] = "no knob that matters; xtol 0, so that it never stops early"

    def options(self, w0: FloatArray) -> dict[str, Any]:
        """No limits."""
        return {"xtol": 0.0, "maxiter": _ENDLESS}


@dataclass(frozen=True)
class ScipyTrustKrylov(_ScipyPeer):
    """Trust region with Lanczos subproblems of SciPy (trlib)."""

    name: ClassVar[str] = "scipy-trust-krylov"
    method: ClassVar[str] = "trust-krylov"
    description: ClassVar[str] = "scipy.optimize trust-krylov with our compiled gradient and Hessian product"
    tuning: ClassVar[str] = (
        "trust radius scaled to the problem, starting at sqrt(size) times 0.1, 1 or 10 (the default 1 of SciPy is "
        "slow on large problems), its maximum 1000 times that; gtol 0"
    )

    radius: float = 1.0

    def candidates(self) -> Sequence[Peer]:
        """Initial radii for each square root of an unknown."""
        return [ScipyTrustKrylov(radius=r) for r in (0.1, 1.0, 10.0)]

    def options(self, w0: FloatArray) -> dict[str, Any]:
        """Trust radii; no limits."""
        radius = self.radius * float(np.sqrt(w0.size))
        return {
            "gtol": 0.0,
            "maxiter": _ENDLESS,
            "initial_trust_radius": radius,
            "max_trust_radius": 1e3 * radius,
        }
