"""Files: graphs and meshes of other programs."""

from evenflow.io.read import read_graph, read_mesh

__all__ = ["read_graph", "read_mesh"]
