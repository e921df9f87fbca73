"""TeleportReport: what one teleport did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["LayerCheck", "TeleportReport"]


@dataclass(frozen=True)
class LayerCheck:
    """Numerical state of the matrix that the action inverts at one layer.

    Parameters
    ----------
    samples, width : int
        Rows and columns of the layer's input on the batch (the column of ones of a bias included).
    rank : int
        Numerical rank; the action is exact on the batch when it equals ``samples``.
    condition : float
        Ratio of the extreme singular values.
    """

    samples: int
    width: int
    rank: int
    condition: float


@dataclass(frozen=True)
class TeleportReport:
    """What one teleport did, and why it was accepted or rejected.

    Parameters
    ----------
    accepted : bool
        Whether the parameters moved. If not, they are what they were, bit for bit.
    reason : str
        Why, with advice.
    group : str
        Name of the group, or ``"levelset"``.
    loss_before, loss_after : float
        Loss on the batch at the start and at the best point found (accepted or not).
    grad_sq_before, grad_sq_after : float
        Squared Euclidean norm of the gradient over all trainable parameters.
    rate_before, rate_after : float
        ``sum(eta * g**2)``, the rate of decay of the loss that the search maximises; equal to ``grad_sq`` when the
        learning rates eta were not given (Proposition 5.1 of "Symmetry Teleportation for Accelerated Optimization").
    output_error : float
        Largest change of an output of the layers on the batch, relative to the largest output; nan if unknown.
    layers : mapping of str to LayerCheck
        Rank and condition, by layer name.
    inner_steps : int
        Accepted steps of the search.
    evaluations : int
        Gradient evaluations spent.
    distance : float
        Length of the path along the level set, Euclidean, in parameter units.
    displacement : float
        Euclidean distance between the start and the end.
    seconds : float
        Wall time of the whole teleport.

    Examples
    --------
    >>> report = TeleportReport(True, "", "scale", 2.0, 2.0, 1.0, 4.0, 1.0, 4.0)
    >>> report.gain, report.loss_change
    (4.0, 0.0)
    """

    accepted: bool
    reason: str
    group: str
    loss_before: float
    loss_after: float
    grad_sq_before: float
    grad_sq_after: float
    rate_before: float
    rate_after: float
    output_error: float = math.nan
    layers: Mapping[str, LayerCheck] = field(default_factory=dict)
    inner_steps: int = 0
    evaluations: int = 0
    distance: float = 0.0
    displacement: float = 0.0
    seconds: float = 0.0

    @property
    def gain(self) -> float:
        """Factor by which the searched objective grew."""
        return self.rate_after / self.rate_before if self.rate_before > 0.0 else math.nan

    @property
    def loss_change(self) -> float:
        """Change of the loss relative to its size."""
        return abs(self.loss_after - self.loss_before) / max(abs(self.loss_before), 1e-300)

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return {**asdict(self), "gain": self.gain, "loss_change": self.loss_change}
