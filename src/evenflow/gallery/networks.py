"""Networks that come with NetworkX."""

from __future__ import annotations

from evenflow.errors import InputError
from evenflow.graph import Graph

__all__ = ["karate", "network"]

NETWORKS = {
    "karate": "karate_club_graph",
    "les-miserables": "les_miserables_graph",
    "florentine": "florentine_families_graph",
    "davis": "davis_southern_women_graph",
    "bull": "bull_graph",
    "chvatal": "chvatal_graph",
    "cubical": "cubical_graph",
    "desargues": "desargues_graph",
    "diamond": "diamond_graph",
    "dodecahedral": "dodecahedral_graph",
    "frucht": "frucht_graph",
    "heawood": "heawood_graph",
    "hoffman-singleton": "hoffman_singleton_graph",
    "house": "house_graph",
    "icosahedral": "icosahedral_graph",
    "krackhardt-kite": "krackhardt_kite_graph",
    "moebius-kantor": "moebius_kantor_graph",
    "octahedral": "octahedral_graph",
    "pappus": "pappus_graph",
    "petersen": "petersen_graph",
    "sedgewick-maze": "sedgewick_maze_graph",
    "tetrahedral": "tetrahedral_graph",
    "truncated-cube": "truncated_cube_graph",
    "truncated-tetrahedron": "truncated_tetrahedron_graph",
    "tutte": "tutte_graph",
}


def network(name: str, weighted: bool = True) -> Graph:
    """Social network or small named graph of NetworkX.

    Parameters
    ----------
    name : str
        Such as "karate", "les-miserables", "florentine", "davis" or "petersen".
    weighted : bool
        Use the weights of the data where there are any (karate, les-miserables).

    Returns
    -------
    Graph
        ``names`` holds the people where the data name them.

    Raises
    ------
    InputError
        For an unknown name, listing those there are.

    Examples
    --------
    >>> network("petersen")
    Graph(nodes=10, edges=15, components=1, degrees=3..3)
    """
    import networkx as nx

    key = str(name).replace("_", "-")
    if key not in NETWORKS:
        raise InputError(f"no network {name!r}: there are {', '.join(NETWORKS)}")
    return Graph.from_networkx(getattr(nx, NETWORKS[key])(), weight="weight" if weighted else None)


def karate(weighted: bool = True) -> Graph:
    """Zachary's karate club, 34 nodes and 78 edges; see :func:`network`.

    Examples
    --------
    >>> karate().n_edges
    78
    """
    return network("karate", weighted)
