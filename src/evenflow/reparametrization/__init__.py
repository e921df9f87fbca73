"""Changes of variables w = R(theta) that even out the flow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenflow.reparametrization.base import Reparametrization as Reparametrization
    from evenflow.reparametrization.gat import GAT as GAT
    from evenflow.reparametrization.gcn import GCN as GCN
    from evenflow.reparametrization.graph_network import GraphNetwork as GraphNetwork
    from evenflow.reparametrization.identity import Identity as Identity
    from evenflow.reparametrization.series import Series as Series
    from evenflow.reparametrization.whitening import Whitening as Whitening

_HOME = {
    "GAT": "gat",
    "GCN": "gcn",
    "GraphNetwork": "graph_network",
    "Identity": "identity",
    "Reparametrization": "base",
    "Series": "series",
    "Whitening": "whitening",
}

__all__ = ["GAT", "GCN", "GraphNetwork", "Identity", "Reparametrization", "Series", "Whitening"]


def __getattr__(name: str) -> Any:
    """Load a class on first use: the networks compile kernels, the linear maps load sparse solvers."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found  # so that this is asked once
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
