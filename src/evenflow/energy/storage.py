"""Energies as trees of numbers and arrays, for results and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenflow.energy.base import BaseEnergy
from evenflow.errors import InputError

__all__ = ["export_energy", "restore_energy"]


def export_energy(energy: BaseEnergy | None) -> dict[str, Any] | None:
    """Write an energy as a tree, or None where it holds code that a file cannot."""
    if energy is None:
        return None
    try:
        return {"class": type(energy).__name__, "saved": energy.export()}
    except InputError:
        return None


def restore_energy(tree: Mapping[str, Any] | None) -> BaseEnergy | None:
    """Inverse of :func:`export_energy`.

    Raises
    ------
    InputError
        If the class is not one of evenflow's own.
    """
    from evenflow import energy

    if tree is None:
        return None
    name = tree["class"]
    found = getattr(energy, name, None) if name in energy.__all__ else None
    if not (isinstance(found, type) and issubclass(found, BaseEnergy)):
        raise InputError(f"the file holds an unknown energy {name!r}; was it written by a newer evenflow?")
    return found.restore(tree["saved"])
