"""Minimizers: one step at a time, driven by the one loop."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenflow.minimizer.base import Minimizer as Minimizer
    from evenflow.minimizer.base import State as State
    from evenflow.minimizer.first_order import SGD as SGD
    from evenflow.minimizer.first_order import AdaGrad as AdaGrad
    from evenflow.minimizer.first_order import Adam as Adam
    from evenflow.minimizer.first_order import GradientDescent as GradientDescent
    from evenflow.minimizer.first_order import RMSProp as RMSProp
    from evenflow.minimizer.lbfgs import LBFGS as LBFGS
    from evenflow.minimizer.ncg import NonlinearCG as NonlinearCG
    from evenflow.minimizer.newton_cg import NewtonCG as NewtonCG
    from evenflow.minimizer.problem import Problem as Problem
    from evenflow.minimizer.runge_kutta import RungeKutta4 as RungeKutta4
    from evenflow.minimizer.torch_optim import TorchOptimizer as TorchOptimizer

_HOME = {
    "AdaGrad": "first_order",
    "Adam": "first_order",
    "GradientDescent": "first_order",
    "LBFGS": "lbfgs",
    "Minimizer": "base",
    "NewtonCG": "newton_cg",
    "NonlinearCG": "ncg",
    "Problem": "problem",
    "RMSProp": "first_order",
    "RungeKutta4": "runge_kutta",
    "SGD": "first_order",
    "State": "base",
    "TorchOptimizer": "torch_optim",
}

__all__ = [
    "LBFGS",
    "SGD",
    "AdaGrad",
    "Adam",
    "GradientDescent",
    "Minimizer",
    "NewtonCG",
    "NonlinearCG",
    "Problem",
    "RMSProp",
    "RungeKutta4",
    "State",
    "TorchOptimizer",
]


def __getattr__(name: str) -> Any:
    """Load a class on first use: some compile kernels, one imports torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found  # so that this is asked once
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
