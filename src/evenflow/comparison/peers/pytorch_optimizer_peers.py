"""Preconditioned and second-order optimisers of the pytorch-optimizer package."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from evenflow.comparison.peers.base import Peer
from evenflow.comparison.peers.torch_peers import LEARNING_RATES, FirstOrderPeer
from evenflow.energy.base import BaseEnergy

if TYPE_CHECKING:
    import torch

__all__ = ["SOAP", "AdaHessian", "Muon", "Shampoo"]

_TUNED = f"constant lr, best of {LEARNING_RATES[0]:g} .. {LEARNING_RATES[-1]:g}"
_FOLDED = "w folded into a nearly square matrix"


@dataclass(frozen=True)
class _PytorchOptimizerPeer(FirstOrderPeer):
    """A member of pytorch-optimizer, its learning rate tuned on the common grid."""

    package: ClassVar[str] = "pytorch_optimizer"
    module: ClassVar[str] = "pytorch_optimizer"

    def candidates(self) -> Sequence[Peer]:
        """Learning rates."""
        return [replace(self, lr=lr) for lr in LEARNING_RATES]

    def refuses(self, energy: BaseEnergy) -> str | None:
        """Too old a release is refused: its AdaHessian drew only one sign of probe."""
        reason = super().refuses(energy)
        if reason is None:
            version = importlib.metadata.version(self.package)
            if tuple(int(part) for part in version.split(".")[:2]) < (4, 1):
                return f"{self.package} {version} is too old: 4.1 or later is needed"
        return reason


@dataclass(frozen=True)
class Shampoo(_PytorchOptimizerPeer):
    """Shampoo with blocks and grafting.

    Measured on heat, 50 x 50: with its default grafting (SGD) it diverges at every learning rate of the grid, with
    RMSProp's step length it converges; so the latter is compared.
    """

    name: ClassVar[str] = "shampoo"
    description: ClassVar[str] = "pytorch-optimizer ScalableShampoo (blocks of 512, RMSProp grafting) by autograd"
    tuning: ClassVar[str] = f"{_TUNED}; {_FOLDED}; preconditioner from step 5 on, renewed every 20 steps"
    matrix: ClassVar[bool] = True

    def optimizer(self, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
        """Preconditioner renewed every 20 steps: the default of 1000 would come too late here."""
        from pytorch_optimizer import ScalableShampoo
        from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting

        return ScalableShampoo(
            [parameter],
            lr=self.lr,
            start_preconditioning_step=5,
            preconditioning_compute_steps=20,
            graft_type=LayerWiseGrafting.RMSPROP,
        )


@dataclass(frozen=True)
class AdaHessian(_PytorchOptimizerPeer):
    """Adam with a Hutchinson estimate of the Hessian diagonal.

    One probe of a graph Laplacian's diagonal is zero at some nodes, and the default eps of 1e-16 then makes the
    first steps infinite; eps 1 (of the order of a diagonal entry) is compared instead.
    """

    name: ClassVar[str] = "adahessian"
    description: ClassVar[str] = "pytorch-optimizer AdaHessian by autograd (Hutchinson diagonal, one probe a step)"
    tuning: ClassVar[str] = f"{_TUNED}; eps 1, since the default 1e-16 diverges"
    second_backward: ClassVar[bool] = True

    def optimizer(self, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
        """AdaHessian with a safe eps."""
        from pytorch_optimizer import AdaHessian as Optimizer

        return Optimizer([parameter], lr=self.lr, eps=1.0)


@dataclass(frozen=True)
class SOAP(_PytorchOptimizerPeer):
    """Adam in the eigenbasis of Shampoo."""

    name: ClassVar[str] = "soap"
    description: ClassVar[str] = "pytorch-optimizer SOAP by autograd"
    tuning: ClassVar[str] = f"{_TUNED}; {_FOLDED}; weight decay 0, which would change the energy"
    matrix: ClassVar[bool] = True

    def optimizer(self, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
        """SOAP without weight decay."""
        import pytorch_optimizer

        return pytorch_optimizer.SOAP([parameter], lr=self.lr, weight_decay=0.0)


@dataclass(frozen=True)
class Muon(_PytorchOptimizerPeer):
    """Orthogonalised momentum."""

    name: ClassVar[str] = "muon"
    description: ClassVar[str] = "pytorch-optimizer Muon by autograd"
    tuning: ClassVar[str] = f"{_TUNED}; {_FOLDED}"
    matrix: ClassVar[bool] = True

    def optimizer(self, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
        """Muon for a weight matrix."""
        from pytorch_optimizer import Muon as Optimizer

        return Optimizer([{"params": [parameter], "lr": self.lr, "use_muon": True}])
