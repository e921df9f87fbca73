"""The SciPy door: evenflow as a ``method`` of :func:`scipy.optimize.minimize`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.graph import Graph
from evenflow.status import Status

if TYPE_CHECKING:
    import torch
    from scipy.optimize import OptimizeResult

    from evenflow.method import Method
    from evenflow.minimizer import Minimizer
    from evenflow.result import Result
    from evenflow.solve import Snapshot

__all__ = ["scipy_method"]


class ScipyMethod:
    """A ``method`` for :func:`scipy.optimize.minimize`; made by :func:`scipy_method`."""

    def __init__(self, graph: Graph, method: str | Method | Minimizer) -> None:
        self.graph, self.method = graph, method

    def __call__(
        self,
        fun: Callable[..., Any],
        x0: npt.ArrayLike,
        args: tuple[Any, ...] = (),
        jac: Callable[..., Any] | None = None,
        hess: Callable[..., Any] | None = None,
        hessp: Callable[..., Any] | None = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Callable[..., Any] | None = None,
        **options: Any,
    ) -> OptimizeResult:
        """Minimise ``fun`` as SciPy asks for it.

        Raises
        ------
        InputError
            If there is no gradient, bounds or constraints are given, the size does not fit the graph, or an option
            is unknown.
        """
        from evenflow.front import minimize

        if not callable(jac):
            raise InputError(
                f"jac={jac!r}: a gradient is needed; pass jac=True where fun returns (value, gradient), or a function"
            )
        if bounds is not None or np.size(constraints):
            raise InputError("bounds and constraints are not supported; use one of SciPy's own methods for them")
        energy = _Objective(self.graph, np.asarray(x0), fun, jac, hess, hessp, args)
        limits = _limits(options)
        watched = None if callback is None else _watch(callback)
        shown = bool(options.pop("disp", False))
        if options:
            raise InputError(f"options {sorted(options)}: known are tol, gtol, maxiter, maxfun, max_seconds, disp")
        start = np.asarray(x0, dtype=np.float64).reshape(energy.shape)
        result = minimize(energy, start, method=self.method, callback=watched, progress=shown, **limits)
        return _outcome(result, energy)


def scipy_method(graph: Graph, method: str | Method | Minimizer = "auto") -> ScipyMethod:
    """Return a ``method`` for :func:`scipy.optimize.minimize` that knows the graph of the unknowns.

    The graph's Laplacian becomes the preconditioner; ``hessp`` is used if given, else ``hess``, else differences of
    the gradient.

    Parameters
    ----------
    graph : Graph
        One node for each unknown, or for each group of d unknowns if the size of x0 is d times its number of nodes.
    method : str, Method or Minimizer
        Method of evenflow that needs no torch function (all but the networks).

    Returns
    -------
    callable
        With SciPy's options ``tol`` (relative gap of the energy), ``gtol``, ``maxiter``, ``maxfun``, ``disp``, and
        ``max_seconds``. Its :class:`~scipy.optimize.OptimizeResult` has the field ``result`` with everything else.

    Raises
    ------
    InputError
        When called by SciPy without a gradient, with bounds or constraints, or with unknown options.

    Examples
    --------
    >>> import evenflow as ef
    >>> from scipy.optimize import minimize
    >>> energy = ef.HeatDiffusion(ef.gallery.lattice(6, 6), hot=[0], cold=[35])
    >>> start = energy.initial(np.random.default_rng(0))
    >>> outcome = minimize(energy.value_and_gradient, start, jac=True, method=scipy_method(energy.graph))
    >>> outcome.success, outcome.fun - ef.minimize(energy).energy < 1e-8 * outcome.fun
    (True, True)
    """
    if not isinstance(graph, Graph):
        raise InputError(f"graph={graph!r}: expected an evenflow Graph, one node for each unknown")
    return ScipyMethod(graph, method)


class _Objective(BaseEnergy):
    """Functions of SciPy's form as an energy on a graph."""

    name = "scipy"
    sparse_hessian = False

    def __init__(
        self,
        graph: Graph,
        x0: npt.NDArray[Any],
        fun: Callable[..., Any],
        jac: Callable[..., Any],
        hess: Callable[..., Any] | None,
        hessp: Callable[..., Any] | None,
        args: tuple[Any, ...],
    ) -> None:
        if x0.size == 0 or x0.size % max(graph.n_nodes, 1):
            raise InputError(f"x0 has {x0.size} unknowns, expected a multiple of the graph's {graph.n_nodes} nodes")
        dim = x0.size // graph.n_nodes
        self.graph, self.shape = graph, (graph.n_nodes,) if dim == 1 else (graph.n_nodes, dim)
        self._fun, self._jac, self._hess, self._hessp, self._args = fun, jac, hess, hessp, args
        self.calls = {"fun": 0, "jac": 0, "hess": 0}

    def value(self, w: FloatArray) -> float:
        """Call ``fun``."""
        self.calls["fun"] += 1
        return float(self._fun(w.reshape(-1), *self._args))

    def value_and_gradient(self, w: FloatArray, out: FloatArray | None = None) -> tuple[float, FloatArray]:
        """Call ``fun`` and ``jac`` (one pass where SciPy joined them)."""
        value = self.value(w)
        self.calls["jac"] += 1
        gradient = np.array(self._jac(w.reshape(-1), *self._args), dtype=np.float64).reshape(self.shape)
        if out is None:
            return value, gradient
        np.copyto(out, gradient)
        return value, out

    def hvp(self, w: FloatArray, v: FloatArray) -> FloatArray:
        """``hessp``, ``hess`` or a central difference of the gradient."""
        x, p = w.reshape(-1), v.reshape(-1)
        if callable(self._hessp):
            self.calls["hess"] += 1
            product = self._hessp(x, p, *self._args)
        elif callable(self._hess):
            self.calls["hess"] += 1
            product = self._hess(x, *self._args) @ p
        else:
            length = float(np.linalg.norm(p))
            if length == 0:
                return np.zeros_like(v)
            step = np.cbrt(np.finfo(float).eps) * (1.0 + float(np.linalg.norm(x))) / length
            self.calls["jac"] += 2
            ahead, behind = (np.array(self._jac(x + s * p, *self._args)) for s in (step, -step))
            product = (ahead - behind) / (2 * step)
        return np.asarray(product, dtype=np.float64).reshape(v.shape)

    def torch_value(self, w: torch.Tensor) -> torch.Tensor:
        """Refuse: SciPy gives no torch function."""
        raise InputError("the function that SciPy passes is no torch function: choose a method without a network")

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """SciPy always passes x0; standard normal numbers otherwise."""
        return rng.standard_normal(self.shape)


def _limits(options: dict[str, Any]) -> dict[str, Any]:
    """Take SciPy's names of the limits out of the options and give them evenflow's."""
    names = {"tol": "tolerance", "gtol": "gtol", "maxiter": "max_iterations", "maxfun": "max_evaluations"}
    names["max_seconds"] = "max_seconds"
    return {own: options.pop(name) for name, own in names.items() if name in options}


def _watch(callback: Callable[..., Any]) -> Callable[[Snapshot], Any]:
    """Call a SciPy callback, in either of its two forms, after every step."""
    from scipy.optimize import OptimizeResult

    modern = set(inspect.signature(callback).parameters) == {"intermediate_result"}

    def watched(snapshot: Snapshot) -> Any:
        x = snapshot.w.reshape(-1)
        if modern:
            return callback(intermediate_result=OptimizeResult(x=x, fun=snapshot.energy))
        return callback(x)

    return watched


def _outcome(result: Result, energy: _Objective) -> OptimizeResult:
    """The result in SciPy's form; ``status`` is 0 for success, 1 for a spent budget or a stop, 2 for a failure."""
    from scipy.optimize import OptimizeResult

    value, gradient = energy.value_and_gradient(result.w)
    done = (Status.CONVERGED, Status.TARGET, Status.PLATEAU)
    code = 0 if result.status in done else 2 if result.status.failed else 1
    return OptimizeResult(
        x=result.w.reshape(-1),
        fun=value,
        jac=gradient.reshape(-1),
        success=code == 0,
        status=code,
        message=result.message,
        nit=sum(stage.steps for stage in result.stages),
        nfev=energy.calls["fun"],
        njev=energy.calls["jac"],
        nhev=energy.calls["hess"],
        result=result,
    )
