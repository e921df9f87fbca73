"""History and Counts: what a solve did, step by step and in total."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Counts", "History"]


@dataclass
class Counts:
    """How often each expensive thing was done.

    ``gradient`` counts fused value-and-gradient passes, ``value`` passes for the value alone, ``hvp``
    products of a Hessian with a vector (assembled or not), ``hessian`` assemblies of the sparse Hessian,
    ``factorisation`` builds or refreshes of a preconditioner, ``preconditioner`` its applications,
    ``forward`` and ``backward`` passes through a network.
    """

    value: int = 0
    gradient: int = 0
    hvp: int = 0
    hessian: int = 0
    factorisation: int = 0
    preconditioner: int = 0
    forward: int = 0
    backward: int = 0

    @property
    def evaluations(self) -> int:
        """Energy evaluations of any kind: the budget ``max_evaluations`` counts these."""
        return self.value + self.gradient

    def as_dict(self) -> dict[str, int]:
        """All counts by name."""
        return asdict(self)


@dataclass
class History:
    """One row for each step, the start included.

    ``seconds`` runs only while the solver works (set-up included, bookkeeping and callbacks excluded);
    ``gradient_norm`` is the Euclidean norm in the variables of the stage, ``decrement`` the minimizer's own
    estimate of the energy left to gain (nan where it has none).
    """

    seconds: list[float] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    decrement: list[float] = field(default_factory=list)
    stage: list[int] = field(default_factory=list)

    def append(self, seconds: float, energy: float, gradient_norm: float, decrement: float, stage: int) -> None:
        """Record one step."""
        self.seconds.append(seconds)
        self.energy.append(energy)
        self.gradient_norm.append(gradient_norm)
        self.decrement.append(decrement)
        self.stage.append(stage)

    def amend(self, seconds: float, energy: float, gradient_norm: float, decrement: float) -> None:
        """Bring the last row up to date; where the energy is another, its seconds, too."""
        if energy != self.energy[-1]:
            self.seconds[-1] = seconds
        self.energy[-1], self.gradient_norm[-1], self.decrement[-1] = energy, gradient_norm, decrement

    def __len__(self) -> int:
        return len(self.energy)

    def arrays(self) -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
        """The columns as arrays of equal length."""
        return {
            "seconds": np.asarray(self.seconds, dtype=np.float64),
            "energy": np.asarray(self.energy, dtype=np.float64),
            "gradient_norm": np.asarray(self.gradient_norm, dtype=np.float64),
            "decrement": np.asarray(self.decrement, dtype=np.float64),
            "stage": np.asarray(self.stage, dtype=np.int64),
        }
