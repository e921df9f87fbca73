"""Edge lists: checking, ordering and merging before they become a Graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError
from evenflow.graph.arrays import EdgeError, as_array, choice, integers, reals

__all__ = [
    "Duplicates",
    "SelfLoops",
    "Symmetrize",
    "canonical",
    "check_canonical",
    "node_count",
    "pair_array",
    "symmetrised",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
EdgeData = dict[str, npt.NDArray[Any]]

Duplicates = Literal["error", "sum", "first"]
SelfLoops = Literal["error", "drop"]
Symmetrize = Literal["error", "mean", "sum", "max"]

MAX_NODES = 2**31 - 1  # pair keys i * n + j stay below 2**62, and SciPy's 32-bit indices suffice


def pair_array(edges: npt.ArrayLike) -> IntArray:
    """Return edges as a fresh int64 array (m, 2)."""
    pairs = integers(edges, "edges")
    if pairs.size == 0 and pairs.ndim <= 2:
        return pairs.reshape(0, 2)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InputError(f"edges has shape {pairs.shape}, expected (m, 2): one row (i, j) for each edge")
    return pairs


def node_count(n_nodes: int | None, pairs: IntArray, others: Mapping[str, int | None]) -> int:
    """Number of nodes: as given, or of the positions or names, or the largest index plus one."""
    sizes = {"n_nodes": n_nodes, **others}
    known = {name: size for name, size in sizes.items() if size is not None}
    if not known:
        known["n_nodes, the largest index plus one,"] = int(pairs.max(initial=-1)) + 1
    first, count = next(iter(known.items()))
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 0 <= count <= MAX_NODES:
        raise InputError(f"{first} = {count!r}, expected an integer from 0 to {MAX_NODES}")
    for name, size in known.items():
        if size != count:
            raise InputError(f"{name} tells {size} nodes and {first} tells {count}: give one row for each node")
    return int(count)


def check_range(pairs: IntArray, n_nodes: int) -> None:
    """Refuse a node number outside 0 .. n_nodes - 1, naming its row."""
    bad = ((pairs < 0) | (pairs >= n_nodes)).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        i, j = map(int, pairs[row])
        raise EdgeError(
            f"edges[{row}] = ({i}, {j}) is out of range for n_nodes = {n_nodes}: "
            "nodes are numbered from 0; pass a larger n_nodes or renumber",
            row,
        )


def check_canonical(n_nodes: int, edges: IntArray, weights: FloatArray) -> None:
    """Refuse arrays that are not a sorted list of distinct pairs i < j in range with finite weights.

    Parameters
    ----------
    n_nodes : int
    edges : ndarray of int64, shape (m, 2)
    weights : ndarray of float64, shape (m,)

    Raises
    ------
    InputError
        Naming the first row at fault.
    """
    if edges.dtype != np.int64 or edges.ndim != 2 or edges.shape[1] != 2:
        raise InputError(f"edges has dtype {edges.dtype} and shape {edges.shape}, expected int64 (m, 2)")
    if weights.dtype != np.float64 or weights.shape != (len(edges),):
        raise InputError(f"weights has dtype {weights.dtype} and shape {weights.shape}, expected float64 (m,)")
    node_count(n_nodes, edges, {})
    check_range(edges, n_nodes)
    key = edges[:, 0] * n_nodes + edges[:, 1]
    bad = edges[:, 0] >= edges[:, 1]
    bad[1:] |= key[1:] <= key[:-1]
    if bad.any():
        row = int(np.argmax(bad))
        raise EdgeError(f"edges[{row}] breaks the order i < j, sorted, each once: build with Graph.from_edges", row)
    if not np.isfinite(weights).all():
        row = int(np.argmax(~np.isfinite(weights)))
        raise EdgeError(f"weights[{row}] = {weights[row]} is not finite", row)


def column(values: npt.ArrayLike, name: str, count: int, oriented: bool) -> npt.NDArray[Any]:
    """Edge data as a fresh array with one row for each edge; oriented data as float64."""
    label = f"edge_data[{name!r}]"
    array = as_array(values, label)
    if array.ndim == 0 or len(array) != count:
        raise InputError(f"{label} has shape {array.shape}, expected one row for each of the {count} edges")
    if oriented:
        return reals(array, label, (count, *([None] * (array.ndim - 1))))
    return array.copy()


def differs(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Rows in which two arrays of equal shape differ."""
    return (a != b).reshape(len(a), -1).any(axis=1) if a.size else np.zeros(len(a), dtype=bool)


def merged(
    order: IntArray,
    *,
    key: IntArray,
    pairs: IntArray,
    weights: FloatArray,
    data: EdgeData,
    rule: Duplicates,
) -> tuple[IntArray, FloatArray, EdgeData]:
    """Rows of equal key made one, by rule; ``order`` sorts the key stably. Returns rows kept, weights, data."""
    sorted_key = key[order]
    repeat = np.flatnonzero(sorted_key[1:] == sorted_key[:-1])
    if not repeat.size:
        return order, weights[order], {name: array[order] for name, array in data.items()}
    first, second = order[repeat], order[repeat + 1]
    if rule == "error":
        for name, array in {"weight": weights, **data}.items():
            conflict = differs(array[first], array[second])
            if conflict.any():
                at = int(np.argmax(conflict))
                a, b = int(first[at]), int(second[at])
                raise EdgeError(
                    f"edges[{b}] = ({pairs[b, 0]}, {pairs[b, 1]}) repeats edges[{a}] = ({pairs[a, 0]}, {pairs[a, 1]}) "
                    f"with another {name} ({array[b]} after {array[a]}): pass duplicates='sum' or duplicates='first'",
                    b,
                )
    start = np.concatenate([[0], np.flatnonzero(sorted_key[1:] != sorted_key[:-1]) + 1])
    kept = order[start]
    value = np.add.reduceat(weights[order], start) if rule == "sum" else weights[kept]
    return kept, value, {name: array[kept] for name, array in data.items()}


def canonical(
    pairs: IntArray,
    n_nodes: int,
    weights: FloatArray,
    data: Mapping[str, npt.ArrayLike],
    *,
    oriented: Collection[str] = (),
    duplicates: Duplicates = "error",
    self_loops: SelfLoops = "error",
) -> tuple[IntArray, FloatArray, EdgeData]:
    """Every edge once as i < j in lexicographic order.

    Parameters
    ----------
    pairs : ndarray of int64, shape (m, 2)
    n_nodes : int
    weights : ndarray of float64, shape (m,)
    data : mapping of str to array_like, shape (m, ...)
    oriented : collection of str
        Names in ``data`` whose values change sign when the edge is turned round.
    duplicates : {"error", "sum", "first"}
    self_loops : {"error", "drop"}

    Returns
    -------
    edges : ndarray of int64, shape (k, 2)
    weights : ndarray of float64, shape (k,)
    data : dict of str to ndarray, shape (k, ...)

    Raises
    ------
    EdgeError
        Naming the row and the argument that would change the rule.
    """
    choice(duplicates, Duplicates, "duplicates")
    choice(self_loops, SelfLoops, "self_loops")
    check_range(pairs, n_nodes)
    columns = {name: column(values, name, len(pairs), name in oriented) for name, values in data.items()}
    lower, upper = pairs.min(axis=1), pairs.max(axis=1)
    key = lower * n_nodes + upper
    loop = lower == upper
    order = np.arange(len(pairs)) if (key[1:] > key[:-1]).all() else np.argsort(key, kind="stable")
    if loop.any():
        if self_loops == "error":
            row = int(np.argmax(loop))
            raise EdgeError(
                f"edges[{row}] = ({lower[row]}, {lower[row]}) is a self-loop: remove it or pass self_loops='drop'", row
            )
        order = order[~loop[order]]
    flipped = pairs[:, 0] > pairs[:, 1]
    for name in oriented:
        if name in columns:
            columns[name][flipped] *= -1.0
    kept, value, columns = merged(order, key=key, pairs=pairs, weights=weights, data=columns, rule=duplicates)
    return np.stack([lower[kept], upper[kept]], axis=1), value, columns


def symmetrised(
    pairs: IntArray,
    n_nodes: int,
    weights: FloatArray,
    data: Mapping[str, npt.ArrayLike],
    *,
    oriented: Collection[str] = (),
    duplicates: Duplicates = "error",
    rule: Symmetrize = "error",
) -> tuple[IntArray, FloatArray, EdgeData]:
    """Arcs i -> j made an undirected edge list (self-loops kept, for :func:`canonical` to judge).

    Parameters
    ----------
    pairs, n_nodes, weights, data, oriented
        As for :func:`canonical`; row (i, j) is the arc from i to j.
    duplicates : {"error", "sum", "first"}
        Rule for arcs given more than once.
    rule : {"error", "mean", "sum", "max"}
        "error" asks for both arcs of every edge with one weight; the others join a_ij and a_ji (an absent arc
        has weight 0), edge data being those of the arc to the higher node where there is one.

    Returns
    -------
    pairs, weights, data
        One row for each edge.

    Raises
    ------
    EdgeError
        If an arc has no equal opposite and ``rule`` is "error".
    """
    choice(rule, Symmetrize, "symmetrize")
    choice(duplicates, Duplicates, "duplicates")
    check_range(pairs, n_nodes)
    columns = {name: column(values, name, len(pairs), name in oriented) for name, values in data.items()}
    key = pairs[:, 0] * n_nodes + pairs[:, 1]
    order = np.argsort(key, kind="stable")
    kept, weights, columns = merged(order, key=key, pairs=pairs, weights=weights, data=columns, rule=duplicates)
    source, pairs, key = kept, pairs[kept], key[kept]
    back = pairs[:, 1] * n_nodes + pairs[:, 0]
    place = np.minimum(np.searchsorted(key, back), max(len(key) - 1, 0))
    paired = key[place] == back
    if rule == "error":
        refuse_asymmetry(
            pairs, weights=weights, data=columns, oriented=oriented, place=place, paired=paired, source=source
        )
        keep = (pairs[:, 0] <= pairs[:, 1]) | ~paired
        return pairs[keep], weights[keep], {name: array[keep] for name, array in columns.items()}
    other = np.where(paired, weights[place], 0.0)
    loop = pairs[:, 0] == pairs[:, 1]
    joined = {"mean": (weights + other) / 2.0, "sum": weights + other, "max": np.maximum(weights, other)}[rule]
    joined[loop] = weights[loop]
    keep = (pairs[:, 0] <= pairs[:, 1]) | ~paired
    return pairs[keep], joined[keep], {name: array[keep] for name, array in columns.items()}


def refuse_asymmetry(
    pairs: IntArray,
    *,
    weights: FloatArray,
    data: EdgeData,
    oriented: Collection[str],
    place: IntArray,
    paired: npt.NDArray[np.bool_],
    source: IntArray,
) -> None:
    """Raise for the first arc whose opposite is absent or holds another value."""
    loop = pairs[:, 0] == pairs[:, 1]
    remedy = "pass symmetrize='mean', 'sum' or 'max'"
    absent = ~paired & (weights != 0.0)
    if absent.any():
        at = int(np.argmax(absent))
        i, j = map(int, pairs[at])
        raise EdgeError(f"entry ({i}, {j}) = {weights[at]} has no opposite ({j}, {i}): {remedy}", int(source[at]))
    for name, array in {"weight": weights, **data}.items():
        opposite = -array[place] if name in oriented else array[place]
        bad = differs(array, opposite) & paired & ~loop
        if bad.any():
            at = int(np.argmax(bad))
            i, j = map(int, pairs[at])
            raise EdgeError(
                f"entry ({i}, {j}) has {name} {array[at]} and ({j}, {i}) has {array[place[at]]}: {remedy}",
                int(source[at]),
            )
