"""plot_state: node states drawn on their graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.graph import Graph
from evenflow.report.camera import Camera
from evenflow.report.colours import Field
from evenflow.report.style import COLOURS, STYLE, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evenflow.result import Result

__all__ = ["plot_state"]

_MOST_FACES = 400_000  # more are drawn as an image of cell means
_MOST_EDGES = 60_000  # more would only blacken the picture
_MOST_POINTS = 150_000
_MOST_LAID_OUT = 1_000  # a spring layout of more takes too long and shows nothing
_PIXELS = 700


def plot_state(
    source: Result | BaseEnergy | Graph,
    path: str | Path | None = None,
    *,
    w: npt.ArrayLike | None = None,
    unit: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw node states on their graph.

    A lattice is drawn as an image (in 3-D: its three middle planes), a mesh by its triangles (in 3-D as seen by an
    orthographic camera), any other graph by its positions or a spring layout. Phases get a cyclic colour map from 0
    to 2 pi. States with two or three components are taken for positions, with more by their length. A network
    without positions that is too large for a layout is represented by the neighbourhood of its best-connected node.

    Parameters
    ----------
    source : Result, BaseEnergy or Graph
    path : path, optional
        Picture to write; without it the figure is registered with pyplot for showing.
    w : array_like, shape (n,) or (n, d), optional
        The states; needed unless ``source`` is a result.
    unit : str, optional
        Unit of the states ("rad" for phases); by default that of the energy.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the states are missing or of the wrong shape, matplotlib is missing, or ``path`` has no picture format.

    Examples
    --------
    >>> import evenflow as ef
    >>> figure = plot_state(ef.gallery.lattice(8, 8), w=range(64), path=None)
    >>> figure.axes[0].get_xlabel()
    'column'
    """
    graph, states, found_unit, name = _unpack(source, w)
    title = name if title is None else title
    field = Field(_values(states), found_unit if unit is None else unit)
    shown = path is None
    new_figure(1, 1, shown=False)  # a missing matplotlib is told before anything is computed
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = _choose(graph, states, field)(shown)
        figure.axes[0].set_title(title)
    return finish(figure, path)


def _unpack(source: Result | BaseEnergy | Graph, w: npt.ArrayLike | None) -> tuple[Graph | None, FloatArray, str, str]:
    """Graph, states, unit and title of whatever was given."""
    if isinstance(source, Graph):
        graph: Graph | None = source
        unit, name, shape = "", "", None
    elif isinstance(source, BaseEnergy):
        graph, unit, name, shape = source.graph, source.unit, source.name, source.shape
    else:
        energy = source.problem
        graph = None if energy is None else energy.graph
        unit, shape = ("", None) if energy is None else (energy.unit, energy.shape)
        name = f"{'' if energy is None else energy.name + ', '}{source.method}: E = {source.energy:.8g}"
        w = source.w if w is None else w
    if w is None:
        raise InputError(f"w: the states to draw are needed beside a {type(source).__name__}")
    states = np.asarray(w, dtype=np.float64)
    expected = shape if shape is not None else None if graph is None else (graph.n_nodes, *states.shape[1:])
    if states.ndim not in (1, 2) or (expected is not None and states.shape != expected):
        raise InputError(
            f"w has shape {states.shape}, expected {expected or '(n,) or (n, d)'}: one state for each node"
        )
    return graph, states, unit, name


def _values(states: FloatArray) -> FloatArray:
    """One number for each node."""
    return states if states.ndim == 1 else np.linalg.norm(states, axis=1)


def _choose(graph: Graph | None, states: FloatArray, field: Field) -> Callable[[bool], Figure]:
    """The drawing that fits the graph."""
    if states.ndim == 2 and states.shape[1] in (2, 3):
        return lambda shown: _network(graph, states, None, shown)
    if graph is None:
        return lambda shown: _profile(field, shown)
    if graph.grid is not None and len(graph.grid) in (2, 3):
        return lambda shown: _lattice(graph, field, shown)
    if graph.positions is not None and graph.triangles is not None and len(graph.triangles):
        return lambda shown: _mesh(graph, field, shown)
    return lambda shown: _network(graph, graph.positions, field, shown)


# ---------------------------------------------------------------------- kinds of pictures


def _profile(field: Field, shown: bool) -> Figure:
    """States against their index."""
    figure = new_figure(6.0, 3.2, shown=shown)
    axes = figure.subplots()
    axes.plot(field.values, "." if field.cyclic else "-", markersize=2, linewidth=1.0, rasterized=True)
    axes.set_xlabel("node")
    axes.set_ylabel(field.label)
    return figure


def _lattice(graph: Graph, field: Field, shown: bool) -> Figure:
    """An image, or the three middle planes of a block."""
    assert graph.grid is not None
    block = field.values.reshape(graph.grid)
    mappable = field.mappable()
    look = {**field.look(mappable), "origin": "lower", "interpolation": "nearest"}
    if block.ndim == 2:
        rows, columns = block.shape
        ratio = min(max(rows / columns, 0.25), 3.0)
        figure = new_figure(5.4, 4.4 * ratio + 0.4, shown=shown)
        axes = figure.subplots()
        axes.imshow(block, **look)
        axes.set_xlabel("column")
        axes.set_ylabel("row")
        field.add_bar(figure, mappable, axes)
        return figure
    figure = new_figure(9.6, 3.2, shown=shown)
    panels = figure.subplots(1, 3)
    for axis, panel in enumerate(panels):
        middle = block.shape[axis] // 2
        panel.imshow(np.take(block, middle, axis=axis), **look)
        vertical, horizontal = (name for k, name in enumerate("ijk") if k != axis)
        panel.set_xlabel(f"${horizontal}$")
        panel.set_ylabel(f"${vertical}$")
        panel.set_title(f"${'ijk'[axis]} = {middle}$", loc="right")
    field.add_bar(figure, mappable, panels)
    return figure


def _mesh(graph: Graph, field: Field, shown: bool) -> Figure:
    """Coloured triangles."""
    from matplotlib.tri import Triangulation

    assert graph.positions is not None
    assert graph.triangles is not None
    if len(graph.triangles) > _MOST_FACES:
        return _binned(graph.positions, field, shown)
    mappable = field.mappable()
    if graph.positions.shape[1] == 3:
        return _surface(graph.positions, graph.triangles, field, shown)
    figure, axes = _plane(graph.positions, shown)
    look: dict[str, Any] = {**field.look(mappable), "rasterized": True}
    values = field.values
    if field.cyclic:  # interpolating between two vertices would cross the jump at 2 pi
        values = field.mean_over(graph.triangles)
    else:
        look["shading"] = "gouraud"
    x, y = graph.positions.T
    axes.tripcolor(Triangulation(x, y, graph.triangles), values, **look)
    field.add_bar(figure, mappable, axes)
    return figure


def _surface(positions: FloatArray, triangles: npt.NDArray[np.int64], field: Field, shown: bool) -> Figure:
    """Triangles in space, the farthest drawn first, lit from one side."""
    from matplotlib.collections import PolyCollection

    camera = Camera.facing(positions)
    flat, depth = camera.project(positions)
    order = np.argsort(depth[triangles].sum(axis=1), kind="stable")
    faces = triangles[order]
    mappable = field.mappable()
    colours = mappable.to_rgba(field.mean_over(faces))
    colours[:, :3] *= camera.shade(positions[faces], 0.8 if field.cyclic else 0.6)[:, None]
    figure, axes = _plane(flat, shown)
    axes.add_collection(
        PolyCollection(list(flat[faces]), facecolors=colours, edgecolors=colours, linewidths=0.2, rasterized=True)
    )
    _triad(axes, camera)
    field.add_bar(figure, mappable, axes)
    return figure


def _binned(positions: FloatArray, field: Field, shown: bool) -> Figure:
    """Means over the cells of an image: for more points than a picture has pixels."""
    spatial = positions.shape[1] == 3
    camera = Camera.facing(positions) if spatial else None
    flat = positions if camera is None else camera.project(positions)[0]
    low, high = flat.min(axis=0), flat.max(axis=0)
    width = float((high - low).max()) / _PIXELS or 1.0
    shape = np.maximum(np.ceil((high - low) / width).astype(int), 1)
    cell = np.minimum(((flat - low) / width).astype(np.int64), shape - 1)
    image = field.mean_in(cell[:, 1] * shape[0] + cell[:, 0], int(shape.prod())).reshape(shape[1], shape[0])
    figure, axes = _plane(flat, shown)
    mappable = field.mappable()
    extent = (low[0], low[0] + width * shape[0], low[1], low[1] + width * shape[1])
    axes.imshow(image, origin="lower", extent=extent, interpolation="nearest", **field.look(mappable))
    if camera is not None:
        _triad(axes, camera)
    field.add_bar(figure, mappable, axes)
    return figure


def _network(graph: Graph | None, positions: FloatArray | None, field: Field | None, shown: bool) -> Figure:
    """Nodes and edges; without a field the positions are what is shown."""
    note = ""
    edges = np.empty((0, 2), dtype=np.int64) if graph is None else graph.edges
    if positions is None:
        assert graph is not None
        positions, edges, nodes = _laid_out(graph)
        if len(nodes) < graph.n_nodes:
            note = f"{len(nodes):,} of {graph.n_nodes:,} nodes"
        field = None if field is None else field.subset(nodes)
    if field is not None and len(positions) > _MOST_POINTS:
        return _binned(positions, field, shown)
    camera = Camera.facing(positions) if positions.shape[1] == 3 else None
    flat, depth = positions, np.zeros(len(positions))
    if camera is not None:
        flat, depth = camera.project(positions)
    figure, axes = _plane(flat, shown)
    _draw_edges(axes, flat, edges)
    _draw_nodes(figure, axes, flat, np.argsort(depth, kind="stable"), field)
    if camera is not None:
        _triad(axes, camera)
    elif graph is not None and positions is not graph.positions and field is not None:
        axes.set_axis_off()
    if note:
        axes.set_title(note, loc="right")
    return figure


# ---------------------------------------------------------------------- parts of pictures


def _draw_edges(axes: Axes, flat: FloatArray, edges: npt.NDArray[np.int64]) -> None:
    """Edges in grey, where there are not too many."""
    from matplotlib.collections import LineCollection

    if 0 < len(edges) <= _MOST_EDGES:
        width = float(np.clip(40 / np.sqrt(len(edges)), 0.12, 1.2))
        axes.add_collection(
            LineCollection(list(flat[edges]), colors="#b5b5b5", linewidths=width, rasterized=True, zorder=1)
        )


def _draw_nodes(
    figure: Figure, axes: Axes, flat: FloatArray, order: npt.NDArray[np.int64], field: Field | None
) -> None:
    """Nodes as dots of a size that fits their number."""
    size = float(np.clip(20_000 / max(len(flat), 1), 0.5, 70.0))
    look: dict[str, Any] = {"s": size, "linewidths": 0.3 if size > 8 else 0.0, "edgecolors": "#333333"}
    look |= {"rasterized": True, "zorder": 2}
    x, y = flat[order].T
    if field is None:
        axes.scatter(x, y, color=COLOURS[0], **look)
        return
    mappable = field.mappable()
    axes.scatter(x, y, c=field.values[order], **field.look(mappable), **look)
    field.add_bar(figure, mappable, axes)


def _plane(flat: FloatArray, shown: bool) -> tuple[Figure, Axes]:
    """Axes of equal scale around points, shape (n, 2)."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = np.maximum(high - low, 1e-12 * max(1.0, float(np.abs(flat).max())))
    ratio = float(np.clip(extent[1] / extent[0], 0.3, 1.6))
    figure = new_figure(5.8, 5.0 * ratio + 0.4, shown=shown)
    axes = figure.subplots()
    margin = 0.03 * extent.max()
    axes.set_xlim(low[0] - margin, high[0] + margin)
    axes.set_ylim(low[1] - margin, high[1] + margin)
    axes.set_aspect("equal")
    axes.set_xlabel("$x$")
    axes.set_ylabel("$y$")
    return figure, axes


def _triad(axes: Axes, camera: Camera) -> None:
    """Replace the axes of a view in space by three small arrows in the corner."""
    axes.set_axis_off()
    for name, direction in zip("xyz", np.eye(3), strict=True):
        tip = 0.07 * np.array([direction @ camera.right, direction @ camera.up])
        axes.annotate(
            "",
            xy=tuple(0.08 + tip),
            xytext=(0.08, 0.08),
            xycoords="axes fraction",
            arrowprops={"arrowstyle": "->", "color": "#666666", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0},
        )
        x, y = 0.08 + 1.35 * tip
        axes.text(x, y, f"${name}$", transform=axes.transAxes, ha="center", va="center", color="#666666", fontsize=8)


def _laid_out(graph: Graph) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of a spring layout, its edges, and the nodes shown (all, or a neighbourhood of the largest hub)."""
    import networkx as nx
    from scipy.sparse.csgraph import breadth_first_order

    nodes = np.arange(graph.n_nodes)
    if graph.n_nodes > _MOST_LAID_OUT:
        hub = int(np.argmax(np.diff(graph.rows[0])))
        reached = breadth_first_order(graph.adjacency, hub, directed=False, return_predecessors=False)
        nodes = np.sort(reached[:_MOST_LAID_OUT]).astype(np.int64)
    place = np.full(graph.n_nodes, -1)
    place[nodes] = np.arange(len(nodes))
    edges = place[graph.edges]
    edges = edges[(edges >= 0).all(axis=1)]
    network = nx.Graph()
    network.add_nodes_from(range(len(nodes)))
    network.add_edges_from(edges.tolist())
    layout = nx.spring_layout(network, seed=0, iterations=50, method="force")
    return np.array([layout[k] for k in range(len(nodes))]), edges, nodes
