"""Symmetry teleportation: along a level set of the loss to where its gradient is larger.

An add-on for PyTorch training loops and for test functions: groups that keep a loss, a :class:`Teleporter` that
searches them, and a :class:`TeleportingOptimizer` around any torch optimizer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenflow.teleport.activation import ExtendedSigmoid, ExtendedTanh
    from evenflow.teleport.booth import Booth
    from evenflow.teleport.chain import Chain
    from evenflow.teleport.coordinate import CoordinateSymmetry
    from evenflow.teleport.data_linear import DataLinear
    from evenflow.teleport.data_map import DataMap
    from evenflow.teleport.diagnostics import decay_rate, hessian_cosine, improvement_horizon, newton_cosine
    from evenflow.teleport.element import Element
    from evenflow.teleport.ellipse import Ellipse
    from evenflow.teleport.energy_teleport import EnergyTeleport
    from evenflow.teleport.general_linear import GeneralLinear
    from evenflow.teleport.group import Orbit, SymmetryGroup
    from evenflow.teleport.optimizer import TeleportingOptimizer
    from evenflow.teleport.outgoing_linear import OutgoingLinear
    from evenflow.teleport.quadratic import Quadratic
    from evenflow.teleport.report import LayerCheck, TeleportReport
    from evenflow.teleport.rosenbrock import Rosenbrock
    from evenflow.teleport.scaling import PositiveScaling
    from evenflow.teleport.schedule import AtEpochs, AtSteps, Every, Moment
    from evenflow.teleport.teleporter import Teleporter

_HOME = {
    "AtEpochs": "schedule",
    "AtSteps": "schedule",
    "Booth": "booth",
    "Chain": "chain",
    "CoordinateSymmetry": "coordinate",
    "DataLinear": "data_linear",
    "DataMap": "data_map",
    "Element": "element",
    "Ellipse": "ellipse",
    "EnergyTeleport": "energy_teleport",
    "Every": "schedule",
    "ExtendedSigmoid": "activation",
    "ExtendedTanh": "activation",
    "GeneralLinear": "general_linear",
    "LayerCheck": "report",
    "Moment": "schedule",
    "Orbit": "group",
    "OutgoingLinear": "outgoing_linear",
    "PositiveScaling": "scaling",
    "Quadratic": "quadratic",
    "Rosenbrock": "rosenbrock",
    "SymmetryGroup": "group",
    "TeleportReport": "report",
    "TeleportingOptimizer": "optimizer",
    "Teleporter": "teleporter",
    "decay_rate": "diagnostics",
    "hessian_cosine": "diagnostics",
    "improvement_horizon": "diagnostics",
    "newton_cosine": "diagnostics",
}

__all__ = [
    "AtEpochs",
    "AtSteps",
    "Booth",
    "Chain",
    "CoordinateSymmetry",
    "DataLinear",
    "DataMap",
    "Element",
    "Ellipse",
    "EnergyTeleport",
    "Every",
    "ExtendedSigmoid",
    "ExtendedTanh",
    "GeneralLinear",
    "LayerCheck",
    "Moment",
    "Orbit",
    "OutgoingLinear",
    "PositiveScaling",
    "Quadratic",
    "Rosenbrock",
    "SymmetryGroup",
    "TeleportReport",
    "Teleporter",
    "TeleportingOptimizer",
    "decay_rate",
    "hessian_cosine",
    "improvement_horizon",
    "newton_cosine",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:  # torch takes a second to import, so it waits for the first use
        return getattr(import_module(f"evenflow.teleport.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
