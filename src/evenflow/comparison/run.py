"""compare: the same starts, the same clock and the same judge for every method."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evenflow.comparison.harness import Entry, Harness
from evenflow.comparison.machine import machine_info
from evenflow.comparison.outcome import Comparison
from evenflow.comparison.own import OwnMethod
from evenflow.comparison.peers.base import Peer
from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError

if TYPE_CHECKING:
    from evenflow.method import Method
    from evenflow.minimizer import Minimizer

__all__ = ["compare"]


def compare(
    energy: BaseEnergy,
    methods: Sequence[str | Method | Minimizer | Peer],
    targets: Sequence[float] = (1e-4, 1e-6, 1e-8),
    seeds: int | Sequence[int] = (0,),
    w0: npt.ArrayLike | None = None,
    *,
    max_seconds: float = 60.0,
    reference: float | None = None,
    repeats: int = 5,
    warmup_seconds: float = 5.0,
    tune_seconds: float | None = None,
    matched_starts: bool = True,
    clock: str = "wall",
    command: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run methods and peers from the same starts and measure the time to common gaps.

    Each method hands its points to a recorder that stops the clock, evaluates the energy itself (on a copy that
    the method never sees) and starts the clock again; a run ends at the smallest target, at ``max_seconds``, or
    by the method's own rule. Set-up is on the clock. A first call with nothing measured pays for compilation and
    is reported apart, and so is the choice of knobs.

    Parameters
    ----------
    energy : BaseEnergy
    methods : sequence of str, Method, Minimizer or Peer
        Names of :data:`evenflow.method.METHODS` or of :data:`evenflow.comparison.PEERS`, or objects.
    targets : sequence of float
        Relative gaps (E - E*) / abs(E*).
    seeds : int or sequence of int
        Starts ``energy.initial(numpy.random.default_rng(seed))``; a number N means 0 .. N - 1.
    w0 : array_like, optional
        One start for all seeds instead.
    max_seconds : float
        Limit of each run.
    reference : float, optional
        E*. Without one: the energy's own ``reference()`` where a solve attains it, else the lowest energy of
        all runs and of an unmeasured solve by ``auto`` from every start.
    repeats : int
        Runs under a second are repeated this many times in alternating order, and medians are reported. Unless it is 1,
        brief runs are repeated until they have taken a twentieth of a second, at most ten times as often.
    warmup_seconds : float
        Limit of the unmeasured first call of each method.
    tune_seconds : float, optional
        Limit of each trial of a peer with knobs; ``max_seconds / 8`` by default.
    matched_starts : bool
        False lets networks begin at their own random parameters, as in the papers, instead of fitting the start
        (which is on the clock); all other methods still share their starts.
    clock : {"wall", "cpu"}
        Seconds that pass, or seconds of this process on all its threads (steadier on a busy machine when
        everything runs on one thread).
    command : str, optional
        Template of the command that reruns a row, with ``{method}``, ``{seed}`` and ``{seeds}`` (= seed + 1).
    progress : callable, optional
        Told in a few words what runs next.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If an argument is at fault or a name is unknown.

    Examples
    --------
    >>> import evenflow as ef
    >>> energy = ef.HeatDiffusion(ef.gallery.lattice(5, 5), hot=[0], cold=[24])
    >>> outcome = ef.compare(energy, ["scipy-lbfgsb", "newton-superlu"], max_seconds=5.0, repeats=1)
    >>> [row.status for row in outcome.rows]
    ['reached', 'reached']
    """
    harness = Harness(
        energy,
        _starts(energy, seeds, w0),
        _targets(targets),
        max_seconds=_positive("max_seconds", max_seconds),
        tune_seconds=_positive("tune_seconds", max_seconds / 8 if tune_seconds is None else tune_seconds),
        clock=_clock(clock),
        tell=progress or (lambda text: None),
    )
    if w0 is not None and not matched_starts:
        raise InputError("matched_starts=False: with w0 given every method starts there; leave one of the two out")
    if repeats < 1:
        raise InputError(f"repeats={repeats}: expected at least 1")
    entries = [Entry(contestant) for contestant in _contestants(methods, min(harness.targets), matched_starts)]
    for entry in entries:
        entry.refusal = entry.peer.refuses(energy)
    kernels = harness.warm_energy()
    harness.warm(entries, warmup_seconds)
    harness.find_reference(reference)
    harness.tune(entries)
    harness.measure(entries, repeats)
    graph = energy.graph
    rerun = _command(command, harness, matched_starts)
    return Comparison(
        energy=energy.name,
        graph={}
        if graph is None
        else {"nodes": graph.n_nodes, "edges": graph.n_edges, "components": graph.components[0]},
        targets=harness.targets,
        reference=harness.reference,
        reference_source=harness.source,
        scale=harness.scale,
        pass_seconds=harness.pass_seconds(),
        energy_warmup_seconds=kernels,
        clock=clock,
        max_seconds=max_seconds,
        machine=machine_info(),
        tunings={entry.name: entry.peer.tuning for entry in entries if not isinstance(entry.peer, OwnMethod)},
        rows=[harness.row(entry, seed, rerun) for entry in entries for seed in harness.starts],
    )


def _contestants(methods: Sequence[str | Method | Minimizer | Peer], target: float, matched: bool) -> list[Peer]:
    """Names and objects as peers."""
    from evenflow.comparison.peers import PEERS
    from evenflow.method import METHODS, Method
    from evenflow.minimizer import Minimizer

    if isinstance(methods, str) or not methods:
        raise InputError(f"methods={methods!r}: expected a list with at least one method or peer")
    contestants: list[Peer] = []
    for method in methods:
        if isinstance(method, Peer):
            contestants.append(method)
        elif isinstance(method, Method | Minimizer):
            contestants.append(OwnMethod(method, method.name, _ask(method, target), matched))
        elif method in PEERS:
            contestants.append(PEERS[method])
        elif method in METHODS:
            contestants.append(OwnMethod(method, method, _ask(method, target), matched))
        else:
            names = ", ".join([*METHODS, *PEERS])
            raise InputError(f"methods: {method!r} is neither a method nor a peer; there are {names}")
    labels = [c.label if isinstance(c, OwnMethod) else c.name for c in contestants]
    if len(set(labels)) < len(labels):
        raise InputError(f"methods={labels}: every method may be named only once")
    return contestants


def _ask(method: str | Method | Minimizer, target: float) -> float:
    """The tolerance that a recipe is given, so that no estimate of what is left stops it short of the target.

    Newton's is an upper bound, and its inner solves aim at it; others extrapolate their last decreases, and the
    tolerance does nothing but stop them.
    """
    name = method if isinstance(method, str) else method.name
    return target if name == "auto" or name.startswith("newton") else 0.01 * target


def _starts(energy: BaseEnergy, seeds: int | Sequence[int], w0: npt.ArrayLike | None) -> dict[int, FloatArray]:
    """One start for each seed, the same for all methods."""
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not numbers:
        raise InputError(f"seeds={seeds!r}: expected at least one")
    if w0 is not None:
        start = energy.impose(w0)
        return dict.fromkeys(numbers, start)
    return {seed: energy.impose(energy.initial(np.random.default_rng(seed))) for seed in numbers}


def _targets(targets: Sequence[float]) -> tuple[float, ...]:
    """Descending, positive."""
    values = tuple(sorted((float(target) for target in targets), reverse=True))
    if not values or not all(0 < value < math.inf for value in values):
        raise InputError(f"targets={targets!r}: expected positive relative gaps such as 1e-6")
    return values


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise InputError(f"{name}={value}: expected a positive number of seconds")
    return float(value)


def _clock(name: str) -> Callable[[], float]:
    clocks = {"wall": time.perf_counter, "cpu": time.process_time}
    if name not in clocks:
        raise InputError(f"clock={name!r}: expected 'wall' or 'cpu'")
    return clocks[name]


def _command(template: str | None, harness: Harness, matched: bool) -> Callable[[str, int], str]:
    """Text that reruns one row."""
    if template is not None:
        return lambda method, seed: template.format(method=method, seed=seed, seeds=seed + 1)
    rest = f"targets={harness.targets}, max_seconds={harness.max_seconds:g}" + (
        "" if matched else ", matched_starts=False"
    )
    return lambda method, seed: f"evenflow.compare(energy, [{method!r}], seeds=[{seed}], {rest})"
