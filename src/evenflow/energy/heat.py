"""HeatDiffusion: heat flow between hot and cold baths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.energy.fixed import node_indices
from evenflow.energy.graph_arrays import graph_from_arrays, graph_to_arrays
from evenflow.energy.local import Energy
from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp

    from evenflow.graph import Graph

__all__ = ["HeatDiffusion"]

_POSITIVE = ("strength", "diffusivity")


class HeatDiffusion(Energy):
    r"""Heat diffusion on a graph whose hot and cold nodes are held near two temperatures by quartic baths.

    .. math:: E(w) = \frac{\varepsilon}{2} \sum_{(i,j)} a_{ij} (w_i - w_j)^2
              + \lambda \sum_{i \in hot} (w_i - T_{hot})^4 + \lambda \sum_{i \in cold} (w_i - T_{cold})^4

    States are temperatures, in the unit of ``t_hot``. For non-negative weights the energy is convex, and its minimiser
    lies between the two temperatures. A component of the graph without a bath has a free mean temperature: any constant
    is a minimiser there, ``report`` counts such components, and solvers return the constant nearest their start.

    Parameters
    ----------
    graph : Graph
        With non-negative weights.
    hot, cold : array_like of int
        Nodes of the two baths; disjoint.
    t_hot, t_cold : float
        Temperatures of the baths.
    strength : float
        lambda > 0, in energy per temperature to the fourth. The bath is weak near its own temperature: a bath node of
        degree k ends off its target by about (k / (8 lambda dT^2))^(1/3) of the difference dT [1]_.
    diffusivity : float
        epsilon > 0.
    fixed : mapping or tuple, optional
        Nodes held at given temperatures exactly.

    Raises
    ------
    InputError
        If a node is out of range, in both baths or in no list at all, or a constant is out of range.

    References
    ----------
    .. [1] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024, eq. 2-4, with the
       factors of the Laplacian form w^T L w / 2 (the printed sums count each edge twice).

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow.energy import HeatDiffusion
    >>> from evenflow.graph import Graph
    >>> energy = HeatDiffusion(Graph.from_edges([[0, 1], [1, 2]]), hot=[0], cold=[2], t_hot=1.0)
    >>> energy.value(np.array([1.0, 0.5, 0.0]))
    0.25
    """

    name = "heat"
    unit = "temperature"
    summary = "heat diffusion between baths; baths=random|sides, fraction, t_hot, t_cold, strength, diffusivity, seed"

    def __init__(
        self,
        graph: Graph,
        *,
        hot: npt.ArrayLike,
        cold: npt.ArrayLike,
        t_hot: float = 10.0,
        t_cold: float = 0.0,
        strength: float = 10.0,
        diffusivity: float = 1.0,
        fixed: Any = None,
    ) -> None:
        n = graph.n_nodes
        self.hot, self.cold = node_indices(hot, n, "hot"), node_indices(cold, n, "cold")
        self.constants = {
            "t_hot": float(t_hot),
            "t_cold": float(t_cold),
            "strength": float(strength),
            "diffusivity": float(diffusivity),
        }
        self._check(graph)
        target, held = np.zeros(n), np.zeros(n)
        target[self.hot], target[self.cold] = t_hot, t_cold
        held[self.hot] = held[self.cold] = strength
        super().__init__(
            graph,
            pair=lambda x, diffusivity: 0.5 * diffusivity * x**2,
            node=lambda w, held, target: held * (w - target) ** 4,
            edge_data={"diffusivity": diffusivity},
            node_data={"held": held, "target": target},
            fixed=fixed,
        )

    def _check(self, graph: Graph) -> None:
        both = np.intersect1d(self.hot, self.cold)
        if both.size:
            raise InputError(f"node {both[0]} is in hot and in cold; a node can be in one bath only")
        for name, value in self.constants.items():
            if not np.isfinite(value) or (name in _POSITIVE and value <= 0):
                raise InputError(
                    f"{name} is {value}, expected a {'positive' if name in _POSITIVE else 'finite'} number"
                )
        if (graph.weights < 0).any():
            edge = graph.edges[np.argmax(graph.weights < 0)]
            raise InputError(
                f"edge {tuple(edge.tolist())} has the negative weight {graph.weights.min()}: heat would flow uphill "
                "and the energy have no minimum; give non-negative weights"
            )

    @classmethod
    def sides(cls, graph: Graph, *, axis: int = 0, fraction: float = 0.1, **options: Any) -> HeatDiffusion:
        """Baths on two opposite sides: the nodes with the largest (hot) and smallest (cold) coordinate.

        Parameters
        ----------
        graph : Graph
            With positions.
        axis : int
            Coordinate to sort by.
        fraction : float
            Share of the nodes in each bath, at most 0.5.
        **options
            Arguments of the energy.

        Raises
        ------
        InputError
            If the graph has no positions or an argument is out of range.
        """
        if graph.positions is None:
            raise InputError("baths on two sides need node positions; give the graph positions, or use random baths")
        if not -graph.positions.shape[1] <= axis < graph.positions.shape[1]:
            raise InputError(f"axis is {axis}, expected 0 to {graph.positions.shape[1] - 1}")
        order = np.argsort(graph.positions[:, axis], kind="stable")
        count = _bath_size(graph, fraction)
        return cls(graph, hot=np.sort(order[-count:]), cold=np.sort(order[:count]), **options)

    @classmethod
    def random_baths(cls, graph: Graph, *, fraction: float = 0.1, seed: int = 0, **options: Any) -> HeatDiffusion:
        """Baths on random nodes, disjoint.

        Parameters
        ----------
        graph : Graph
        fraction : float
            Share of the nodes in each bath, at most 0.5.
        seed : int
            Of the choice.
        **options
            Arguments of the energy.
        """
        chosen = np.random.default_rng(seed).permutation(graph.n_nodes)
        count = _bath_size(graph, fraction)
        return cls(graph, hot=np.sort(chosen[:count]), cold=np.sort(chosen[count : 2 * count]), **options)

    @classmethod
    def from_graph(
        cls,
        graph: Graph,
        *,
        baths: Literal["random", "sides"] = "random",
        fraction: float = 0.1,
        seed: int = 0,
        axis: int = 0,
        **options: Any,
    ) -> HeatDiffusion:
        """Build from a graph alone, as the command line does."""
        unknown = sorted(set(options) - {"t_hot", "t_cold", "strength", "diffusivity", "fixed"})
        if unknown:
            raise InputError(f"heat has no parameter {unknown[0]!r}; {cls.summary}")
        if baths == "sides":
            return cls.sides(graph, axis=axis, fraction=fraction, **options)
        if baths != "random":
            raise InputError(f"baths is {baths!r}, expected 'random' or 'sides'")
        return cls.random_baths(graph, fraction=fraction, seed=seed, **options)

    def curvature(self) -> sp.csr_array:
        """Positive semi-definite CSR (n, n) that stands for the Hessian: eps L and the stiffness of settled baths.

        A bath node settles where its cubic force balances what its neighbours draw, at a distance d from its
        target with 4 lambda d^3 = eps k |t_hot - t_cold| / 2, k its degree; there the bath contributes
        12 lambda d^2. Without that part the operator would be singular, and its inverse no approximation of the
        inverse Hessian.
        """
        import scipy.sparse as sp

        constants, baths = self.constants, np.concatenate([self.hot, self.cold])
        eps, strength = constants["diffusivity"], constants["strength"]
        assert self.graph is not None
        pull = eps * self.graph.degrees[baths] * abs(constants["t_hot"] - constants["t_cold"])
        stiffness = np.zeros(self.size)
        stiffness[baths] = 12.0 * strength * np.cbrt(pull / (8.0 * strength)) ** 2
        return self.pin(eps * self.graph.laplacian + sp.diags_array(stiffness))

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Temperatures uniform between the two baths."""
        low, high = sorted((self.constants["t_cold"], self.constants["t_hot"]))
        return self.impose(rng.uniform(low, high, self.shape))

    def report(self, w: FloatArray) -> dict[str, float]:
        """Energy of each term, temperature range, heat flow from hot to cold, components without a bath."""
        w, gradient = self.impose(w), np.empty(self.size)
        energy, strength = self._engine.gradient(w, gradient), self.constants["strength"]
        hot, cold = w[self.hot] - self.constants["t_hot"], w[self.cold] - self.constants["t_cold"]
        bath = strength * float(sum(np.square(np.square(x)).sum() for x in (hot, cold)))
        pull = 4.0 * strength * hot**3  # of the baths; the rest of the gradient is what neighbours draw
        return {
            "diffusion_energy": energy - bath,
            "bath_energy": bath,
            "temperature_min": float(w.min(initial=np.inf)),
            "temperature_max": float(w.max(initial=-np.inf)),
            "heat_flow": float((gradient[self.hot] - pull).sum()),
            "components_without_bath": float(self.free_components()),
        }

    def free_components(self) -> int:
        """Number of components without a bath or a fixed node: their mean temperature is free."""
        count, label = self.graph.components
        held = np.concatenate([self.hot, self.cold, self.fixed[0] if self.fixed else self.hot[:0]])
        return int(count - np.unique(label[held]).size)

    def symmetries(self) -> Mapping[str, Any]:
        """None: the baths fix the temperature."""
        return {}

    def export(self) -> dict[str, Any]:
        """Graph, baths and constants."""
        return {
            "graph": graph_to_arrays(self.graph),
            "hot": self.hot,
            "cold": self.cold,
            "constants": self.constants,
            "fixed": None if self.fixed is None else list(self.fixed),
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> HeatDiffusion:
        """Inverse of :meth:`export`."""
        fixed = saved["fixed"]
        return cls(
            graph_from_arrays(saved["graph"]),
            hot=saved["hot"],
            cold=saved["cold"],
            fixed=None if fixed is None else tuple(fixed),
            **saved["constants"],
        )

    def __repr__(self) -> str:
        constants = ", ".join(f"{name}={value:g}" for name, value in self.constants.items())
        return f"HeatDiffusion({self.graph!r}, hot={self.hot.size} nodes, cold={self.cold.size} nodes, {constants})"


def _bath_size(graph: Graph, fraction: float) -> int:
    if not 0 < fraction <= 0.5:
        raise InputError(f"fraction is {fraction}, expected more than 0 and at most 0.5 of the nodes in each bath")
    if graph.n_nodes < 2:
        raise InputError(f"the graph has {graph.n_nodes} nodes; two baths need at least 2")
    return max(1, int(fraction * graph.n_nodes))
