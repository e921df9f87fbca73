"""Methods: named recipes that build stages, and ``auto``, which picks one and says why."""

from evenflow.method.auto import Auto
from evenflow.method.base import DEFAULT_TOLERANCE, Direct, Method, TwoStage
from evenflow.method.registry import METHODS, MethodEntry, build_method

__all__ = ["DEFAULT_TOLERANCE", "METHODS", "Auto", "Direct", "Method", "MethodEntry", "TwoStage", "build_method"]
