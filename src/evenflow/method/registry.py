"""The named methods: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evenflow.energy.base import BaseEnergy
from evenflow.errors import InputError
from evenflow.method.auto import Auto
from evenflow.method.base import Direct, Method, TwoStage, first_order, settled
from evenflow.minimizer import Minimizer
from evenflow.stopping import Decrement, Fluctuation, Plateau, Steps, StoppingRule

__all__ = ["METHODS", "MethodEntry", "build_method"]

_LOG = "Faster Optimization on Sparse Graphs via Neural Reparametrization, LoG 2024"


@dataclass(frozen=True)
class MethodEntry:
    """A named recipe.

    Attributes
    ----------
    name : str
    description : str
        What it does, in a line.
    source : str
        Where it comes from.
    build : callable
        ``(energy, tolerance, **options) -> Method``.
    """

    name: str
    description: str
    source: str
    build: Callable[..., Method]


def _is_phase(energy: BaseEnergy) -> bool:
    return energy.unit == "rad"


def _rate(energy: BaseEnergy, lr: float | None) -> float:
    """The learning rate given, else the papers': 0.01 for phases, 0.02 for all else."""
    return lr if lr is not None else 0.01 if _is_phase(energy) else 0.02


def _stalled() -> StoppingRule:
    """The papers' rule for first-order minimizers, and a bound."""
    return Fluctuation(1e-10, 10) | Steps(20_000)


def _optimizer(name: str) -> Callable[..., Method]:
    """A first-order minimizer on the states, with the papers' learning rates and stopping rule."""

    def build(energy: BaseEnergy, tolerance: float, lr: float | None = None, **options: Any) -> Method:
        # The papers give no rate for gradient descent; without one it is that of the class.
        rate = lr if name == "sgd" else _rate(energy, lr)
        return Direct(first_order(name, rate, **options), _stalled(), name=name)

    return build


def _network(label: str, kind: str = "GCN", **fixed: Any) -> Callable[..., Method]:
    """A two-stage scheme with a network of the papers' sizes."""

    def build(
        energy: BaseEnergy,
        tolerance: float,
        lr: float | None = None,
        optimizer: str = "adam",
        switch: int | None = None,
        matched_start: bool = False,
        max_steps: int = 20_000,
        **options: Any,
    ) -> Method:
        from evenflow import reparametrization

        phase = _is_phase(energy)
        network = getattr(reparametrization, kind)(**{"hidden": 10 if phase else 16, **fixed, **options})
        steps = switch if switch is not None else 100 if phase else None
        return TwoStage(
            network,
            optimizer=optimizer,
            lr=_rate(energy, lr),
            switch=Steps(steps) if steps is not None else Fluctuation(1e-2, 10),
            matched_start=matched_start,
            max_steps=max_steps,
            name=label,
        )

    return build


def _series(energy: BaseEnergy, tolerance: float, lr: float | None = None, **options: Any) -> Method:
    from evenflow.reparametrization import Series

    return Direct(first_order("adam", _rate(energy, lr)), _stalled(), Series(**options), name="series")


def _whitened(energy: BaseEnergy, tolerance: float, lr: float | None = None, **options: Any) -> Method:
    from evenflow.reparametrization import Whitening

    rate = lr if lr is not None else 0.02
    return Direct(first_order("adam", rate), _stalled(), Whitening(**options), name="whitened-adam")


def _flow(energy: BaseEnergy, tolerance: float, **options: Any) -> Method:
    from evenflow.minimizer import RungeKutta4

    return Direct(RungeKutta4(**options), settled(tolerance) | Steps(200_000), name="rk4")


def _alone(minimizer: Minimizer, tolerance: float, name: str = "") -> Direct:
    """A minimizer on the states, with the stopping rule of its kind."""
    if minimizer.needs_hvp:
        stop: StoppingRule = Decrement(tolerance) | Plateau(0.0, 20) | Steps(10_000)
    elif minimizer.monotone:
        stop = settled(tolerance) | Steps(100_000)
    else:
        stop = _stalled()
    return Direct(minimizer, stop, name=name or minimizer.name)


def _lbfgs(preconditioner: str | None, name: str) -> Callable[..., Method]:
    def build(energy: BaseEnergy, tolerance: float, **options: Any) -> Method:
        from evenflow.minimizer import LBFGS
        from evenflow.preconditioner import build_preconditioner

        inverse = None if preconditioner is None else build_preconditioner(preconditioner, energy)
        # The Hessian of several components is rarely definite, and what is left of it a worse guide.
        source = "products" if energy.components > 1 else "hessian"
        return _alone(LBFGS(preconditioner=inverse, **({"source": source} | options)), tolerance, name)

    return build


def _ncg(energy: BaseEnergy, tolerance: float, **options: Any) -> Method:
    from evenflow.minimizer import NonlinearCG

    return _alone(NonlinearCG(**options), tolerance)


def _newton(preconditioner: str | None, name: str) -> Callable[..., Method]:
    def build(energy: BaseEnergy, tolerance: float, **options: Any) -> Method:
        from evenflow.minimizer import NewtonCG
        from evenflow.preconditioner import build_preconditioner

        inverse = None if preconditioner is None else build_preconditioner(preconditioner, energy)
        return _alone(NewtonCG(preconditioner=inverse, **({"enough": tolerance} | options)), tolerance, name)

    return build


def _auto(energy: BaseEnergy, tolerance: float, **options: Any) -> Method:
    return Auto(**options)


_ENTRIES = [
    MethodEntry(
        "auto", "picks, watches and escalates: cheap Newton first, a preconditioner when it pays", "evenflow", _auto
    ),
    MethodEntry(
        "adam", "Adam on the states, compiled; the papers' baseline", "Kingma & Ba, ICLR 2015", _optimizer("adam")
    ),
    MethodEntry("rmsprop", "RMSProp on the states, compiled", "Hinton, lecture 6e, 2012", _optimizer("rmsprop")),
    MethodEntry("sgd", "gradient descent, with momentum=... heavy ball", "Polyak, 1964", _optimizer("sgd")),
    MethodEntry("adagrad", "AdaGrad on the states, compiled", "Duchi et al., JMLR 2011", _optimizer("adagrad")),
    MethodEntry("rk4", "the gradient flow by Runge-Kutta of order 4, dt = 2 / lambda_max", _LOG, _flow),
    MethodEntry(
        "gcn", "two stages: Adam on a one-layer graph convolution, then on the states", _LOG, _network("gcn", layers=1)
    ),
    MethodEntry("gcn-2", "the same with two layers", _LOG, _network("gcn-2", layers=2)),
    MethodEntry("gcn-3", "the same with three layers", _LOG, _network("gcn-3", layers=3)),
    MethodEntry("gcn-res", "one layer, every level joined to the last map", _LOG, _network("gcn-res", residual=True)),
    MethodEntry("nograph", "the same network without the graph", _LOG, _network("nograph", propagation="none")),
    MethodEntry(
        "nograph-res",
        "without the graph, every level joined",
        _LOG,
        _network("nograph-res", propagation="none", residual=True),
    ),
    MethodEntry("gat", "graph attention, one head", f"{_LOG}; Velickovic et al., ICLR 2018", _network("gat", "GAT")),
    MethodEntry(
        "graph-network",
        "message passing by two node networks, mean aggregation",
        f"{_LOG}; Battaglia et al., 2018",
        _network("graph-network", "GraphNetwork"),
    ),
    MethodEntry(
        "series", "Adam through the truncated series of (I - A_s)^(-1/2)", f"{_LOG}, coefficients corrected", _series
    ),
    MethodEntry(
        "whitened-adam",
        "Adam through a sparse Cholesky factor of the curvature (or large-steps)",
        "Nicolet, Jacobson & Jakob, SIGGRAPH Asia 2021",
        _whitened,
    ),
    MethodEntry("lbfgs", "limited-memory BFGS, strong Wolfe, compiled", "Liu & Nocedal, 1989", _lbfgs(None, "lbfgs")),
    MethodEntry(
        "lbfgs-chol",
        "L-BFGS whose first inverse Hessian is a sparse Cholesky solve",
        "ASE and Optim.jl, 2016",
        _lbfgs("cholesky", "lbfgs-chol"),
    ),
    MethodEntry(
        "lbfgs-mg",
        "L-BFGS whose first inverse Hessian is a multigrid cycle",
        "ASE, 2016",
        _lbfgs("multigrid", "lbfgs-mg"),
    ),
    MethodEntry("ncg", "preconditioned nonlinear conjugate gradients", "Hager & Zhang, 2005", _ncg),
    MethodEntry(
        "newton-cg",
        "trust-region Newton, Jacobi-preconditioned inner solve",
        "Steihaug, 1983; Toint, 1981",
        _newton("jacobi", "newton-cg"),
    ),
    MethodEntry(
        "newton-mg",
        "trust-region Newton, multigrid inner solve",
        "evenflow; Notay, 2010",
        _newton("multigrid", "newton-mg"),
    ),
    MethodEntry(
        "newton-chol",
        "trust-region Newton, sparse Cholesky inner solve",
        "evenflow",
        _newton("cholesky", "newton-chol"),
    ),
]

METHODS: dict[str, MethodEntry] = {entry.name: entry for entry in _ENTRIES}
"""All named methods, in the order in which they are explained."""


def build_method(method: str | Method | Minimizer, energy: BaseEnergy, tolerance: float, **options: Any) -> Method:
    """Turn a name and options, or a bare minimizer, into a method.

    Raises
    ------
    InputError
        If the name or an option is unknown.
    """
    if not isinstance(method, str) and isinstance(method, Method | Minimizer):
        if options:
            raise InputError(f"options {sorted(options)} go with a method's name; set them on the {method.name} object")
        return method if isinstance(method, Method) else _alone(method, tolerance)
    if not isinstance(method, str):
        raise InputError(f"method={method!r}: expected a name, a method or a minimizer")
    if method not in METHODS:
        import difflib

        near = difflib.get_close_matches(str(method), METHODS, n=1)
        hint = f"did you mean {near[0]!r}? Known" if near else "known"
        raise InputError(f"method={method!r} is unknown; {hint}: {', '.join(METHODS)}")
    try:
        return METHODS[method].build(energy, tolerance, **options)
    except TypeError as error:
        raise InputError(f"method={method!r} does not take these options {sorted(options)}: {error}") from error
