"""BaseEnergy: what every energy owes, whoever evaluates it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from evenflow.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch

    from evenflow.graph import Graph

__all__ = ["BaseEnergy", "FloatArray", "HessianProduct"]

FloatArray = npt.NDArray[np.float64]


class HessianProduct(Protocol):
    """v -> H v at one point."""

    def __call__(self, v: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return H v, written to ``out`` (not v itself) if given."""
        ...


class BaseEnergy(ABC):
    """A scalar function of node states w, float64 of shape (n,) or (n, d).

    A subclass owes :meth:`value`, :meth:`value_and_gradient`, :meth:`hvp`, :meth:`torch_value` and
    :meth:`initial`; a local one also :meth:`hessian` (and sets ``sparse_hessian``).

    Attributes
    ----------
    name : str
        The name on the command line and in files.
    unit : str
        Unit of the states; "rad" marks phases.
    sparse_hessian : bool
        Whether :meth:`hessian` can be had.
    costly_hessian : bool
        Whether assembling it takes many products.
    reach : int
        Edges between nodes that share a term: 1, or 2 where neighbours of a node do.
    graph : Graph or None
    shape : tuple of int
        Shape of the states.
    fixed : tuple of ndarray or None
        ``(nodes, values)``: states held at given values, nodes int64 (k,), values (k,) or (k, d).
    """

    name: ClassVar[str] = "energy"
    unit: ClassVar[str] = ""
    sparse_hessian: bool = True
    costly_hessian: bool = False
    reach: int = 1
    graph: Graph | None = None
    shape: tuple[int, ...]
    fixed: tuple[npt.NDArray[np.int64], FloatArray] | None = None

    @cached_property
    def size(self) -> int:
        """Number of scalar unknowns, fixed ones included."""
        return int(math.prod(self.shape))

    @property
    def components(self) -> int:
        """Number of scalar unknowns of a node."""
        return self.shape[1] if len(self.shape) == 2 else 1

    def impose(self, w: npt.ArrayLike) -> FloatArray:
        """Return w as a float64 array of the right shape, fixed nodes set to their values.

        Raises
        ------
        InputError
            If the shape is wrong.
        """
        state = np.ascontiguousarray(w, dtype=np.float64)
        if state.shape != self.shape:
            raise InputError(f"w has shape {state.shape}, expected {self.shape}: one state for each node")
        if self.fixed is not None:
            state = state.copy()
            state[self.fixed[0]] = self.fixed[1]
        return state

    @abstractmethod
    def value(self, w: FloatArray) -> float:
        """Energy of w (fixed nodes imposed)."""

    @abstractmethod
    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        """Energy and gradient in one pass; the gradient is zero at fixed nodes and is written to ``out`` if given."""

    def gradient(self, w: FloatArray) -> FloatArray:
        """Gradient of the energy, same shape as w."""
        return self.value_and_gradient(w)[1]

    @abstractmethod
    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        """Product of the Hessian at w with v; rows and columns of fixed nodes are zero."""

    def linearise(self, w: FloatArray) -> HessianProduct:
        """Return v -> H(w) v for many v at one w; w is copied. Override where work on w can be saved."""
        state = np.array(w, dtype=np.float64)

        def product(v: FloatArray, out: FloatArray | None = None) -> FloatArray:
            found = self.hvp(state, v)
            if out is None:
                return found
            out[...] = found
            return out

        return product

    def hessian_diagonal(self, w: FloatArray) -> FloatArray:
        """Diagonal of the Hessian at w, shape (size,); for a local energy."""
        return np.asarray(self.hessian(w).diagonal())

    def diagonal_series(self, w: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Second to fourth derivatives of the energy along each unknown, three arrays of shape (size,).

        For energies with :attr:`constant_couplings`: all mixed derivatives of third and fourth order vanish, so that
        with gradient and couplings these make up the whole fourth-order expansion at w.

        Raises
        ------
        InputError
            If the couplings depend on w.
        """
        raise InputError(f"{type(self).__name__} has mixed derivatives of third order; check constant_couplings first")

    @property
    def constant_couplings(self) -> bool:
        """Whether entries of the Hessian between different unknowns do not depend on w.

        Such an energy owes :meth:`diagonal_series`, too.
        """
        return False

    @property
    def light_products(self) -> bool:
        """Whether products without the assembled Hessian read less memory than with it: all couplings are equal."""
        return False

    @property
    def quartic(self) -> bool:
        """Whether an energy with :attr:`constant_couplings` is its own fourth-order expansion, everywhere."""
        return False

    def hessian(self, w: FloatArray) -> sp.csr_array:
        """Sparse Hessian at w, CSR (size, size) on a pattern that does not depend on w.

        Rows and columns of fixed nodes hold only a unit diagonal. The same matrix object is refreshed in
        place by the next call, which may leave entries that do not depend on w as they are: copy it to keep it, or
        to write to it.

        Raises
        ------
        InputError
            If the energy has no sparse Hessian.
        """
        raise InputError(f"{type(self).__name__} has no sparse Hessian; use hvp, or a method that needs only products")

    def curvature(self) -> sp.csr_array:
        """Symmetric positive semi-definite CSR (size, size) standing for the early-stage Hessian.

        The default is the graph Laplacian, once for each state component, with a unit diagonal at fixed nodes.

        Raises
        ------
        InputError
            If the energy knows no graph.
        """
        import scipy.sparse as sp

        if self.graph is None:
            raise InputError(f"{type(self).__name__} has no graph, so no Laplacian; pass graph= when building it")
        matrix = self.graph.laplacian
        if len(self.shape) == 2:
            matrix = sp.kron(matrix, sp.eye_array(self.shape[1]), format="csr")
        return self.pin(matrix)

    def pin(self, matrix: sp.csr_array) -> sp.csr_array:
        """Give fixed nodes a unit row and column in a matrix over the unknowns; CSR in canonical form."""
        import scipy.sparse as sp

        pinned = sp.csr_array(matrix)
        if self.fixed is not None:
            free = self.free_mask().ravel().astype(np.float64)
            keep = sp.diags_array(free)
            pinned = (keep @ matrix @ keep + sp.diags_array(1.0 - free)).tocsr()
        pinned.sum_duplicates()
        return pinned

    def free_mask(self) -> npt.NDArray[np.bool_]:
        """Boolean array of the shape of w, False at fixed nodes."""
        mask = np.ones(self.shape, dtype=bool)
        if self.fixed is not None:
            mask[self.fixed[0]] = False
        return mask

    @abstractmethod
    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        """Energy as a differentiable torch scalar, on any device and floating dtype."""

    @abstractmethod
    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Random start, as the papers draw it."""

    def report(self, w: FloatArray) -> dict[str, float]:
        """Observables of w by name: energy per term, order parameters, ..."""
        return {}

    def reference(self) -> float | None:
        """Exact minimum or certified lower bound, where one is known."""
        return None

    def symmetries(self) -> Mapping[str, Any]:
        """Maps of w that leave the energy unchanged, by name: callables ``(w, rng) -> w``."""
        return {}

    def export(self) -> dict[str, Any]:
        """Everything needed to build this energy again: JSON scalars, lists, dicts, and arrays.

        The result is passed to ``type(self).restore``.

        Raises
        ------
        InputError
            If the energy holds code that cannot be written to a file.
        """
        raise InputError(f"{type(self).__name__} holds code and cannot be saved; pass energy= again when resuming")

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> BaseEnergy:
        """Inverse of :meth:`export`."""
        raise InputError(f"{cls.__name__} cannot be restored from a file")
