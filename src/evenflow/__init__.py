"""evenflow: minimise energies on sparse graphs by a change of variables that evens out the flow.

>>> import evenflow as ef
>>> energy = ef.HeatDiffusion(ef.gallery.lattice(10, 10), hot=[0], cold=[99])
>>> ef.minimize(energy).status.name
'CONVERGED'
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> where it lives. Loaded when first used, so that `import evenflow` is quick.
_PUBLIC = {
    "AdaGrad": "minimizer",
    "Adam": "minimizer",
    "AnyOf": "stopping",
    "Auto": "method",
    "BaseEnergy": "energy",
    "Counts": "history",
    "Decrement": "stopping",
    "Direct": "method",
    "Energy": "energy",
    "EnergyTeleport": "teleport",
    "EvenflowError": "errors",
    "EvenflowWarning": "errors",
    "FileFormatError": "errors",
    "Fluctuation": "stopping",
    "GAT": "reparametrization",
    "GCN": "reparametrization",
    "GradientNorm": "stopping",
    "GradientDescent": "minimizer",
    "Graph": "graph",
    "GraphNetwork": "reparametrization",
    "HeatDiffusion": "energy",
    "History": "history",
    "HopfKuramoto": "energy",
    "Identity": "reparametrization",
    "InputError": "errors",
    "Jacobi": "preconditioner",
    "Kuramoto": "energy",
    "LBFGS": "minimizer",
    "METHODS": "method",
    "Method": "method",
    "Minimizer": "minimizer.base",
    "Multigrid": "preconditioner",
    "Never": "stopping",
    "NewtonCG": "minimizer",
    "NonlinearCG": "minimizer",
    "Plateau": "stopping",
    "Preconditioner": "preconditioner.base",
    "PyAMG": "preconditioner",
    "RMSProp": "minimizer",
    "Reparametrization": "reparametrization.base",
    "Result": "result",
    "RungeKutta4": "minimizer",
    "SGD": "minimizer",
    "Series": "reparametrization",
    "SolveError": "errors",
    "SparseCholesky": "preconditioner",
    "Stage": "solve",
    "Stagnation": "stopping",
    "Status": "status",
    "Steps": "stopping",
    "TeleportingOptimizer": "teleport",
    "Teleporter": "teleport",
    "TorchEnergy": "energy",
    "TorchOptimizer": "minimizer",
    "TwoStage": "method",
    "Whitening": "reparametrization",
    "check_energy": "energy.check",
    "compare": "comparison",
    "minimize": "front",
    "minimize_many": "front",
    "read_graph": "io",
    "read_mesh": "io",
    "resume": "front",
    "scipy_method": "scipy_door",
}
_FUNCTIONS = ("abs", "arctan", "cos", "cosh", "exp", "log", "sin", "sinh", "sqrt", "tan", "tanh")
_ROOMS = ("gallery", "teleport")

__all__ = ["__version__", *_PUBLIC, *_FUNCTIONS, *_ROOMS]  # noqa: PLE0604  all strings


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"evenflow.{name}")
    if name in _FUNCTIONS:
        found = getattr(importlib.import_module("evenflow.energy.functions"), name)
    elif name in _PUBLIC:
        found = getattr(importlib.import_module(f"evenflow.{_PUBLIC[name]}"), name)
    else:
        raise AttributeError(f"module 'evenflow' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
