"""Graph: an immutable, undirected, weighted graph held as arrays."""

from evenflow.graph.graph import Graph

__all__ = ["Graph"]
