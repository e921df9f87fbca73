"""Auto: picks, watches, escalates, falls back, and says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenflow.energy.base import BaseEnergy
from evenflow.method.base import Method, settled
from evenflow.solve import Plan, Stage
from evenflow.status import Status
from evenflow.stopping import Decrement, GradientNorm, Plateau, Steps

if TYPE_CHECKING:
    from evenflow.preconditioner.base import Preconditioner

__all__ = ["Auto"]

_POOR_STEPS = 2  # on end that gain less than half of what they promised
_ROUNDS = 6  # of L-BFGS out of a region where Newton does not get on before it is left to finish alone
# Inner iterations before a preconditioner is built, about what a solve with it takes in all, measured: on small graphs,
# beyond, and where the graph is nearly a tree or neighbours of neighbours share a term.
_SMALL = 4_000
_PATIENCE_SMALL, _PATIENCE_LARGE, _PATIENCE_SHORT = 150, 95, 40
_FALLEN = 0.03  # of the gradient, when Newton is tried again
# Steps of L-BFGS before Newton is tried, where products cost gradients, with a preconditioner and without, and where
# nodes have several states: then Newton is rarely better.
_FIRST, _FIRST_ALONE, _FIRST_OF_SEVERAL = 100, 200, 10_000
_SURELY = 0.1  # of the tolerance, where L-BFGS alone says that it is met
_CHOLESKY_SIZE = 20_000  # unknowns; beyond, the fill of a factor outweighs what it saves over a multigrid cycle


@dataclass
class Auto(Method):
    """Newton with the cheapest inner solve that does, and L-BFGS where the energy is not convex.

    1. Trust-region Newton. Its inner conjugate gradients begin with the diagonal of the Hessian; when they have
       taken about ``patience`` iterations, or an inner solve converges slowly, the preconditioner is built: graph
       multigrid, or sparse Cholesky where a node of a small graph has several states. It is built at once where
       many nodes are far from everything that holds them, or tied to one neighbour, and on a large forest.
    2. Where only terms of single nodes are not quadratic, the inner solves know them to fourth order, and if multigrid
       is built at once, the first step is nested iteration, coarsest level first.
    3. Where an inner solve meets negative curvature, the step is not made (it would cost many products and leap
       to some far basin): L-BFGS takes over until the gradient has fallen thirtyfold; then Newton again. So it
       does where two steps on end gain less than half of what their models foretold.
    4. After six such rounds, or where Newton breaks down, L-BFGS finishes.

    An energy whose sparse Hessian takes many products, or is not to be had (torch code), and one whose nodes have
    several states, is begun by L-BFGS, which mostly finishes it: preconditioned by multigrid for the graph's Laplacian
    and a diagonal that fit products with the Hessian. After 100 steps (10 000 where nodes have several states, 200
    where there is no graph to build a preconditioner from) Newton takes over. Where the graph tells little of the
    energy, and the preconditioner costs Newton iterations instead of sparing them, the diagonal takes its place.

    Where neighbours of neighbours share a term and half of all nodes are near any, L-BFGS does it all: there the
    Hessian is nearly dense, and the energy well conditioned.

    Parameters
    ----------
    patience : int, optional
        Inner iterations with the diagonal before a preconditioner is built: 150 up to 4 000 unknowns, 95 beyond, 40 on
        a graph of more than 4 000 that is nearly a tree, and where neighbours of neighbours share a term. About what a
        solve with one costs.
    preconditioner : Preconditioner, optional
        To use instead of the one chosen.
    name : str
    """

    patience: int | None = None
    preconditioner: Preconditioner | None = None
    name: str = "auto"

    def plan(self, energy: BaseEnergy, tolerance: float) -> Plan:
        """Yield Newton and L-BFGS stages as the reports ask for them."""
        from evenflow.minimizer.lbfgs import LBFGS
        from evenflow.minimizer.newton_cg import NewtonCG

        inverse, remark = self._choose(energy)
        first = self._first(energy, tolerance)
        if first is not None:
            report = yield first
            if report.steps > 0 and report.status is Status.CONVERGED:
                return remark
        patience = self._wait(energy) if self.patience is None else self.patience
        for _ in range(_ROUNDS):
            newton = NewtonCG(
                inverse, patience=patience, enough=tolerance, follow_negative_curvature=False, poor_steps=_POOR_STEPS
            )
            report = yield Stage(newton, stop=Decrement(tolerance) | Plateau(0.0, 20), name="newton")
            if report.status in (Status.CONVERGED, Status.PLATEAU):
                return remark
            why = "far from quadratic" if report.status is Status.NOT_QUADRATIC else "not convex"
            remark = f"{why} on the way, so L-BFGS took turns with Newton"
            yield Stage(LBFGS(), stop=GradientNorm(relative=_FALLEN) | settled(tolerance), name="lbfgs")
        yield Stage(LBFGS(), stop=settled(tolerance), name="lbfgs")
        return remark

    def _first(self, energy: BaseEnergy, tolerance: float) -> Stage | None:
        """A stage of L-BFGS, where Newton costs more, or its preconditioner is a worse guide."""
        from evenflow.minimizer.lbfgs import LBFGS

        surely = settled(_SURELY * tolerance)
        if energy.components > 1 or not energy.sparse_hessian or energy.costly_hessian:
            if energy.graph is None:
                return Stage(LBFGS(), stop=surely | Steps(_FIRST_ALONE), name="lbfgs")
            from evenflow.preconditioner import build_preconditioner

            inverse = self.preconditioner or build_preconditioner("multigrid", energy)
            steps = Steps(_FIRST if energy.components == 1 else _FIRST_OF_SEVERAL)
            lbfgs = LBFGS(preconditioner=inverse, source="products", check_saddle=True)
            return Stage(lbfgs, stop=surely | steps, name="lbfgs")
        return Stage(LBFGS(), stop=surely, name="lbfgs") if self._is_nearly_dense(energy) else None

    @staticmethod
    def _is_nearly_dense(energy: BaseEnergy) -> bool:
        """Whether neighbours of neighbours share a term and few steps lead anywhere."""
        if energy.graph is None or energy.reach == 1:
            return False
        from evenflow.preconditioner.growth import is_close_knit

        indptr, indices, _ = energy.graph.rows
        return is_close_knit(indptr.astype(np.uint32), indices.astype(np.uint32))

    @staticmethod
    def _wait(energy: BaseEnergy) -> int:
        """About what a preconditioner costs, in inner iterations with the diagonal."""
        graph, small = energy.graph, energy.size <= _SMALL
        thin = graph is not None and graph.n_edges < 1.25 * graph.n_nodes  # most is eliminated, which costs little
        if energy.reach > 1 or (thin and not small):
            return _PATIENCE_SHORT
        return _PATIENCE_SMALL if small else _PATIENCE_LARGE

    def _choose(self, energy: BaseEnergy) -> tuple[Preconditioner | None, str]:
        """The preconditioner to build if one pays, and a remark on the choice."""
        from evenflow.preconditioner import build_preconditioner

        if self.preconditioner is not None:
            return self.preconditioner, f"preconditioner: {self.preconditioner.name}, as asked"
        if energy.graph is None:
            return None, "no graph, so no preconditioner"
        name = "cholesky" if energy.components > 1 and energy.size <= _CHOLESKY_SIZE else "multigrid"
        return build_preconditioner(name, energy), ""
