"""Searches of a group orbit for the point with the largest gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evenflow.teleport.coordinate import CoordinateSymmetry
from evenflow.teleport.element import Element
from evenflow.teleport.group import Orbit, SymmetryGroup
from evenflow.teleport.objective import Evaluation, Objective, distance, write

__all__ = ["Outcome", "SearchOptions", "angle_search", "ascend", "best_point", "random_search"]

HALVINGS = 6
GRID = 360
STUCK = "no further step raises the gradient below the caps with the loss kept"
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True)
class SearchOptions:
    """How the orbit is searched.

    Parameters
    ----------
    inner_steps : int
        Largest number of accepted steps (or of random tries).
    step : float
        Frobenius norm of T in one step if ``normalize``, else the factor of the gradient; spread of random tries.
    normalize : bool
        Whether T = step G / |G| rather than step G.
    max_gain : float
        Largest allowed growth of the objective.
    loss_tol : float
        Largest allowed relative change of the loss.
    max_curvature : float
        Largest allowed curvature along the descent direction (:attr:`Evaluation.curvature`), unless it was larger at
        the start, which is then the limit.
    """

    inner_steps: int
    step: float
    normalize: bool
    max_gain: float
    loss_tol: float
    max_curvature: float = math.inf


@dataclass
class Outcome:
    """What a search found; the tensors stand at the best point when it returns."""

    evaluation: Evaluation
    steps: int
    distance: float
    reason: str


def keeps(trial: Evaluation, start: Evaluation, options: SearchOptions) -> bool:
    """Whether the loss is kept and everything is finite."""
    if not (math.isfinite(trial.loss) and math.isfinite(trial.rate)):
        return False
    return abs(trial.loss - start.loss) <= options.loss_tol * max(abs(start.loss), 1e-300)


def ceiling_of(first: Evaluation, options: SearchOptions) -> float:
    """The largest curvature to accept; a start beyond the limit is only kept from getting worse."""
    return max(options.max_curvature, first.curvature) if not math.isnan(first.curvature) else options.max_curvature


def _try(
    objective: Objective, tensors: Sequence[torch.Tensor], point: Sequence[torch.Tensor], ascent: bool = False
) -> Evaluation:
    write(tensors, point)
    return objective.evaluate(ascent=ascent)


def ascend(
    group: SymmetryGroup,
    orbit: Orbit,
    tensors: Sequence[torch.Tensor],
    objective: Objective,
    start: Evaluation,
    options: SearchOptions,
    element: Element | None = None,
) -> Outcome:
    """Normalised gradient ascent on the group, every step checked.

    A step exp(T) is taken if the objective grows, stays below ``max_gain`` times its first value, and the loss is
    kept; otherwise T is halved, at most six times. The derivative by T is the Hessian-vector product H g of the loss,
    pulled back through the action: one double backward, however many layers.
    """
    g = group.identity(tensors[0]) if element is None else element
    point = [p.detach() for p in orbit.at(g)]
    current = _try(objective, tensors, point, ascent=True)
    ceiling = ceiling_of(current, options)
    steps, travelled, reason = 0, 0.0, "all inner steps were taken"
    while steps < options.inner_steps:
        if not keeps(current, start, options):
            reason = f"the loss is not kept at the start of the search (relative change above {options.loss_tol:g})"
            break
        G = _pull_back(group, orbit, g, tensors, objective, current)
        norm = math.sqrt(sum(float(d.square().sum()) for d in G)) if G is not None else 0.0
        if G is None or not math.isfinite(norm) or norm <= 1e-300:
            reason = "the gradient norm is stationary on the orbit"
            break
        factor = options.step / norm if options.normalize else options.step
        taken = None
        for _ in range(HALVINGS + 1):
            candidate = Element.exp([factor * d for d in G]) @ g
            trial_point = [p.detach() for p in orbit.at(candidate)]
            trial = _try(objective, tensors, trial_point, ascent=True)
            within = trial.rate <= options.max_gain * start.rate and not trial.curvature > ceiling
            if keeps(trial, start, options) and trial.rate > current.rate and within:
                taken = candidate, trial_point, trial
                break
            factor *= 0.5
        if taken is None:
            reason = STUCK
            break
        travelled += distance(taken[1], point)
        g, point, current = taken
        steps += 1
    write(tensors, point)
    return Outcome(current, steps, travelled, reason)


def _pull_back(
    group: SymmetryGroup,
    orbit: Orbit,
    element: Element,
    tensors: Sequence[torch.Tensor],
    objective: Objective,
    current: Evaluation,
) -> list[torch.Tensor] | None:
    """Derivative of the objective by T at exp(T) element, T = 0, as a member of the Lie algebra."""
    if current.ascent is None:
        return None
    known = {id(p): d for p, d in zip(objective.movable, current.ascent, strict=True)}
    T = group.zeros(tensors[0])
    with torch.enable_grad():
        moved = orbit.at(element.nudged(T))
        terms = [(p * known[id(t)]).sum() for p, t in zip(moved, tensors, strict=True) if id(t) in known]
        found = torch.autograd.grad(torch.stack(terms).sum(), T, allow_unused=True)
    return group.project([torch.zeros_like(t) if d is None else d for d, t in zip(found, T, strict=True)])


def best_point(orbit: Orbit, tensors: Sequence[torch.Tensor], objective: Objective) -> Outcome | None:
    """The closed-form best point of the orbit, or None if it has none."""
    found = orbit.best()
    if found is None:
        return None
    travelled = distance(found, tensors)
    return Outcome(_try(objective, tensors, found), 1, travelled, "the best point of the orbit is known")


def angle_search(
    group: CoordinateSymmetry,
    orbit: Orbit,
    tensors: Sequence[torch.Tensor],
    objective: Objective,
    start: Evaluation,
    options: SearchOptions,
) -> Outcome:
    """Exact search of one angle: a grid over the circle, then a golden section around its best point."""
    begin = [t.detach().clone() for t in tensors]
    x = tensors[0]

    def rate(angle: float) -> float:
        turned = group.rotation(torch.tensor(angle, dtype=x.dtype, device=x.device))
        trial = _try(objective, tensors, orbit.at(turned))
        good = keeps(trial, start, options) and trial.rate <= options.max_gain * start.rate
        return trial.rate if good else -math.inf

    width = 2.0 * math.pi / GRID
    centre = max((k * width for k in range(GRID)), key=rate)
    low, high = centre - width, centre + width
    a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    rate_a, rate_b = rate(a), rate(b)
    while high - low > 1e-7:
        if rate_a > rate_b:
            high, b, rate_b = b, a, rate_a
            a = high - GOLDEN * (high - low)
            rate_a = rate(a)
        else:
            low, a, rate_a = a, b, rate_b
            b = low + GOLDEN * (high - low)
            rate_b = rate(b)
    best = max((centre, a, b), key=rate)
    point = orbit.at(group.rotation(torch.tensor(best, dtype=x.dtype, device=x.device)))
    return Outcome(_try(objective, tensors, point), 1, distance(point, begin), "the best angle was found")


def random_search(
    group: SymmetryGroup,
    orbit: Orbit,
    tensors: Sequence[torch.Tensor],
    objective: Objective,
    start: Evaluation,
    options: SearchOptions,
    generator: torch.Generator,
) -> Outcome:
    """The best of ``inner_steps`` random elements near the identity."""
    begin = [t.detach().clone() for t in tensors]
    best_found, best = begin, start
    bounded = math.isfinite(options.max_curvature)
    ceiling = ceiling_of(objective.evaluate(ascent=True), options) if bounded else math.inf
    for _ in range(options.inner_steps):
        point = [p.detach() for p in orbit.at(group.random(generator, options.step, tensors[0]))]
        trial = _try(objective, tensors, point, ascent=bounded)
        within = trial.rate <= options.max_gain * start.rate and not trial.curvature > ceiling
        if keeps(trial, start, options) and trial.rate > best.rate and within:
            best_found, best = point, trial
    write(tensors, best_found)
    steps = int(best is not start)
    return Outcome(best, steps, distance(best_found, begin), "the best of the random elements was taken")
