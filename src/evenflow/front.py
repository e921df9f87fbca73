"""The front door: minimize, resume, minimize_many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evenflow.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.memory import keep_freed_memory
from evenflow.method import DEFAULT_TOLERANCE, Method, build_method
from evenflow.minimizer import Minimizer
from evenflow.progress import ProgressBar
from evenflow.result import Observables, Result
from evenflow.solve import Budget, Snapshot, Solve

__all__ = ["minimize", "minimize_many", "resume"]

_ROUND_OFF = 1e-30  # a relative gap that no estimate of it meets before the energy's round-off does

Callback = Callable[[Snapshot], Any]


def minimize(
    energy: BaseEnergy,
    w0: Any = None,
    *,
    method: str | Method | Minimizer = "auto",
    seed: int = 0,
    tolerance: float | None = None,
    gtol: float | None = None,
    target: float | None = None,
    max_seconds: float | None = None,
    max_iterations: int | None = None,
    max_evaluations: int | None = None,
    callback: Callback | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | None = None,
    every: int = 100,
    **options: Any,
) -> Result:
    """Minimise an energy.

    Parameters
    ----------
    energy : BaseEnergy
    w0 : array_like or torch.Tensor, shape (n,) or (n, d), optional
        Start. Without one, ``energy.initial(numpy.random.default_rng(seed))``, or the papers' own network start
        for the network methods.
    method : str, Method or Minimizer
        A name of ``evenflow methods``, a recipe such as :class:`TwoStage`, or a minimizer, to work on the states alone.
    seed : int
        Of everything random. Same seed, same result.
    tolerance : float, optional
        Relative energy gap to leave, as estimated by the method (default 1e-11).
    gtol : float, optional
        Stop when the Euclidean norm of the gradient falls to this; without a ``tolerance`` beside it, no estimate
        of the gap stops the solve before.
    target : float, optional
        Stop also when the energy falls to this.
    max_seconds, max_iterations, max_evaluations : float or int, optional
        Budgets; the best point so far is returned when one is spent.
    callback : callable, optional
        Called after every step with a snapshot (step, stage, seconds, energy, gradient_norm, w), off the clock.
        Returning True or raising StopIteration stops the solve.
    progress : bool, optional
        Show a progress line on standard error; by default only on a terminal.
    checkpoint : path, optional
        File to which the solve is saved every ``every`` steps and when it ends, for :func:`resume`.
    every : int
    **options
        Options of a method given by name (``lr=0.05``, ``hidden=32`` ...).

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If an argument is at fault or the start is not finite.

    Examples
    --------
    >>> import evenflow as ef
    >>> energy = ef.HeatDiffusion(ef.gallery.lattice(10, 10), hot=[0], cold=[99])
    >>> result = ef.minimize(energy)
    >>> result.status.name, round(result.energy, 4) == round(ef.minimize(energy, method="lbfgs").energy, 4)
    ('CONVERGED', True)
    """
    if not isinstance(energy, BaseEnergy):
        raise InputError(
            f"energy={energy!r}: expected an evenflow energy; wrap a torch function in evenflow.TorchEnergy, "
            "or write a local one with evenflow.Energy"
        )
    default = DEFAULT_TOLERANCE if gtol is None else _ROUND_OFF
    gap = default if tolerance is None else float(tolerance)
    if not 0 < gap < 1:
        raise InputError(f"tolerance={tolerance}: expected a relative energy gap between 0 and 1")
    if every < 1:
        raise InputError(f"every={every}: expected a number of steps of at least 1")
    recipe = build_method(method, energy, gap, **options)
    start, torch_like = _start(w0, energy)
    budget = {
        "target": target, "gtol": gtol, "max_seconds": max_seconds, "max_iterations": max_iterations,
        "max_evaluations": max_evaluations,
    }  # fmt: skip
    settings = {"seed": seed, "tolerance": gap, "every": every, "budget": budget}
    solve, remark = _carry_out(energy, recipe, settings, checkpoint, callback, progress, start=start)
    return _result(solve, recipe, remark, torch_like)


def resume(
    path: str | Path,
    energy: BaseEnergy | None = None,
    *,
    callback: Callback | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | None = None,
    **budget: Any,
) -> Result:
    """Take up a solve from its checkpoint; on the CPU it continues bit for bit.

    Parameters
    ----------
    path : path
        A file written by ``minimize(..., checkpoint=path)``.
    energy : BaseEnergy, optional
        Needed only where the energy holds code that a file cannot (:class:`TorchEnergy`).
    callback, progress
        As in :func:`minimize`.
    checkpoint : path, optional
        Where to go on saving; by default ``path``.
    **budget
        New values of ``target``, ``gtol``, ``max_seconds``, ``max_iterations``, ``max_evaluations``; the others stay.
        Budgets count from the beginning of the whole solve.

    Raises
    ------
    FileFormatError
        If the file is truncated or foreign.
    """
    stored = read_checkpoint(path, energy)
    settings, recipe, found = stored.options, stored.method, stored.energy
    assert found is not None  # read_checkpoint refuses otherwise
    settings["budget"] = {**settings["budget"], **budget}
    place = path if checkpoint is None else checkpoint
    solve, remark = _carry_out(found, recipe, settings, place, callback, progress, stored=stored)
    return _result(solve, recipe, remark, None)


def minimize_many(
    energy: BaseEnergy,
    starts: int | Iterable[npt.ArrayLike],
    *,
    method: str | Method | Minimizer = "auto",
    seed: int = 0,
    n_jobs: int = 1,
    **options: Any,
) -> list[Result]:
    """Minimise from many starts, in parallel if asked; best first.

    Parameters
    ----------
    energy : BaseEnergy
    starts : int or iterable of array_like
        How many random starts (seeds ``seed``, ``seed + 1`` ...), or the starts themselves.
    method, seed, **options
        As in :func:`minimize`.
    n_jobs : int
        Worker threads (joblib; -1 for all cores); kernels release the interpreter lock.

    Returns
    -------
    list of Result
        One for each start, in ascending order of energy, failed ones last; ``result.seed`` tells which.

    Examples
    --------
    >>> import evenflow as ef
    >>> results = ef.minimize_many(ef.Kuramoto(ef.gallery.ring(12)), 4)
    >>> len(results), results[0].energy <= results[-1].energy
    (4, True)
    """
    from joblib import Parallel, delayed

    if isinstance(starts, (int, np.integer)):
        if starts < 1:
            raise InputError(f"starts={starts}: expected at least one")
        jobs: list[tuple[Any, int]] = [(None, seed + index) for index in range(int(starts))]
    else:
        jobs = [(start, seed + index) for index, start in enumerate(starts)]
    run = delayed(minimize)
    results: list[Result] = Parallel(n_jobs=n_jobs, prefer="threads")(
        run(energy, start, method=method, seed=number, progress=False, **options) for start, number in jobs
    )
    return sorted(results, key=lambda r: (r.status.failed, r.energy if math.isfinite(r.energy) else math.inf))


def _carry_out(
    energy: BaseEnergy,
    recipe: Method,
    settings: dict[str, Any],
    place: str | Path | None,
    callback: Callback | None,
    progress: bool | None,
    *,
    start: FloatArray | None = None,
    stored: Checkpoint | None = None,
) -> tuple[Solve, str]:
    """Run a recipe from a start or from a checkpoint, saving to ``place``; the solve and its closing remark."""
    keep_freed_memory()
    limits, every = Budget(**settings["budget"]), settings["every"]
    save = None if place is None else lambda solve: write_checkpoint(place, solve, recipe, settings)
    with ProgressBar(limits.max_iterations, enabled=progress) as bar:
        shown = bar if bar.active else None
        solve = Solve(energy, limits, seed=settings["seed"], callback=callback, progress=shown, save=save, every=every)
        if stored is not None:
            stored.load(solve)
        again = None if stored is None else stored.state
        return solve, solve.run(recipe.plan(energy, settings["tolerance"]), start, resume=again)


def _start(w0: Any, energy: BaseEnergy) -> tuple[FloatArray | None, Any]:
    """The start as float64, and the torch tensor it came from if it was one."""
    if w0 is None:
        return None, None
    torch_like = w0 if type(w0).__module__.partition(".")[0] == "torch" else None
    array = np.array(w0.detach().cpu().numpy() if torch_like is not None else w0, dtype=np.float64)
    if array.shape != energy.shape:
        raise InputError(f"w0 has shape {array.shape}, expected {energy.shape}: one state for each node")
    if not math.isfinite(np.vdot(array, array)) and not np.isfinite(array).all():  # the first is fast
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InputError(f"w0{where} is {array[tuple(where)]}: every state must be finite")
    return array, torch_like


def _result(solve: Solve, method: Method, remark: str, torch_like: Any) -> Result:
    """Put everything together; the last evaluation is off the clock and not counted."""
    w = solve.w
    if w is None or not solve.reports:
        raise InputError(f"method={method.name}: its plan has no stage")
    value, gradient = solve.energy.value_and_gradient(w)
    status = solve.reports[-1].status
    stages = ", then ".join(
        f"{report.name} {report.steps} step{'s' * (report.steps != 1)}" + (f" ({report.note})" if report.note else "")
        for report in solve.reports
    )
    message = f"{status.value}; {stages}" + (f"; {remark}" if remark else "")
    return Result(
        w=w if torch_like is None else torch_like.new_tensor(w),
        energy=float(value),
        gradient_norm=float(np.linalg.norm(gradient)),
        status=status,
        message=message,
        method=method.name,
        stages=solve.reports,
        history=solve.history,
        counts=solve.counts,
        seconds=solve.clock.seconds,
        setup_seconds=solve.setup_seconds,
        seed=solve.seed,
        report=Observables(solve.energy, w),
        problem=solve.energy,
    )
