"""Graphs to try: generators, meshes and networks, each by a function and by a string.

Examples
--------
>>> from evenflow import gallery
>>> gallery.lattice(14, 14, 14)
Graph(nodes=2744, edges=7644, components=1, degrees=3..6)
>>> gallery.from_spec("sbm:10x250:seed=3").n_nodes
2500
"""

from evenflow.gallery.block_models import er, sbm
from evenflow.gallery.geometric import rgg
from evenflow.gallery.lattices import lattice, ring, triangular
from evenflow.gallery.meshes import airfoil, mesh, subdivide
from evenflow.gallery.networks import karate, network
from evenflow.gallery.preferential import ba
from evenflow.gallery.registry import FAMILIES, Family, from_spec, is_spec
from evenflow.gallery.roads import road
from evenflow.gallery.trees import star, tree

__all__ = [
    "FAMILIES",
    "Family",
    "airfoil",
    "ba",
    "er",
    "from_spec",
    "is_spec",
    "karate",
    "lattice",
    "mesh",
    "network",
    "rgg",
    "ring",
    "road",
    "sbm",
    "star",
    "subdivide",
    "tree",
    "triangular",
]
