"""Relaxation: nonlinear Gauss-Seidel, one node after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.minimizer.base import Minimizer, State
from evenflow.minimizer.linear_algebra import dot
from evenflow.minimizer.problem import Problem
from evenflow.status import Status

__all__ = ["Relaxation"]


@dataclass
class Relaxation(Minimizer):
    """Nonlinear Gauss-Seidel [1]_: each node in turn takes a Newton step of its own that never raises the energy.

    Settles stiff terms of single nodes in a few sweeps, whatever their scale; differences over long distances take
    as many sweeps as conjugate gradients would take steps, squared. A start for others, not a solver.

    Parameters
    ----------
    sweeps : int
        Sweeps over all nodes in a step. One costs two to three gradients and is counted as two.

    References
    ----------
    .. [1] J. Ortega, W. Rheinboldt, "Iterative Solution of Nonlinear Equations in Several Variables", 1970,
       sec. 7.4 (one-step SOR-Newton with relaxation parameter 1).

    Examples
    --------
    >>> from evenflow.minimizer import Relaxation
    >>> Relaxation(sweeps=3)
    Relaxation(sweeps=3)
    """

    sweeps: int = 1

    name: ClassVar[str] = "relaxation"
    monotone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.sweeps < 1:
            raise InputError(f"sweeps={self.sweeps}: expected at least 1")

    def init(self, problem: Problem, theta: FloatArray) -> State:
        """Evaluate the start.

        Raises
        ------
        InputError
            If the energy has no sweep over its nodes, or the parameters are not its states.
        """
        if not problem.can_relax:
            raise InputError(
                "relaxation goes node by node, on the states of an energy whose can_relax is true; "
                "take another minimizer here"
            )
        return super().init(problem, theta)

    def step(self, problem: Problem, state: State) -> None:
        """Sweep; the status is PLATEAU where that gains nothing any more."""
        theta = problem.relax(state.theta, self.sweeps)
        energy, gradient = problem.value_and_gradient(theta)
        if not energy < state.energy:
            state.status = Status.PLATEAU
            return
        state.theta, state.energy, state.gradient = theta, energy, np.array(gradient)
        state.gradient_norm = float(np.sqrt(dot(state.gradient, state.gradient)))

    def remark(self) -> str:
        """How many sweeps a step has."""
        return f"{self.sweeps} sweeps each" if self.sweeps > 1 else ""
