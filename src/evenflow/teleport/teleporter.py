"""Teleporter: moves the parameters of a model along a level set of its loss to a larger gradient."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from evenflow.errors import InputError
from evenflow.teleport.chain import Chain
from evenflow.teleport.coordinate import CoordinateSymmetry
from evenflow.teleport.data_linear import DataLinear
from evenflow.teleport.general_linear import GeneralLinear
from evenflow.teleport.group import Orbit, SymmetryGroup
from evenflow.teleport.level_set import climb_level_set
from evenflow.teleport.network_group import NetworkGroup
from evenflow.teleport.objective import Evaluation, Objective, distance, write
from evenflow.teleport.outgoing_linear import OutgoingLinear
from evenflow.teleport.report import TeleportReport
from evenflow.teleport.scaling import PositiveScaling
from evenflow.teleport.search import (
    Outcome,
    SearchOptions,
    angle_search,
    ascend,
    best_point,
    random_search,
)

__all__ = ["NETWORK_GROUPS", "Teleporter"]

Closure = Callable[[], torch.Tensor]
Target = nn.Module | torch.Tensor | Sequence[nn.Module] | Sequence[torch.Tensor]

NETWORK_GROUPS: dict[str, type[NetworkGroup]] = {
    group.name: group for group in (PositiveScaling, GeneralLinear, OutgoingLinear, DataLinear)
}
LOSS_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
CONDITION_LIMIT = {torch.float32: 1e6, torch.float64: 1e12}


class Teleporter:
    """Search the symmetries of a loss for the parameters with the largest gradient at the same loss.

    Everything happens in place on the parameters that the model already has, and nothing happens unless the loss
    is kept, the gradient grows, and its growth stays below a cap: otherwise the parameters are put back bit for bit.

    Parameters
    ----------
    target : nn.Module, list of nn.Module, Tensor, or list of Tensor
        The model; or its layers in forward order, for groups that act between layers of a model whose order cannot
        be seen; or plain parameters, for test functions.
    group : str or SymmetryGroup
        ``"scale"``: positive factor for each neuron of ReLU-like networks, exact on all data. ``"gl"``: GL(d) between
        the layers of networks with bijective activations, exact on the batch if it is no larger than the widths.
        ``"gl_out"``: the same on the outgoing weights, for any activation. ``"data"``: GL on the inputs, kept in a
        :class:`DataMap`. ``"levelset"``: no group, any architecture. Or a group of your own.
    update : {"minimal", "paper"}
        Whether weights outside the span of the batch survive (minimal) or are erased as the paper's formula does.
    search : {"auto", "ascent", "random"}
        ``"auto"``: closed form where there is one, exact angle for rotations of a plane, else ascent.
    inner_steps : int
        Steps of the search.
    step : float
        Length of a step: Frobenius norm of the Lie-algebra element, over all layers jointly; for ``"levelset"`` the
        wanted growth of log |g|; for ``"random"`` the spread of the draws.
    normalize : bool
        If False, the step is ``step`` times the plain gradient, as in the papers.
    max_gain : float, optional
        Cap on the growth of the squared gradient norm: by default 10, and none for groups with bounded orbits.
    loss_tol : float, optional
        Largest accepted relative change of the loss; 1e-5 in float32 and 1e-9 in float64.
    rank_check : bool
        Whether a batch larger than a width, or an ill-conditioned one, is refused.
    generator : torch.Generator, optional
        Source of randomness for ``search="random"``; and if given with ``search="ascent"`` on a compact group, the
        start of the ascent is drawn from it.

    Raises
    ------
    InputError
        If the group cannot act on the model: the message names the layer and the group that would serve.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> x, y = torch.randn(16, 6), torch.randn(16, 1)
    >>> report = Teleporter(model, group="scale").teleport(lambda: ((model(x) - y) ** 2).mean())
    >>> report.accepted, report.gain > 1.0, report.loss_change <= 1e-5
    (True, True, True)
    """

    def __init__(
        self,
        target: Target,
        *,
        group: str | SymmetryGroup = "scale",
        update: str = "minimal",
        search: str = "auto",
        inner_steps: int = 10,
        step: float = 0.1,
        normalize: bool = True,
        max_gain: float | None = None,
        loss_tol: float | None = None,
        rank_check: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        _check_options(search, inner_steps, step, max_gain, loss_tol, generator)
        self.modules, self.parameters = _parts(target)
        self.search, self.rank_check, self.generator = search, rank_check, generator
        self.group: SymmetryGroup | None = None
        if isinstance(group, SymmetryGroup):
            self.group = group
        elif group in NETWORK_GROUPS:
            if not self.modules:
                raise InputError(f"group {group!r} acts on the layers of a network, and target holds bare tensors")
            chain = Chain.of(target if isinstance(target, nn.Module) else self.modules)
            self.group = NETWORK_GROUPS[group](chain, update=update, rank_check=rank_check)
        elif group != "levelset":
            known = ", ".join(repr(g) for g in [*NETWORK_GROUPS, "levelset"])
            raise InputError(f"group = {group!r}, expected one of {known}, or a SymmetryGroup")
        dtype = self.parameters[0].dtype
        bounded = self.group is not None and self.group.compact
        self.options = SearchOptions(
            inner_steps=inner_steps,
            step=step,
            normalize=normalize,
            max_gain=max_gain if max_gain is not None else (math.inf if bounded else 10.0),
            loss_tol=loss_tol if loss_tol is not None else LOSS_TOLERANCE.get(dtype, 1e-3),
        )
        self._chain_checked = False

    @property
    def group_name(self) -> str:
        """Name of the group, or ``"levelset"``."""
        return "levelset" if self.group is None else self.group.name

    def teleport(
        self,
        closure: Closure,
        *,
        learning_rates: Sequence[torch.Tensor | float] | None = None,
        max_curvature: float = math.inf,
    ) -> TeleportReport:
        """Teleport once.

        Parameters
        ----------
        closure : callable
            Returns the loss on one fixed batch, without backward; must not be random.
        learning_rates : sequence of Tensor or float, optional
            Diagonal learning rates eta, one for each parameter: the search then maximises ``sum(eta * g**2)``, the
            rate at which the loss will fall, instead of ``|g|^2``.
        max_curvature : float
            Largest curvature of the loss along the descent direction that a searched point may have, unless it had
            more before: gradient steps of length eta go on without overshooting if it is 1/eta. Closed forms and exact
            angles go to the best point regardless.

        Returns
        -------
        TeleportReport
            Accepted or not, why, and what was measured.

        Raises
        ------
        InputError
            If the closure is random or does not fit the model, or the batch does not fit the group.
        """
        began = self._now()
        movable = self._movable()
        extra = [t for t in movable if not t.requires_grad]
        objective = Objective(closure, self.parameters, learning_rates, extra)
        buffers = [b for module in self.modules for b in module.buffers()]
        kept_buffers = [b.detach().clone() for b in buffers]
        kept = [p.detach().clone() for p in self.parameters]
        kept_movable = [t.detach().clone() for t in movable]
        moved = False
        options = replace(self.options, max_curvature=max_curvature)
        try:
            report = self._search(objective, closure, kept, options)
            moved = report.accepted
        finally:
            # whatever happened: running statistics as they were, parameters moved only by an accepted teleport
            held = [b for b in zip(buffers, kept_buffers, strict=True) if not any(b[0] is t for t in movable)]
            write([b for b, _ in held], [v for _, v in held])
            if not moved:
                write(self.parameters, kept)
                write(movable, kept_movable)
        if moved:
            for p in self.parameters:
                p.grad = None
        return replace(report, seconds=self._now() - began, evaluations=max(report.evaluations, objective.evaluations))

    def _movable(self) -> list[torch.Tensor]:
        if isinstance(self.group, NetworkGroup):
            return self.group.tensors
        return self.parameters

    def _search(
        self, objective: Objective, closure: Closure, kept: Sequence[torch.Tensor], options: SearchOptions
    ) -> TeleportReport:
        start = objective.evaluate()
        again = objective.loss()
        limit = max(0.1 * self.options.loss_tol, 10.0 * torch.finfo(self.parameters[0].dtype).eps)
        if math.isfinite(start.loss) and abs(again - start.loss) > limit * max(abs(start.loss), 1e-300):
            raise InputError(
                f"the closure is random: it returned {start.loss!r} and then {again!r} for the same parameters; "
                "fix the batch, and call model.eval() if dropout is active"
            )
        blank = TeleportReport(
            False, "", self.group_name, start.loss, start.loss, start.grad_sq, start.grad_sq, start.rate, start.rate
        )
        if not (math.isfinite(start.loss) and math.isfinite(start.rate)):
            return replace(blank, reason="the loss or its gradient is not finite before the teleport")
        if start.rate == 0.0:
            return replace(blank, reason="the gradient is zero: nothing to enlarge")
        if self.group is None:
            return self._judge(blank, self._climb(objective, kept, options), start, kept)
        inputs = self._inputs(closure)
        orbit = self.group.orbit([t.detach().clone() for t in self._movable()], inputs)
        blank = replace(blank, layers=dict(orbit.checks()))
        worst = self._ill_conditioned(orbit)
        if worst is not None:
            return replace(blank, reason=worst)
        before = self._outputs(inputs)
        outcome = self._run(orbit, objective, start, options)
        report = self._judge(blank, outcome, start, kept)
        after = self._outputs(inputs)
        if before is None or after is None:
            return report
        error = float((after - before).abs().max()) / max(float(before.abs().max()), 1e-300)
        return replace(report, output_error=error)

    def _run(self, orbit: Orbit, objective: Objective, start: Evaluation, options: SearchOptions) -> Outcome:
        assert self.group is not None
        tensors = self._movable()
        if self.search == "random":
            assert self.generator is not None
            return random_search(self.group, orbit, tensors, objective, start, options, self.generator)
        if self.search == "auto" and objective.learning_rates is None:
            found = best_point(orbit, tensors, objective)
            if found is not None:
                return found
        if self.search == "auto" and self.group.plane and isinstance(self.group, CoordinateSymmetry):
            return angle_search(self.group, orbit, tensors, objective, start, options)
        element = None
        if self.generator is not None and self.group.compact:
            element = self.group.random(self.generator, math.pi, tensors[0])
        return ascend(self.group, orbit, tensors, objective, start, options, element)

    def _climb(self, objective: Objective, kept: Sequence[torch.Tensor], options: SearchOptions) -> Outcome:
        if objective.learning_rates is not None:
            raise InputError('learning_rates serve groups only; for group="levelset" leave them out')
        flat = _Flat(objective)
        result = climb_level_set(flat, torch.cat([p.reshape(-1) for p in kept]), options)
        flat.put(result.x)
        grad_sq = float(result.gradient @ result.gradient)
        found = Evaluation(result.value, grad_sq, grad_sq, None, [], [])
        return Outcome(found, result.steps, result.distance, result.reason)

    def _judge(
        self, blank: TeleportReport, outcome: Outcome, start: Evaluation, kept: Sequence[torch.Tensor]
    ) -> TeleportReport:
        """Fill in what was reached and accept it if the loss is kept and the gradient grew within the cap."""
        end = outcome.evaluation
        change = abs(end.loss - start.loss) / max(abs(start.loss), 1e-300)
        report = replace(
            blank,
            loss_after=end.loss,
            grad_sq_after=end.grad_sq,
            rate_after=end.rate,
            inner_steps=outcome.steps,
            distance=outcome.distance,
            displacement=distance(self.parameters, kept),
        )
        if not (math.isfinite(end.loss) and math.isfinite(end.rate)):
            return replace(report, reason="rejected: the loss or its gradient became infinite or not a number")
        if not change <= self.options.loss_tol:
            return replace(
                report,
                reason=f"rejected: the loss changed by {change:.2e} relative, more than loss_tol = "
                f"{self.options.loss_tol:g}; does it depend on the weights other than through the outputs "
                "(a weight penalty), or is the batch larger than a width?",
            )
        if not end.rate > start.rate:
            return replace(report, reason=f"rejected: no larger gradient was found ({outcome.reason})")
        if not end.rate <= self.options.max_gain * start.rate:
            return replace(report, reason=f"rejected: the gradient grew beyond max_gain = {self.options.max_gain:g}")
        return replace(report, accepted=True, reason=f"accepted: {outcome.reason}")

    def _inputs(self, closure: Closure) -> torch.Tensor | None:
        if not isinstance(self.group, NetworkGroup):
            return None
        self.group.chain.check_dropout()
        if self.group.exact_on == "all data" and self._chain_checked:
            return None
        inputs = self.group.chain.capture(closure)
        self._chain_checked = True
        return inputs

    def _outputs(self, inputs: torch.Tensor | None) -> torch.Tensor | None:
        if inputs is None or not isinstance(self.group, NetworkGroup) or self.group.name == "data":
            return None
        return self.group.chain.hidden(inputs)[0][-1]

    def _ill_conditioned(self, orbit: Orbit) -> str | None:
        if not self.rank_check:
            return None
        limit = CONDITION_LIMIT.get(self.parameters[0].dtype, 1e3)
        for name, check in orbit.checks().items():
            if check.rank < min(check.samples, check.width) or check.condition > limit:
                return (
                    f"refused: the input of layer {name!r} has rank {check.rank} for {check.samples} samples and "
                    f"condition {check.condition:.1e} (limit {limit:.0e}); use fewer or more distinct samples, or "
                    'group="scale"'
                )
        return None

    def _now(self) -> float:
        device = self.parameters[0].device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()


class _Flat:
    """The objective as a function of one flat vector."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def put(self, x: torch.Tensor) -> None:
        """Write a flat vector into the parameters."""
        write(self.objective.parameters, list(self._split(x)))

    def _split(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        at = 0
        for p in self.objective.parameters:
            yield x[at : at + p.numel()].view_as(p)
            at += p.numel()

    def value_and_gradient(self, x: torch.Tensor) -> tuple[float, torch.Tensor]:
        self.put(x)
        found = self.objective.evaluate()
        return found.loss, torch.cat([g.reshape(-1) for g in found.gradient])

    def hvp(self, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        self.put(x)
        return torch.cat([d.reshape(-1) for d in self.objective.hvp(list(self._split(v)))])


def _parts(target: Target) -> tuple[list[nn.Module], list[torch.Tensor]]:
    """Modules and trainable parameters of a target."""
    items = [target] if isinstance(target, nn.Module | torch.Tensor) else list(target)
    modules = [item for item in items if isinstance(item, nn.Module)]
    if modules and len(modules) != len(items):
        raise InputError("target mixes modules and tensors; pass the model, its layers, or its tensors")
    found = [p for m in modules for p in m.parameters()] if modules else [t for t in items if torch.is_tensor(t)]
    parameters = list({id(p): p for p in found if p.requires_grad}.values())
    if not parameters:
        raise InputError("target has no trainable parameter (requires_grad=True)")
    kinds = {(p.dtype, p.device) for p in parameters}
    if len(kinds) > 1:
        raise InputError(f"the parameters have several dtypes or devices, {sorted(map(str, kinds))}; expected one")
    if any(not p.is_leaf for p in parameters):
        raise InputError("target has a tensor that is not a leaf; pass the parameter itself")
    return modules, parameters


def _check_options(
    search: str,
    inner_steps: int,
    step: float,
    max_gain: float | None,
    loss_tol: float | None,
    generator: torch.Generator | None,
) -> None:
    if search not in ("auto", "ascent", "random"):
        raise InputError(f"search = {search!r}, expected 'auto', 'ascent' or 'random'")
    if search == "random" and generator is None:
        raise InputError("search = 'random' draws elements: pass generator=torch.Generator().manual_seed(...)")
    if inner_steps < 1:
        raise InputError(f"inner_steps = {inner_steps}, expected at least 1")
    if not step > 0.0:
        raise InputError(f"step = {step!r}, expected positive")
    if max_gain is not None and not max_gain > 1.0:
        raise InputError(f"max_gain = {max_gain!r}, expected above 1: the gradient is meant to grow")
    if loss_tol is not None and not loss_tol > 0.0:
        raise InputError(f"loss_tol = {loss_tol!r}, expected positive")
