"""Graphs from files: the reader by the suffix."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from evenflow.errors import InputError
from evenflow.graph import Graph

__all__ = ["READERS", "read_graph", "read_mesh"]

# suffix: module:function of evenflow.io
MESH_READERS = {".ply": "ply:read_ply", ".obj": "obj:read_obj", ".off": "off:read_off"}
READERS = {
    ".mtx": "matrix_market:read_matrix_market",
    ".gml": "gml:read_gml",
    ".json": "node_link:read_node_link",
    ".csv": "delimited:read_edge_list",
    ".tsv": "delimited:read_edge_list",
    ".txt": "delimited:read_edge_list",
    ".edges": "delimited:read_edge_list",
    ".edgelist": "delimited:read_edge_list",
    ".g2o": "g2o:read_g2o",
    ".m": "matpower:read_matpower",
}


def reader(target: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, function = target.split(":")
    return getattr(import_module(f"evenflow.io.{module}"), function)


def read_graph(source: str | Path, **options: Any) -> Graph:
    """Read a graph from a file, or make the one that a string of the gallery describes.

    Parameters
    ----------
    source : str or Path
        A file whose suffix tells the format: .ply .obj .off (meshes), .mtx (MatrixMarket), .gml, .json
        (node-link), .csv .tsv .txt .edges .edgelist (edge lists), .g2o (SE2), .m (MATPOWER); or a string such as
        ``"lattice:50x50"`` (:func:`evenflow.gallery.from_spec`).
    **options
        Rules of the reader: ``duplicates``, ``self_loops``, ``symmetrize``, ``weight``, ``drop_unused``, as far as
        the format has them.

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        If there is no such file, suffix, string or option.
    FileFormatError
        If the file does not hold what its format promises, or breaks a rule; with the line where possible.

    Examples
    --------
    >>> read_graph("triangular:4x4").n_nodes
    15
    """
    from evenflow import gallery

    path = Path(source)
    target = READERS.get(path.suffix.lower())
    if isinstance(source, str) and gallery.is_spec(source):
        if options:
            raise InputError(f"{source!r} takes its options after colons, not {sorted(options)}")
        return gallery.from_spec(source)
    if path.suffix.lower() in MESH_READERS:
        check_options(read_mesh, options, path)
        return read_mesh(path, **options)
    if target is None:
        known = " ".join([*MESH_READERS, *READERS])
        if isinstance(source, str) and not path.suffix and not path.exists():
            return gallery.from_spec(source)  # it raises the error that suggests a name
        raise InputError(f"no reader for {str(source)!r}: the suffixes are {known}")
    function = reader(target)
    check_options(function, options, path)
    return function(path, **options)


def check_options(function: Callable[..., Any], options: dict[str, Any], path: Path) -> None:
    """Refuse an option that a reader does not have."""
    known = [name for name in inspect.signature(function).parameters if name != "path"]
    for name in options:
        if name not in known:
            raise InputError(f"{name!r} is no option for {path.name!r}: there are {', '.join(known)}")


def read_mesh(path: str | Path, drop_unused: bool = False, self_loops: Literal["error", "drop"] = "error") -> Graph:
    r"""Read a surface mesh as the graph of its edges, with unit weights.

    Parameters
    ----------
    path : str or Path
        A .ply (ascii or binary), .obj or .off file.
    drop_unused : bool
        Drop the vertices that lie in no face; by default they stay as isolated nodes, with a warning.
    self_loops : {"error", "drop"}
        What to do with a face that names a vertex twice in a row.

    Returns
    -------
    Graph
        With positions and triangles (polygons are cut into fans for drawing; their diagonals are no edges).

    Raises
    ------
    InputError
        If there is no such file or suffix.
    FileFormatError
        If the file is malformed; with the line where possible.

    Warns
    -----
    EvenflowWarning
        If vertices lie in no face.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "triangle.obj")
    ...     _ = path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    ...     read_mesh(path)
    Graph(nodes=3, edges=3, components=1, degrees=2..2)
    """
    from evenflow.io.surface import surface_graph

    path = Path(path)
    target = MESH_READERS.get(path.suffix.lower())
    if target is None:
        raise InputError(f"no mesh reader for {str(path)!r}: the suffixes are {' '.join(MESH_READERS)}")
    return surface_graph(path, reader(target)(path), drop_unused, self_loops)
