"""TorchOptimizer: any optimizer of torch.optim, driving theta in place."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.linear_algebra import dot
from evenflow.minimizer.problem import Problem

__all__ = ["TorchOptimizer"]

_REFUSED = {
    "lbfgs": "it evaluates the energy inside its step; use evenflow.LBFGS",
    "sparseadam": "it needs sparse gradients; use optimizer='adam'",
    "muon": "it needs matrices, and theta is one vector",
}


_ONE_THREAD_BELOW = 1_000_000
"""Parameters up to which torch updates them on one thread: more gain little, and wait long on a busy machine."""


@contextlib.contextmanager
def _few_threads(size: int) -> Iterator[None]:
    """Keep torch on one thread for small vectors; its setting is put back."""
    threads = torch.get_num_threads()
    if threads == 1 or size >= _ONE_THREAD_BELOW:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass
class TorchOptimizer(Minimizer):
    """An optimizer of ``torch.optim``, by name, on one flat parameter that shares memory with theta.

    :class:`~evenflow.minimizer.first_order.Adam` and its neighbours follow the same trajectories in compiled
    form and several times faster; this class gives the rest of ``torch.optim``.

    Parameters
    ----------
    optimizer : str
        Name of a class in ``torch.optim``, in any case: "adam", "rmsprop", "sgd", "adagrad", "adamw", "nadam", ...
    options : dict
        Keyword arguments of that class, ``lr`` among them.
    lr_decay : float
        Factor on the learning rate after every step (1 keeps it constant).
    clip_value : float, optional
        Clamp every gradient entry to [-clip_value, clip_value] before the update.

    Examples
    --------
    >>> from evenflow.minimizer.torch_optim import TorchOptimizer
    >>> TorchOptimizer("adamw", {"lr": 0.02, "weight_decay": 0.0}).optimizer
    'adamw'
    """

    optimizer: str = "adam"
    options: dict[str, Any] = field(default_factory=dict)
    lr_decay: float = 1.0
    clip_value: float | None = None

    name: ClassVar[str] = "torch-optim"

    def __post_init__(self) -> None:
        if not 0 < self.lr_decay <= 1:
            raise InputError(f"lr_decay={self.lr_decay!r}: expected a factor in (0, 1]")
        if self.clip_value is not None and not self.clip_value > 0:
            raise InputError(f"clip_value={self.clip_value!r}: expected a positive number")

    def init(self, problem: Problem, theta: FloatArray) -> State:
        """Evaluate the start and build the optimizer, which lives in the state's memory."""
        live = self._build(theta)
        state = super().init(problem, theta)
        state.memory = {"t": 0, "live": live}
        return state

    def step(self, problem: Problem, state: State) -> None:
        """Let torch update theta from its gradient, then evaluate the energy there."""
        live = state.memory["live"]
        parameter = live.param_groups[0]["params"][0]
        here = torch.from_numpy(state.theta)
        if parameter.data_ptr() != here.data_ptr():  # the loop may put another vector in its place
            parameter.data = here
        gradient = torch.from_numpy(state.gradient)
        parameter.grad = gradient if self.clip_value is None else gradient.clamp(-self.clip_value, self.clip_value)
        with _few_threads(state.theta.size):
            live.step()
        state.memory["t"] += 1
        if self.lr_decay != 1.0:
            live.param_groups[0]["lr"] = live.defaults["lr"] * self.lr_decay ** state.memory["t"]
        state.energy, state.gradient = problem.value_and_gradient(state.theta, state.gradient)
        state.gradient_norm = math.sqrt(dot(state.gradient, state.gradient))

    def export(self, state: State) -> dict[str, Any]:
        """The optimizer's state as arrays and numbers."""
        live = state.memory["live"]
        moments = live.state.get(live.param_groups[0]["params"][0], {})
        return {
            "t": state.memory["t"],
            "moments": {
                name: np.array(value.numpy()) if isinstance(value, torch.Tensor) else value
                for name, value in moments.items()
            },
        }

    def restore(self, problem: Problem, state: State, saved: Mapping[str, Any]) -> None:
        """Build the optimizer again and put its state back."""
        live = self._build(state.theta)
        group = live.param_groups[0]
        live.state[group["params"][0]] = {
            name: torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
            for name, value in saved["moments"].items()
        }
        if self.lr_decay != 1.0:
            group["lr"] = live.defaults["lr"] * self.lr_decay ** saved["t"]
        state.memory = {"t": saved["t"], "live": live}

    def _build(self, theta: FloatArray) -> torch.optim.Optimizer:
        """Make the optimizer on a parameter that shares memory with theta."""
        key = self.optimizer.lower()
        known = {
            name.lower(): found
            for name, found in vars(torch.optim).items()
            if isinstance(found, type) and issubclass(found, torch.optim.Optimizer)
        }
        known.pop("optimizer")
        if key in _REFUSED:
            raise InputError(f"optimizer={self.optimizer!r}: {_REFUSED[key]}")
        if key not in known:
            names = ", ".join(sorted(set(known) - set(_REFUSED)))
            raise InputError(f"optimizer={self.optimizer!r}: expected a class of torch.optim: {names}")
        parameter = torch.nn.Parameter(torch.from_numpy(theta))
        try:
            return known[key]([parameter], **self.options)
        except (TypeError, ValueError) as error:
            raise InputError(f"options={self.options!r}: torch.optim refuses them for {key!r} ({error})") from error
