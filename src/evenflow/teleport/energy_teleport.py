"""EnergyTeleport: teleportation of the states of an energy, between the steps of a solve."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.teleport.group import SymmetryGroup
from evenflow.teleport.level_set import climb_level_set
from evenflow.teleport.report import TeleportReport
from evenflow.teleport.search import SearchOptions
from evenflow.teleport.teleporter import Teleporter

__all__ = ["EnergyTeleport"]


class EnergyTeleport:
    """Move w along a level set of an energy to where the gradient is larger.

    Without a group it climbs the level set with Hessian-vector products, which works for every energy; with one it
    searches the group's orbit. The energy is kept within ``energy_tol``, or w comes back unchanged.

    Parameters
    ----------
    group : SymmetryGroup, optional
        A symmetry of the energy, acting on the list of one tensor of the shape of w; None for the level set.
    inner_steps : int
        Steps of the search.
    step : float
        As for :class:`Teleporter`.
    max_gain : float, optional
        Cap on the growth of the squared gradient norm; by default 10, and none for groups with bounded orbits.
    energy_tol : float
        Largest accepted relative change of the energy.

    Examples
    --------
    >>> import numpy as np
    >>> from evenflow.energy.base import BaseEnergy
    >>> class Valley(BaseEnergy):
    ...     shape = (2,)
    ...     stiffness = np.array([1.0, 9.0])
    ...     def value(self, w): return float(self.stiffness @ (w * w))
    ...     def value_and_gradient(self, w, out=None): return self.value(w), 2 * self.stiffness * w
    ...     def hvp(self, w, v): return 2 * self.stiffness * v
    ...     def torch_value(self, w): return (torch.as_tensor(self.stiffness) * w * w).sum()
    ...     def initial(self, rng): return rng.standard_normal(2)
    >>> w, report = EnergyTeleport().teleport(Valley(), np.array([3.0, 0.3]))
    >>> report.accepted, report.gain > 2.0, round(Valley().value(w), 6)
    (True, True, 9.81)
    """

    def __init__(
        self,
        group: SymmetryGroup | None = None,
        *,
        inner_steps: int = 10,
        step: float = 0.1,
        max_gain: float | None = None,
        energy_tol: float = 1e-9,
    ) -> None:
        self.group, self.max_gain = group, max_gain
        self.options = SearchOptions(
            inner_steps=inner_steps,
            step=step,
            normalize=True,
            max_gain=10.0 if max_gain is None else max_gain,
            loss_tol=energy_tol,
        )

    def at(self, steps: Iterable[int]) -> Callable[[BaseEnergy, FloatArray, int], tuple[FloatArray, int] | None]:
        """Teleport before the given steps (from 0): the ``teleport=`` of a stage of evenflow's own loop.

        Parameters
        ----------
        steps : iterable of int

        Returns
        -------
        callable
            ``(energy, w, step) -> (w, evaluations)``, or None at other steps and where the teleport is rejected.
        """
        moments = frozenset(steps)

        def move(energy: BaseEnergy, w: FloatArray, step: int) -> tuple[FloatArray, int] | None:
            if step not in moments:
                return None
            moved, report = self.teleport(energy, w)
            return (moved, report.evaluations) if report.accepted else None

        return move

    def teleport(self, energy: BaseEnergy, w: FloatArray) -> tuple[FloatArray, TeleportReport]:
        """Teleport once.

        Parameters
        ----------
        energy : BaseEnergy
            Its ``hvp`` is used, or with a group its ``torch_value``.
        w : ndarray
            States; not changed.

        Returns
        -------
        w_new : ndarray
            New states; a copy of w if the teleport was rejected.
        report : TeleportReport
            What happened; the counts of the energy's own counters are not touched.

        Raises
        ------
        InputError
            If w has the wrong shape.
        """
        state = energy.impose(w)
        return self._along_level_set(energy, state) if self.group is None else self._along_orbit(energy, state)

    def _along_orbit(self, energy: BaseEnergy, state: FloatArray) -> tuple[FloatArray, TeleportReport]:
        assert self.group is not None
        x = torch.tensor(state, dtype=torch.float64, requires_grad=True)
        options = self.options
        teleporter = Teleporter(
            x,
            group=self.group,
            inner_steps=options.inner_steps,
            step=options.step,
            max_gain=self.max_gain,
            loss_tol=options.loss_tol,
        )
        report = teleporter.teleport(lambda: energy.torch_value(x))
        return x.detach().numpy().copy(), report

    def _along_level_set(self, energy: BaseEnergy, state: FloatArray) -> tuple[FloatArray, TeleportReport]:
        began = time.perf_counter()
        flat = _FlatEnergy(energy)
        start, gradient = flat.value_and_gradient(state.ravel())
        first = float(gradient @ gradient)
        found = climb_level_set(flat, state.ravel(), self.options)
        last = float(found.gradient @ found.gradient)
        report = TeleportReport(
            accepted=bool(found.steps > 0 and math.isfinite(last) and last > first),
            reason=found.reason,
            group="levelset",
            loss_before=start,
            loss_after=found.value,
            grad_sq_before=first,
            grad_sq_after=last,
            rate_before=first,
            rate_after=last,
            inner_steps=found.steps,
            evaluations=found.evaluations + 1,
            distance=found.distance,
            displacement=float(np.linalg.norm(found.x - state.ravel())),
        )
        report = replace(report, seconds=time.perf_counter() - began)
        if not report.accepted:
            return state.copy(), replace(report, reason=f"rejected: {found.reason}")
        return found.x.reshape(state.shape), replace(report, reason=f"accepted: {found.reason}")


class _FlatEnergy:
    """An energy as a function of one flat vector."""

    def __init__(self, energy: BaseEnergy) -> None:
        self.energy = energy

    def value_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = self.energy.value_and_gradient(x.reshape(self.energy.shape))
        return value, gradient.ravel().copy()

    def hvp(self, x: FloatArray, v: FloatArray) -> FloatArray:
        shape = self.energy.shape
        return self.energy.hvp(x.reshape(shape), v.reshape(shape)).ravel().copy()
