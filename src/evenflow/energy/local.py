"""Energy: a local energy written once, as formulas for pairs, nodes and neighbourhoods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import BaseEnergy, FloatArray, HessianProduct
from evenflow.energy.engine import Engine
from evenflow.energy.fixed import PinnedPattern, parse_fixed
from evenflow.energy.formulas import Formulas
from evenflow.energy.graph_arrays import graph_from_arrays, graph_to_arrays
from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch

    from evenflow.graph import Graph

__all__ = ["Energy", "laplacian"]

_FLOAT = np.dtype(np.float64)


class Energy(BaseEnergy):
    r"""A local energy given by formulas; derivatives and compiled kernels follow.

    .. math:: E(w) = \sum_{(i,j)} a_{ij} f(w_i - w_j) + \sum_i g(w_i) + \sum_i F(s_i),
              \qquad s_i = \sum_j a_{ij} \varphi(w_i - w_j)

    The first sum takes each edge once. The functions are called once, on symbols, with ``+ - * / **`` and
    the functions of evenflow (``ef.sqrt``, ``ef.exp``, ``ef.sin``, ...). Their arguments after the states are
    names of edge or node data.

    Parameters
    ----------
    graph : Graph
        Its weights a_ij multiply every pair term.
    pair : callable, optional
        f(x, *edge data). x is w_i - w_j of the edge (i, j), i < j, or its squared length.
    pair_of : {"difference", "squared_distance"}
        What x is; states with ``dim`` > 1 need the squared distance.
    node : callable, optional
        g(w, *node data). With ``dim`` > 1 a formula in ``w`` acts on each component and is summed; a formula
        in ``w[0], w[1], ...`` is taken as it is.
    neighbourhood : tuple (F, phi), optional
        F(s, *node data) and phi(x, *edge data); phi may be a list of functions, F then takes as many sums.
        For scalar states.
    edge_data, node_data : mapping of str to array or number
        Edge values of shape (m,) in the order of ``graph.edges``; node values of shape (n,), or (n, dim). A number is
        a constant. Edge data of the graph are known by their names too.
    oriented : sequence of str
        Names in ``edge_data`` whose values change sign with the direction of the edge (those of the graph know it).
    dim : int
        Number of state components: w has shape (n,) for 1, else (n, dim).
    fixed : mapping of int to value, or tuple (nodes, values), optional
        States held at given values.
    initial : callable or array, optional
        ``initial(rng) -> w``, or a start; by default standard normal states.

    Raises
    ------
    InputError
        If a formula branches, uses unknown functions or unknown data names, or an array has the wrong shape.

    Notes
    -----
    Kernels are generated and compiled at the first call for a new formula, and kept on disk for the next process.
    Numbers in the formulas may change without a new compilation. A formula that is not finite at w_i = w_j (such as the
    slope of ``sqrt(x)``) gives a gradient that is not finite there.

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow.energy import Energy
    >>> from evenflow.graph import Graph
    >>> energy = Energy(Graph.from_edges([[0, 1], [1, 2]]), pair=lambda x: x**2 / 2)
    >>> value, gradient = energy.value_and_gradient(np.array([0.0, 1.0, 3.0]))
    >>> value, gradient.tolist()
    (2.5, [-1.0, -1.0, 2.0])
    """

    name = "local"
    graph: Graph

    def __init__(
        self,
        graph: Graph,
        *,
        pair: Callable[..., Any] | None = None,
        pair_of: Literal["difference", "squared_distance"] = "difference",
        node: Callable[..., Any] | None = None,
        neighbourhood: tuple[Callable[..., Any], Callable[..., Any] | Sequence[Callable[..., Any]]] | None = None,
        edge_data: Mapping[str, npt.ArrayLike] | None = None,
        node_data: Mapping[str, npt.ArrayLike] | None = None,
        oriented: Sequence[str] = (),
        dim: int = 1,
        fixed: Any = None,
        initial: Callable[[np.random.Generator], npt.ArrayLike] | npt.ArrayLike | None = None,
    ) -> None:
        formulas = Formulas.record(
            graph,
            pair=pair,
            pair_of=pair_of,
            node=node,
            neighbourhood=neighbourhood,
            edge_data=edge_data or {},
            node_data=node_data or {},
            oriented=oriented,
            dim=dim,
        )
        self._build(graph, formulas, fixed, initial)

    def _build(self, graph: Graph, formulas: Formulas, fixed: Any, initial: Any) -> None:
        self.graph, self._formulas = graph, formulas
        dim = formulas.dim
        self.shape = (graph.n_nodes,) if dim == 1 else (graph.n_nodes, dim)
        self.fixed = parse_fixed(fixed, self.shape)
        self.reach = 2 if formulas.sums else 1
        self._start = initial if initial is None or callable(initial) else self._given_start(initial)
        self._bound = formulas.bind(graph)
        self._engine = Engine(self._bound.potential, graph, self._bound.edge_data, self._bound.node_data)
        self._tensors: dict[Any, Any] = {}
        self._pinned: PinnedPattern | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave tensors and scratch matrices behind."""
        return self.__dict__ | {"_tensors": {}, "_pinned": None}

    # -- evaluation -----------------------------------------------------------------------------------------------

    def _checked(self, w: Any) -> FloatArray:
        """Return w ready for the kernels; costs next to nothing where it is so already."""
        if (
            self.fixed is None
            and type(w) is np.ndarray
            and w.dtype is _FLOAT
            and w.shape == self.shape
            and w.flags.c_contiguous
        ):
            return w
        return self.impose(w)

    def value(self, w: FloatArray) -> float:
        """Energy of w, fixed nodes imposed."""
        return self._engine.value(self._checked(w))

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        """Energy and gradient in one pass over the rows; the gradient goes to ``out`` if given.

        Raises
        ------
        InputError
            If w or ``out`` has the wrong shape or type.
        """
        w = self._checked(w)
        out = np.empty(self.shape) if out is None else self._checked_out(out)
        energy = self._engine.gradient(w, out)
        if self.fixed is not None:
            out[self.fixed[0]] = 0.0
        return energy, out

    def _checked_out(self, out: FloatArray) -> FloatArray:
        if out.shape != self.shape or out.dtype is not _FLOAT or not out.flags.c_contiguous:
            raise InputError(
                f"out is {out.dtype} of shape {out.shape}, expected a C-contiguous float64 array of shape {self.shape}"
            )
        return out

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        """Product of the Hessian at w with v, matrix-free."""
        out = np.empty(self.shape)
        if self.fixed is None:
            self._engine.hvp(self._checked(w), self._checked(v), out)
            return out
        self._engine.hvp(self._checked(w), self._pinned_direction(v), out)
        out[self.fixed[0]] = 0.0
        return out

    def linearise(self, w: FloatArray) -> HessianProduct:
        """Return v -> H(w) v; what depends on w alone is computed once."""
        product = self._engine.linearise(self._checked(w))

        def hvp(v: FloatArray, out: FloatArray | None = None) -> FloatArray:
            out = np.empty(self.shape) if out is None else self._checked_out(out)
            if self.fixed is None:
                product(self._checked(v), out)
                return out
            v = self._pinned_direction(v)
            product(v, out)
            out[self.fixed[0]] = 0.0
            return out

        return hvp

    def _pinned_direction(self, v: FloatArray) -> FloatArray:
        v = np.array(v, dtype=np.float64)
        if v.shape != self.shape:
            raise InputError(f"v has shape {v.shape}, expected {self.shape}")
        if self.fixed is not None:
            v[self.fixed[0]] = 0.0
        return v

    def hessian(self, w: FloatArray) -> sp.csr_array:
        """Sparse Hessian at w on a fixed pattern; see :meth:`BaseEnergy.hessian`."""
        matrix = self._engine.hessian(self._checked(w))
        if self.fixed is None:
            return matrix
        if self._pinned is None:
            block = self._formulas.dim if self._engine.constant_couplings else None
            self._pinned = PinnedPattern(matrix, self.free_mask().ravel(), block)
        return self._pinned.refresh(matrix)

    def hessian_diagonal(self, w: FloatArray) -> FloatArray:
        """Diagonal of the Hessian at w, shape (size,); a pass over the nodes alone with constant couplings."""
        if not self.constant_couplings:
            return super().hessian_diagonal(w)
        diagonal = self._engine.hessian_diagonal(self._checked(w))
        if self.fixed is not None:
            diagonal[self.fixed[0]] = 1.0
        return diagonal

    def diagonal_series(self, w: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Second to fourth derivatives along each node; see :meth:`BaseEnergy.diagonal_series`."""
        if not self.constant_couplings:
            return super().diagonal_series(w)
        second, third, fourth = np.empty(self.size), np.empty(self.size), np.empty(self.size)
        self._engine.series(self._checked(w), second, third, fourth)
        if self.fixed is not None:
            second[self.fixed[0]] = 1.0
            third[self.fixed[0]] = fourth[self.fixed[0]] = 0.0
        return second, third, fourth

    @property
    def constant_couplings(self) -> bool:
        """Whether entries of the Hessian between different unknowns do not depend on w: quadratic pair terms, d = 1."""
        return self._engine.constant_couplings and len(self.shape) == 1

    @property
    def light_products(self) -> bool:
        """Whether all weights are equal, and edges have no data: products read the pattern and the states alone."""
        return self._engine.uniform

    @property
    def quartic(self) -> bool:
        """Whether this energy is its own fourth-order expansion: node terms of at most fourth degree, d = 1."""
        return self.constant_couplings and self._engine.quartic

    def curvature(self) -> sp.csr_array:
        """Laplacian of the absolute weights, once for each component, with a unit diagonal at fixed nodes."""
        import scipy.sparse as sp

        matrix = laplacian(self.graph)
        if len(self.shape) == 2:
            matrix = sp.kron(matrix, sp.eye_array(self.shape[1]), format="csr")
        return self.pin(matrix)

    # -- torch ----------------------------------------------------------------------------------------------------

    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        """Energy as a differentiable scalar of the device and dtype of w."""
        import torch

        if tuple(w.shape) != self.shape:
            raise InputError(f"w has shape {tuple(w.shape)}, expected {self.shape}")
        key = (w.device, w.dtype)
        if key not in self._tensors:
            self._tensors[key] = self._bound.arrays(
                self.graph,
                lambda a: torch.tensor(a, device=w.device, dtype=w.dtype if a.dtype.kind == "f" else None),
            )
            if self.fixed is not None:
                values = np.zeros(self.shape)
                values[self.fixed[0]] = self.fixed[1]
                self._tensors[key]["mask"] = torch.tensor(self.free_mask(), device=w.device)
                self._tensors[key]["values"] = torch.tensor(values, device=w.device, dtype=w.dtype)
        arrays = self._tensors[key]
        if self.fixed is not None:
            w = torch.where(arrays["mask"], w, arrays["values"])
        terms = self._bound.terms(w, arrays, torch)
        return sum(terms.values(), torch.zeros((), device=w.device, dtype=w.dtype))

    # -- description ----------------------------------------------------------------------------------------------

    def terms(self, w: FloatArray) -> dict[str, float]:
        """Energy of each kind of term: ``pair``, ``node``, ``neighbourhood``."""
        arrays = self._bound.arrays(self.graph, lambda a: a)
        return {name: float(value) for name, value in self._bound.terms(self.impose(w), arrays, np).items()}

    def report(self, w: FloatArray) -> dict[str, float]:
        """Energy of each kind of term."""
        return {f"{name}_energy": value for name, value in self.terms(w).items()}

    def symmetries(self) -> Mapping[str, Any]:
        """Translation of all states, and rotation for squared distances, where no node term forbids them."""
        if self.fixed is not None or self._formulas.node is not None:
            return {}

        def translate(w: FloatArray, rng: np.random.Generator) -> FloatArray:
            return w + rng.standard_normal(self.shape[1:])

        def rotate(w: FloatArray, rng: np.random.Generator) -> FloatArray:
            q, _ = np.linalg.qr(rng.standard_normal((self.shape[1], self.shape[1])))
            return w @ q

        found = {"translation": translate}
        if len(self.shape) == 2:
            found["rotation"] = rotate
        return found

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Start of the user, or standard normal states."""
        if callable(self._start):
            return self.impose(self._given_start(self._start(rng)))
        return self.impose(rng.standard_normal(self.shape) if self._start is None else self._start)

    def _given_start(self, start: Any) -> FloatArray:
        w = np.array(start, dtype=np.float64)
        if w.shape != self.shape:
            raise InputError(f"initial has shape {w.shape}, expected {self.shape}")
        return w

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.graph!r}, {self._formulas})"

    # -- files ----------------------------------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """Formulas, data and graph as JSON values and arrays.

        Raises
        ------
        InputError
            If ``initial`` is a function.
        """
        if callable(self._start):
            raise InputError(
                "an energy whose initial= is a function cannot be saved; pass an array, or pass energy= again when "
                "resuming"
            )
        return {
            "graph": graph_to_arrays(self.graph),
            "formulas": self._formulas.export(),
            "fixed": None if self.fixed is None else list(self.fixed),
            "initial": self._start,
        }

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Energy:
        """Inverse of :meth:`export`."""
        energy = cls.__new__(cls)
        fixed = saved["fixed"]
        energy._build(
            graph_from_arrays(saved["graph"]),
            Formulas.restore(saved["formulas"]),
            None if fixed is None else tuple(fixed),
            saved["initial"],
        )
        return energy


def laplacian(graph: Graph) -> sp.csr_array:
    """Laplacian of the absolute weights: positive semi-definite whatever their signs."""
    import scipy.sparse as sp

    if (graph.weights >= 0).all():
        return graph.laplacian
    adjacency = abs(graph.adjacency)
    return (sp.diags_array(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency).tocsr()
