"""Method: a recipe that builds stages for a given energy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from evenflow.energy.base import BaseEnergy
from evenflow.minimizer.base import Minimizer
from evenflow.reparametrization.base import Reparametrization
from evenflow.reparametrization.identity import Identity
from evenflow.solve import Plan, Stage, Teleport
from evenflow.status import Status
from evenflow.stopping import Fluctuation, GradientNorm, Stagnation, Steps, StoppingRule

__all__ = ["DEFAULT_TOLERANCE", "Direct", "Method", "TwoStage", "first_order", "settled"]

DEFAULT_TOLERANCE = 1e-11
"""Relative energy still to gain at which a solve stops where nothing else is asked for."""


class Method(ABC):
    """Builds the stages of a solve. Subclasses are dataclasses whose fields are the user's options."""

    name: str

    @abstractmethod
    def plan(self, energy: BaseEnergy, tolerance: float) -> Plan:
        """Yield stages one after the other; each ``yield`` returns the report of its stage.

        Parameters
        ----------
        energy : BaseEnergy
        tolerance : float
            Relative energy gap that the last stage should leave.
        """


def first_order(optimizer: str, lr: float | None = None, **options: Any) -> Minimizer:
    """Build a first-order minimizer by name: compiled where evenflow has it, else from torch.optim.

    The compiled ones follow torch.optim's update rules to round-off and cost about half as much a step, on
    states and on network parameters alike.

    Raises
    ------
    InputError
        If the name or an option is unknown.
    """
    from evenflow import minimizer

    compiled: dict[str, Callable[..., Minimizer]] = {
        "adam": minimizer.Adam,
        "rmsprop": minimizer.RMSProp,
        "sgd": minimizer.SGD,
        "adagrad": minimizer.AdaGrad,
    }
    if lr is not None:
        options["lr"] = lr
    if optimizer in compiled:
        return compiled[optimizer](**options)
    own = {name: options.pop(name) for name in ("lr_decay", "clip_value") if name in options}
    return minimizer.TorchOptimizer(optimizer, options, **own)


def settled(tolerance: float) -> StoppingRule:
    """The rule for monotone minimizers without an own estimate of the gap."""
    return Stagnation(tolerance) | GradientNorm(relative=1e-14)


@dataclass
class Direct(Method):
    """One stage: a minimizer on the states themselves, or through one change of variables.

    Parameters
    ----------
    minimizer : Minimizer
    stop : StoppingRule
    reparametrization : Reparametrization
    teleport : callable, optional
        Moves the point along its level set before chosen steps (see :class:`evenflow.solve.Stage`); a solve with
        one cannot be saved to a checkpoint.
    name : str

    Examples
    --------
    >>> import evenflow as ef
    >>> energy = ef.HeatDiffusion(ef.gallery.lattice(5, 5), hot=[0], cold=[24])
    >>> method = ef.Direct(ef.SGD(lr=1e-4), ef.Steps(30), teleport=ef.teleport.EnergyTeleport().at([0, 5]))
    >>> ef.minimize(energy, method=method).stages[0].steps
    30
    """

    minimizer: Minimizer
    stop: StoppingRule = field(default_factory=Fluctuation)
    reparametrization: Reparametrization = field(default_factory=Identity)
    teleport: Teleport | None = None
    name: str = "direct"

    def plan(self, energy: BaseEnergy, tolerance: float) -> Plan:
        """Yield the one stage."""
        yield Stage(self.minimizer, self.reparametrization, self.stop, name=self.name, teleport=self.teleport)
        return ""


@dataclass
class TwoStage(Method):
    """The papers' scheme [1]_: optimise a network whose output is w; switch to w itself when that stops paying.

    Parameters
    ----------
    reparametrization : Reparametrization
    optimizer : str
        "adam", "rmsprop", "sgd", "adagrad" or a class of torch.optim in lower case; used in both stages, with a
        new state in the second.
    lr : float
        Learning rate of both stages.
    network_lr : float, optional
        Learning rate of the network stage, if another.
    clip_value : float, optional
        Clamp of every gradient entry in the network stage.
    switch : StoppingRule
        Ends the network stage; the papers use a fixed number of steps (``Steps(100)``) or a small change, without
        a rule. The default, 1 % in ten steps, is where the stage stops paying on heat: a network step costs as
        much as some twenty direct ones, and 0.01 % makes the solve up to eight times longer.
    stop : StoppingRule
        Ends the second stage.
    max_steps : int
        Most steps of either stage.
    finish : bool
        Let L-BFGS settle what the second stage has not settled in ``max_steps`` (at a constant learning rate Adam
        circles the minimum). Not in the papers; it changes nothing before that step.
    matched_start : bool
        Fit the network to the energy's own start first (the papers' prefit) instead of starting where its random
        parameters put it.
    options : dict
        More options of the optimiser (``betas``, ``momentum`` ...).
    name : str

    References
    ----------
    .. [1] Faster Optimization on Sparse Graphs via Neural Reparametrization, LoG 2024, section 4 and algorithm 1.

    Examples
    --------
    >>> import evenflow as ef
    >>> energy = ef.HeatDiffusion(ef.gallery.lattice(5, 5), hot=[0], cold=[24])
    >>> method = ef.TwoStage(ef.GCN(hidden=8), optimizer="adam", lr=0.05)
    >>> [stage.reparametrization for stage in ef.minimize(energy, method=method).stages]
    ['gcn', 'identity']
    """

    reparametrization: Reparametrization
    optimizer: str = "adam"
    lr: float = 0.02
    network_lr: float | None = None
    clip_value: float | None = None
    switch: StoppingRule = field(default_factory=lambda: Fluctuation(1e-2, 10))
    stop: StoppingRule = field(default_factory=lambda: Fluctuation(1e-10, 10))
    max_steps: int = 20_000
    finish: bool = True
    matched_start: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    name: str = "two-stage"

    def plan(self, energy: BaseEnergy, tolerance: float) -> Plan:
        """Yield the network stage, then the states themselves from where it got to."""
        limit = Steps(self.max_steps)
        network_lr = self.lr if self.network_lr is None else self.network_lr
        clip = {} if self.clip_value is None else {"clip_value": self.clip_value}
        network = yield Stage(
            first_order(self.optimizer, network_lr, **clip, **self.options),
            self.reparametrization,
            self.switch | limit,
            name=self.name,
            own_start=not self.matched_start,
        )
        direct = yield Stage(
            first_order(self.optimizer, self.lr, **self.options),
            stop=self.stop | limit,
            name=self.optimizer,
        )
        if self.finish and direct.status is Status.MAX_ITERATIONS:
            from evenflow.minimizer import LBFGS

            yield Stage(LBFGS(), stop=settled(tolerance), name="lbfgs")
            return f"{self.optimizer} had not settled in {self.max_steps} steps, so L-BFGS finished"
        return "the network stage lost its way" if network.status is Status.NOT_FINITE else ""
