"""Preconditioners: symmetric positive definite stand-ins for the inverse Hessian."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evenflow.errors import InputError

if TYPE_CHECKING:
    from evenflow.energy.base import BaseEnergy
    from evenflow.preconditioner.base import Breakdown as Breakdown
    from evenflow.preconditioner.base import Preconditioner as Preconditioner
    from evenflow.preconditioner.base import PreconditionerCost as PreconditionerCost
    from evenflow.preconditioner.cholesky import SparseCholesky as SparseCholesky
    from evenflow.preconditioner.jacobi import Jacobi as Jacobi
    from evenflow.preconditioner.multigrid import Multigrid as Multigrid
    from evenflow.preconditioner.pyamg_multigrid import PyAMG as PyAMG

_HOME = {
    "Breakdown": "base",
    "Jacobi": "jacobi",
    "Multigrid": "multigrid",
    "Preconditioner": "base",
    "PreconditionerCost": "base",
    "PyAMG": "pyamg_multigrid",
    "SparseCholesky": "cholesky",
}

PRECONDITIONERS = {
    "jacobi": "Jacobi",
    "cholesky": "SparseCholesky",
    "multigrid": "Multigrid",
    "pyamg": "PyAMG",
}
"""Class of each preconditioner by the name users type."""

__all__ = [
    "PRECONDITIONERS",
    "Breakdown",
    "Jacobi",
    "Multigrid",
    "Preconditioner",
    "PreconditionerCost",
    "PyAMG",
    "SparseCholesky",
    "build_preconditioner",
]


def build_preconditioner(name: str, energy: BaseEnergy | None = None, **options: Any) -> Preconditioner:
    """Return the preconditioner called ``name``, not yet refreshed.

    Parameters
    ----------
    name : str
        A key of :data:`PRECONDITIONERS`.
    energy : BaseEnergy, optional
        Tells how many components a node's state has (the block size of multigrid).
    **options
        Fields of the class.

    Raises
    ------
    InputError
        If the name is unknown.

    Examples
    --------
    >>> from evenflow.preconditioner import build_preconditioner
    >>> build_preconditioner("jacobi").name
    'jacobi'
    """
    if name not in PRECONDITIONERS:
        raise InputError(f"preconditioner={name!r}: expected one of {', '.join(PRECONDITIONERS)}")
    if energy is not None and energy.components > 1 and name in ("multigrid", "pyamg"):
        options.setdefault("block", energy.components)
    found = PRECONDITIONERS[name]
    return (globals().get(found) or __getattr__(found))(**options)


def __getattr__(name: str) -> Any:
    """Load a class on first use: some compile kernels."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found  # so that this is asked once
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
