"""Auto: picks, watches and escalates."""

from __future__ import annotations

from dataclasses import dataclass

from evenflow.energy.base import BaseEnergy
from evenflow.method.base import Method
from evenflow.solve import Plan, Stage
from evenflow.stopping import Decrement, Steps

__all__ = ["Auto"]


@dataclass
class Auto(Method):
    """Cheap Newton first; a preconditioner when it pays."""

    name: str = "auto"

    def plan(self, energy: BaseEnergy, tolerance: float) -> Plan:
        """Yield stages."""
        from evenflow.minimizer import NewtonCG

        yield Stage(NewtonCG(), stop=Decrement(tolerance) | Steps(10_000), name="newton-cg")
        return ""
