"""Energies on graphs: the contract, the named ones, and those a user writes as formulas or in torch."""

from __future__ import annotations

import importlib
from typing import Any

from evenflow.errors import InputError

_PUBLIC = {
    "BaseEnergy": "base",
    "Energy": "local",
    "HeatDiffusion": "heat",
    "HopfKuramoto": "hopf_kuramoto",
    "Kuramoto": "kuramoto",
    "TorchEnergy": "torch_energy",
    "check_energy": "check",
}

ENERGIES = {"heat": "HeatDiffusion", "kuramoto": "Kuramoto", "hopf-kuramoto": "HopfKuramoto"}
"""Energies by their command-line name: each can be built from a graph alone with ``from_graph``."""

__all__ = ["ENERGIES", "energy_class", *_PUBLIC]  # noqa: PLE0604  all strings


def energy_class(name: str) -> Any:
    """Class of a named energy.

    Raises
    ------
    InputError
        If there is no such energy.

    Examples
    --------
    >>> energy_class("heat").name
    'heat'
    """
    if name not in ENERGIES:
        raise InputError(f"there is no energy {name!r}; known: {', '.join(ENERGIES)}")
    return getattr(importlib.import_module(f"evenflow.energy.{_PUBLIC[ENERGIES[name]]}"), ENERGIES[name])


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'evenflow.energy' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"evenflow.energy.{_PUBLIC[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
