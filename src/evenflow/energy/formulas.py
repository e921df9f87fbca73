"""Formulas: what the user wrote for a local energy, with the arrays it names, and its binding to kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.energy.expression import Expression, evaluate, names, parameters_of, parse, substitute, trace
from evenflow.energy.potential import Potential
from evenflow.errors import InputError

if TYPE_CHECKING:
    from evenflow.graph import Graph

__all__ = ["Bound", "Formulas"]

_MAX_DIM = 8


class _Vector(Expression):
    """A symbol with components: ``w`` stands for each of them in turn, ``w[c]`` for one."""

    __slots__ = ("_count",)

    def __init__(self, name: str, count: int) -> None:
        super().__init__("sym", name)
        self._count = count

    def __getitem__(self, component: int) -> Expression:
        if not isinstance(component, int) or not -self._count <= component < self._count:
            raise IndexError(f"component {component!r} of a state with {self._count} components")
        return Expression("sym", f"{self.args[0]}__{component % self._count}")

    def __iter__(self) -> Iterator[Expression]:
        return (self[c] for c in range(self._count))

    def __len__(self) -> int:
        return self._count


@dataclass
class Formulas:
    """Formulas on the user's names.

    Symbols are ``x`` and ``s0 ...``, ``w`` or ``w__0 ...``, edge data ``e_NAME`` and node data ``n_NAME``.

    Attributes
    ----------
    dim : int
    squared : bool
    pair, node, outer : Expression or None
    sums : tuple of Expression
    edge_data, node_data : dict of str to ndarray or float
    oriented : frozenset of str
    """

    dim: int
    squared: bool
    pair: Expression | None = None
    node: Expression | None = None
    sums: tuple[Expression, ...] = ()
    outer: Expression | None = None
    edge_data: dict[str, FloatArray] = field(default_factory=dict)
    node_data: dict[str, FloatArray] = field(default_factory=dict)
    oriented: frozenset[str] = frozenset()

    @classmethod
    def record(
        cls,
        graph: Graph,
        *,
        pair: Callable[..., Any] | None,
        pair_of: str,
        node: Callable[..., Any] | None,
        neighbourhood: Any,
        edge_data: Mapping[str, npt.ArrayLike],
        node_data: Mapping[str, npt.ArrayLike],
        oriented: Sequence[str],
        dim: int,
    ) -> Formulas:
        """Call the user's functions on symbols and check the arrays they name."""
        _check_kind(pair, pair_of, node, neighbourhood, dim)
        edges = {
            k: _data(f"edge_data[{k!r}]", v, (graph.n_edges,)) for k, v in {**graph.edge_data, **edge_data}.items()
        }
        nodes = {k: _data(f"node_data[{k!r}]", v, (graph.n_nodes,), dim) for k, v in node_data.items()}
        for name in [*edges, *nodes]:
            if not name.isidentifier() or "__" in name:
                raise InputError(f"a data name is {name!r}, expected a Python identifier without a double underscore")
        found = cls(dim, pair_of == "squared_distance" or dim > 1, edge_data=edges, node_data=nodes)
        if pair is not None:
            found.pair = found._record_edge(pair, "pair")
        if node is not None:
            found.node = found._record_node(node, "node", [_Vector("w", dim) if dim > 1 else Expression("sym", "w")])
        if neighbourhood is not None:
            outer, phi = neighbourhood
            found.sums = tuple(
                found._record_edge(f, "pair function of neighbourhood") for f in ([phi] if callable(phi) else phi)
            )
            sums = [Expression("sym", f"s{m}") for m in range(len(found.sums))]
            found.outer = found._record_node(outer, "neighbourhood", sums)
        found._keep_used(set(edge_data), set(node_data))
        unknown = sorted(set(oriented) - set(found.edge_data))
        if unknown:
            raise InputError(f"oriented names {unknown[0]!r}, which is no edge datum of a formula")
        found.oriented = frozenset((graph.oriented - set(edge_data)) & set(found.edge_data)) | frozenset(oriented)
        return found

    def _record_edge(self, function: Callable[..., Any], argument: str) -> Expression:
        data = parameters_of(function, ["x"], self.edge_data, argument)
        return trace(function, [Expression("sym", name) for name in ["x", *(f"e_{k}" for k in data)]], argument)

    def _record_node(self, function: Callable[..., Any], argument: str, states: list[Expression]) -> Expression:
        data = parameters_of(function, [state.args[0] for state in states], self.node_data, argument)
        symbols = [
            _Vector(f"n_{k}", self.dim) if self.node_data[k].ndim == 2 else Expression("sym", f"n_{k}") for k in data
        ]
        return trace(function, [*states, *symbols], argument)

    def _keep_used(self, given_edges: set[str], given_nodes: set[str]) -> None:
        formulas = [f for f in (self.pair, self.node, self.outer, *self.sums) if f is not None]
        used = {name.partition("__")[0] for name in set().union(*(names(f) for f in formulas))}
        for kind, data, given in (("e", self.edge_data, given_edges), ("n", self.node_data, given_nodes)):
            for name in list(data):
                if f"{kind}_{name}" not in used:
                    if name in given:
                        which = "edge" if kind == "e" else "node"
                        raise InputError(f"{which}_data[{name!r}] is used by no formula; name it as an argument of one")
                    del data[name]

    def __str__(self) -> str:
        parts = {"pair": self.pair, "node": self.node, "neighbourhood": self.outer}
        text = [f"{name}={formula}" for name, formula in parts.items() if formula is not None]
        return ", ".join([*text, *(f"s{m}=sum {phi}" for m, phi in enumerate(self.sums))])

    # -- binding --------------------------------------------------------------------------------------------------

    def bind(self, graph: Graph) -> Bound:
        """Put formulas and arrays into the canonical form of the kernels."""
        edge_names = [name for name, values in self.edge_data.items() if values.ndim]
        columns: list[FloatArray] = []
        replaced: dict[str, Expression] = {}
        constants: list[float] = []
        for k, name in enumerate(edge_names):
            replaced[f"e_{name}"] = Expression("sym", f"e{k}")
        for name, values in self.node_data.items():
            if values.ndim == 1:
                replaced[f"n_{name}"] = Expression("sym", f"n{len(columns)}")
                columns.append(values)
            for c in range(self.dim if values.ndim == 2 else 0):
                replaced[f"n_{name}__{c}"] = Expression("sym", f"n{len(columns)}")
                columns.append(np.ascontiguousarray(values[:, c]))
        for kind, data in (("e", self.edge_data), ("n", self.node_data)):
            for name, values in data.items():
                if not values.ndim:
                    replaced[f"{kind}_{name}"] = Expression("sym", f"p{len(constants)}")
                    constants.append(float(values))
        for c in range(self.dim):
            replaced[f"w__{c}"] = Expression("sym", f"w{c}")

        def rename(formula: Expression | None, component: int = 0) -> Expression | None:
            def leaf(symbol: Expression) -> Expression | None:
                name = symbol.args[0]
                if symbol.op == "sym" and name == "w":
                    return Expression("sym", f"w{component}")
                if symbol.op == "sym" and name not in replaced:
                    return replaced.get(f"{name}__{component}")
                return replaced.get(name) if symbol.op == "sym" else None

            return None if formula is None else substitute(formula, leaf)

        potential = Potential(
            dim=self.dim,
            pair=rename(self.pair),
            squared=self.squared,
            node=self._node_sum(rename),
            sums=tuple(f for f in map(rename, self.sums) if f is not None),
            outer=rename(self.outer),
            oriented=tuple(name in self.oriented for name in edge_names),
            uniform=bool((graph.weights == graph.weights[:1]).all()),
            constants=tuple(constants),
        )
        return Bound(potential.lifted(), [self.edge_data[name] for name in edge_names], columns)

    def _node_sum(self, rename: Callable[[Expression | None, int], Expression | None]) -> Expression | None:
        if self.node is None:
            return None
        used = names(self.node)
        by_component = any(name.startswith("w__") for name in used)
        whole = "w" in used or any(name in used for name, v in self._vectors().items())
        if by_component and whole:
            raise InputError("node uses both a whole state (or datum) and single components; write all components out")
        if by_component or self.dim == 1:
            return rename(self.node, 0)
        total = rename(self.node, 0)
        for c in range(1, self.dim):
            part = rename(self.node, c)
            assert total is not None
            total = total + part
        return total

    def _vectors(self) -> dict[str, FloatArray]:
        return {f"n_{name}": values for name, values in self.node_data.items() if values.ndim == 2}

    # -- files ----------------------------------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """JSON values and arrays."""

        def tree(formula: Expression | None) -> Any:
            return None if formula is None else formula.tree()

        return {
            "dim": self.dim,
            "squared": self.squared,
            "pair": tree(self.pair),
            "node": tree(self.node),
            "sums": [tree(phi) for phi in self.sums],
            "outer": tree(self.outer),
            "edge_data": dict(self.edge_data),
            "node_data": dict(self.node_data),
            "oriented": sorted(self.oriented),
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Formulas:
        """Inverse of :meth:`export`; formulas are parsed, never evaluated as code."""
        dim = int(saved["dim"])
        edge = {name: np.array(values, dtype=np.float64) for name, values in saved["edge_data"].items()}
        node = {name: np.array(values, dtype=np.float64) for name, values in saved["node_data"].items()}
        edge_symbols = {"x", *(f"e_{name}" for name in edge)}
        node_symbols = {f"n_{name}" for name in node} | {f"n_{name}__{c}" for name in node for c in range(dim)}

        def read(tree: Any, allowed: set[str]) -> Expression | None:
            return None if tree is None else parse(tree, allowed)

        sums = tuple(parse(tree, edge_symbols) for tree in saved["sums"])
        return cls(
            dim,
            bool(saved["squared"]),
            pair=read(saved["pair"], edge_symbols),
            node=read(saved["node"], node_symbols | {"w"} | {f"w__{c}" for c in range(dim)}),
            sums=sums,
            outer=read(saved["outer"], node_symbols | {f"s{m}" for m in range(len(sums))}),
            edge_data=edge,
            node_data=node,
            oriented=frozenset(saved["oriented"]),
        )


@dataclass
class Bound:
    """A potential with its arrays in canonical order; evaluates its terms with numpy or torch."""

    potential: Potential
    edge_data: list[FloatArray]
    node_data: list[FloatArray]

    def arrays(self, graph: Graph, convert: Callable[[npt.NDArray[Any]], Any]) -> dict[str, Any]:
        """Return everything :meth:`terms` reads, as arrays of the module that will evaluate."""
        values: dict[str, Any] = {"i": convert(graph.edges[:, 0]), "j": convert(graph.edges[:, 1])}
        values["a"] = convert(graph.weights)
        values |= {f"e{k}": convert(column) for k, column in enumerate(self.edge_data)}
        values |= {f"n{k}": convert(column) for k, column in enumerate(self.node_data)}
        return values | {f"p{k}": constant for k, constant in enumerate(self.potential.constants)}

    def terms(self, w: Any, arrays: Mapping[str, Any], module: Any) -> dict[str, Any]:
        """Energy of the pair, node and neighbourhood terms at w."""
        potential, found = self.potential, {}
        i, j, a = arrays["i"], arrays["j"], arrays["a"]
        difference = w[i] - w[j]
        if potential.pair is not None:
            x = (difference * difference).reshape(len(i), -1).sum(-1) if potential.squared else difference
            found["pair"] = (a * evaluate(potential.pair, {**arrays, "x": x}, module)).sum()
        columns = w.reshape(w.shape[0], -1)
        states = {f"w{c}": columns[:, c] for c in range(potential.dim)}
        if potential.node is not None:
            found["node"] = (evaluate(potential.node, {**arrays, **states}, module) + 0.0 * columns[:, 0]).sum()
        if potential.outer is not None:
            sums = {f"s{m}": self._sum(phi, difference, arrays, w, module) for m, phi in enumerate(potential.sums)}
            found["neighbourhood"] = (evaluate(potential.outer, {**arrays, **sums}, module) + 0.0 * w).sum()
        return found

    def _sum(self, phi: Expression, difference: Any, arrays: Mapping[str, Any], w: Any, module: Any) -> Any:
        i, j, a = arrays["i"], arrays["j"], arrays["a"]
        flipped = {f"e{k}": -arrays[f"e{k}"] for k, oriented in enumerate(self.potential.oriented) if oriented}
        forth = a * evaluate(phi, {**arrays, "x": difference}, module)
        back = a * evaluate(phi, {**arrays, **flipped, "x": -difference}, module)
        if module is np:
            n = len(w)
            return np.bincount(i, forth, minlength=n) + np.bincount(j, back, minlength=n)
        return module.zeros_like(w).index_add(0, i, forth).index_add(0, j, back)


def _check_kind(pair: Any, pair_of: str, node: Any, neighbourhood: Any, dim: int) -> None:
    if pair_of not in {"difference", "squared_distance"}:
        raise InputError(f"pair_of is {pair_of!r}, expected 'difference' or 'squared_distance'")
    if not isinstance(dim, int) or not 1 <= dim <= _MAX_DIM:
        raise InputError(f"dim is {dim!r}, expected 1 to {_MAX_DIM} state components; use TorchEnergy for more")
    if pair is None and node is None and neighbourhood is None:
        raise InputError("an Energy needs at least one of pair=, node= and neighbourhood=")
    if dim > 1 and pair is not None and pair_of == "difference":
        raise InputError(f"pair_of='difference' is for scalar states; with dim={dim} use pair_of='squared_distance'")
    if neighbourhood is not None:
        if dim > 1 or pair_of == "squared_distance":
            raise InputError("neighbourhood sums are for scalar states and pair_of='difference'")
        if not isinstance(neighbourhood, tuple) or len(neighbourhood) != 2 or not callable(neighbourhood[0]):
            raise InputError("neighbourhood must be a tuple (F, phi) of functions, or (F, [phi, ...])")


def _data(argument: str, values: npt.ArrayLike, shape: tuple[int, ...], dim: int = 1) -> FloatArray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{argument} cannot be read as numbers: {error}") from error
    allowed = [(), shape] + [(*shape, dim)] * (dim > 1)
    if array.shape not in allowed:
        raise InputError(f"{argument} has shape {array.shape}, expected one of {allowed}")
    if not np.isfinite(array).all():
        raise InputError(
            f"{argument} holds a value that is not finite, at {tuple(np.argwhere(~np.isfinite(array))[0])}"
        )
    return array
