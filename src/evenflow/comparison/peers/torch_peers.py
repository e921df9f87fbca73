"""Optimisers of PyTorch: L-BFGS, and Adam as the papers run it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenflow.comparison.peers.base import Peer
from evenflow.energy.base import FloatArray

if TYPE_CHECKING:
    import torch

    from evenflow.comparison.recorder import Recorder

__all__ = ["LEARNING_RATES", "FirstOrderPeer", "TorchAdam", "TorchAdamBest", "TorchLBFGS"]

LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""The grid of every learning rate that is tuned; 0.02, the papers' own, lies inside."""


@dataclass(frozen=True)
class TorchLBFGS(Peer):
    """:class:`torch.optim.LBFGS` in float64."""

    name: ClassVar[str] = "torch-lbfgs"
    description: ClassVar[str] = "torch.optim.LBFGS, strong Wolfe line search, float64, with our compiled gradient"
    tuning: ClassVar[str] = "history_size tried at 10, 20, 40; tolerances 0; every evaluated point is recorded"
    package: ClassVar[str] = "torch"
    module: ClassVar[str] = "torch"

    history_size: int = 10

    def candidates(self) -> Sequence[Peer]:
        """Memory lengths."""
        return [TorchLBFGS(history_size=m) for m in (10, 20, 40)]

    def run(self, run: Recorder, w0: FloatArray, seed: int) -> FloatArray:
        """One long call of ``step``: a call for each iteration would evaluate every point twice."""
        import torch

        w = torch.from_numpy(w0.reshape(-1)).requires_grad_(True)
        optimizer = torch.optim.LBFGS(
            [w],
            max_iter=1_000_000_000,
            max_eval=2_000_000_000,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            history_size=self.history_size,
            line_search_fn="strong_wolfe",
        )

        def closure() -> float:
            point = w.detach().numpy()
            value, gradient = run.value_and_gradient(point)
            w.grad = torch.from_numpy(np.array(gradient))
            run.visit(point)
            return value

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        return w.detach().numpy().reshape(w0.shape)


@dataclass(frozen=True)
class FirstOrderPeer(Peer):
    """A torch optimiser on w, the gradient by autograd, one recorded point a step.

    Attributes
    ----------
    matrix : bool
        Whether w is folded into a nearly square matrix (padded with unused entries), which optimisers for
        weight matrices need.
    second_backward : bool
        Whether the optimiser differentiates the gradient again.
    """

    package: ClassVar[str] = "torch"
    module: ClassVar[str] = "torch"
    matrix: ClassVar[bool] = False
    second_backward: ClassVar[bool] = False

    lr: float = 0.02

    @abstractmethod
    def optimizer(self, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
        """Build the optimiser as its documentation says."""

    def run(self, run: Recorder, w0: FloatArray, seed: int) -> FloatArray:
        """Step until the clock or the target says stop; torch's own random state is left as found."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._descend(run, w0)

    def _descend(self, run: Recorder, w0: FloatArray) -> FloatArray:
        """Loop of :meth:`run`."""
        import torch

        run.visit(w0)
        with run.setup():
            parameter = torch.nn.Parameter(_fold(w0) if self.matrix else torch.from_numpy(w0.reshape(-1)))
            optimizer = self.optimizer(parameter)

        def point() -> torch.Tensor:
            return parameter.reshape(-1)[: w0.size].reshape(w0.shape)

        while not run.overdue:
            optimizer.zero_grad()
            value = run.energy.torch_value(point())
            # as torch advises, instead of backward(create_graph=True), which it warns of once in a process
            (parameter.grad,) = torch.autograd.grad(value, parameter, create_graph=self.second_backward)
            run.counts.gradient += 1
            optimizer.step()
            run.visit(point().detach().numpy())
        return point().detach().numpy()


def _fold(w: FloatArray) -> torch.Tensor:
    """Fill a nearly square matrix row by row."""
    import torch

    rows = int(np.ceil(np.sqrt(w.size)))
    columns = -(-w.size // rows)
    folded = np.zeros(rows * columns)
    folded[: w.size] = w.reshape(-1)
    return torch.from_numpy(folded.reshape(rows, columns))


@dataclass(frozen=True)
class TorchAdam(FirstOrderPeer):
    """The papers' baseline."""

    name: ClassVar[str] = "torch-adam"
    description: ClassVar[str] = "torch.optim.Adam on w by autograd, the papers' baseline"
    tuning: ClassVar[str] = "none: lr 0.02 as in the papers"

    def optimizer(self, parameter: torch.nn.Parameter) -> torch.optim.Optimizer:
        """Adam with its defaults."""
        import torch

        return torch.optim.Adam([parameter], lr=self.lr)


@dataclass(frozen=True)
class TorchAdamBest(TorchAdam):
    """Adam at its best constant learning rate."""

    name: ClassVar[str] = "torch-adam-best"
    description: ClassVar[str] = "torch.optim.Adam on w by autograd at the best lr of a grid"
    tuning: ClassVar[str] = f"constant lr, best of {LEARNING_RATES[0]:g} .. {LEARNING_RATES[-1]:g}, two a decade"

    def candidates(self) -> Sequence[Peer]:
        """Learning rates."""
        return [replace(self, lr=lr) for lr in LEARNING_RATES]
