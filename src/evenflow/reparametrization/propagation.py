"""Propagation: the sparse products by which graph networks and series mix neighbouring nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.graph import Graph

__all__ = ["RULES", "Propagation", "Rule", "propagation_matrix", "require_graph"]

Rule = Literal["kipf", "sym", "sq", "none"]
RULES: tuple[Rule, ...] = ("kipf", "sym", "sq", "none")


def propagation_matrix(energy: BaseEnergy, rule: Literal["sym", "kipf"]) -> sp.csr_array:
    """Normalised adjacency of the graph of an energy.

    Parameters
    ----------
    energy : BaseEnergy
    rule : {"sym", "kipf"}
        D^-1/2 A D^-1/2, or the same of A + I.

    Raises
    ------
    InputError
        If the energy knows no graph.
    """
    return require_graph(energy, f"propagation={rule!r}").normalised(rule)


def require_graph(energy: BaseEnergy, purpose: str) -> Graph:
    """Graph of an energy.

    Raises
    ------
    InputError
        If it knows none; the message names ``purpose``.
    """
    if energy.graph is None:
        raise InputError(
            f"{purpose} needs a graph, and {type(energy).__name__} has none; pass graph= when building the energy, "
            "or use GCN(propagation='none')"
        )
    if energy.graph.n_nodes != energy.shape[0]:
        raise InputError(
            f"{purpose} needs one state for each of the {energy.graph.n_nodes} nodes; the energy has {energy.shape[0]}"
        )
    return energy.graph


class Propagation:
    """The symmetric operator P of a rule, applied to node features.

    Parameters
    ----------
    energy : BaseEnergy
    rule : {"kipf", "sym", "sq", "none"}
        "kipf": D^-1/2 (A + I) D^-1/2; "sym": D^-1/2 A D^-1/2; "sq": the square of "sym", as two sparse
        products; "none": the identity.
    """

    def __init__(self, energy: BaseEnergy, rule: Rule) -> None:
        self._factors: list[sp.csr_array] = []
        if rule != "none":
            matrix = propagation_matrix(energy, "kipf" if rule == "kipf" else "sym")
            self._factors = [matrix] * (2 if rule == "sq" else 1)

    def __call__(self, features: FloatArray) -> FloatArray:
        """P @ features, shape (n, h); the argument itself for "none"."""
        for matrix in self._factors:
            features = matrix @ features
        return features
