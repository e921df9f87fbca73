"""Watch: whether a preconditioner is worth building yet, and when it has to be refreshed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evenflow.minimizer.metric import Metric
from evenflow.minimizer.model import Model
from evenflow.minimizer.remoteness import remoteness
from evenflow.minimizer.steihaug import End, Steihaug
from evenflow.preconditioner.growth import is_close_knit
from evenflow.preconditioner.ties import spans_decades

__all__ = ["Watch"]

_REMOTE = 0.3  # share of remote nodes above which the diagonal is not even tried
_SMALL = 2_000  # unknowns up to which building costs more than trying the diagonal
_THIN = 4.0  # entries a row up to which most unknowns are eliminated, and building costs little
_SMALL_THIN = 500  # the same there
_LARGE_FOREST = 30_000  # unknowns from which a forest is solved directly at once
_TELLING = 8  # iterations of an inner solve whose rate of convergence is believed
_WORSE = 2.0  # times the iterations for a digit that the diagonal took in its first, loose solves
_DIGITS = 5.0  # of the residual's norm that are still to be gained where the solve does not know


@dataclass
class Watch:
    """The books of the inner solves, which say when a metric no longer does.

    Parameters
    ----------
    patience : int
        About what building the preconditioner costs, in inner iterations.
    growth : float
        Of the inner iterations for a digit, beside those after the last refresh, that calls for another.

    Attributes
    ----------
    spent : int
        Inner iterations while the preconditioner waits.
    rate : float
        Inner iterations for a digit of the residual in the first solve after the last refresh; 0 before it.
    pace : float
        Inner iterations for a digit in the last solve with the diagonal; nan before it.
    surveyed : bool
        Whether the graph was looked at.
    """

    patience: int
    growth: float
    spent: int = 0
    rate: float = 0.0
    pace: float = math.nan
    surveyed: bool = False

    @property
    def left(self) -> int:
        """Inner iterations that the diagonal still has."""
        return max(self.patience - self.spent, 1)

    @property
    def trial(self) -> int:
        """Those until it is judged: slow solves are seen sooner."""
        return min(self.left, max(self.patience // 2, _TELLING))

    def grant(self, solver: Steihaug) -> int:
        """How many iterations in all a solve with the diagonal may have, after those of the trial."""
        return solver.iterations if self._is_slow(solver, self.spent + solver.iterations) else self.left

    def _is_slow(self, solver: Steihaug, spent: int) -> bool:
        """Whether a solve with the diagonal foretells that patience, ``spent`` so far, will not do for what is left."""
        digits = _DIGITS if math.isnan(solver.digits) else solver.digits
        return solver.iterations >= _TELLING and spent + digits * solver.pace > self.patience

    def survey(self, metric: Metric, model: Model, *, lasting: bool) -> None:
        """Once: end the waiting if the diagonal need not be tried.

        So many nodes are remote or tied then, or the graph is a large forest. Couplings that are not ``lasting``, but
        change with the state, are first moved to where they stay, by a few cheap steps; only where most nodes are
        eliminated a preconditioner costs no more.
        """
        if self.surveyed or not metric.waiting or model.hessian is None:
            return
        size = model.hessian.shape[0]
        thin = len(model.hessian.data) <= _THIN * size
        if size <= (_SMALL_THIN if thin else _SMALL) or not (lasting or thin):
            return
        assert model.rows is not None
        self.surveyed = True
        rows, data = model.rows, model.hessian.data
        forest = size >= _LARGE_FOREST and len(data) < 3 * size  # fewer edges than nodes
        far = remoteness(rows, data, _REMOTE) > _REMOTE and not is_close_knit(rows.indptr, rows.indices)
        metric.waiting = not (forest or far or spans_decades(rows.indptr, rows.indices, data))

    def judge(self, solver: Steihaug, metric: Metric, *, measured: bool) -> bool:
        """After an inner solve: whether the metric is to be refreshed, or no longer to wait.

        Parameters
        ----------
        solver : Steihaug
        metric : Metric
        measured : bool
            Whether the drift of the matrix that a diagonal is taken from is measured at every step.
        """
        if solver.end in (End.BOUNDARY, End.NEGATIVE, End.STALE):  # far from any minimum the diagonal does
            return solver.end is End.STALE
        if metric.waiting:
            self.spent += solver.iterations
            metric.waiting = self.spent < self.patience and not self._is_slow(solver, self.spent)
            self.pace = solver.pace
            return not metric.waiting
        if not metric.is_diagonal and solver.iterations >= _TELLING and solver.pace > _WORSE * self.pace:
            metric.fall_back("takes more iterations")
            self.rate = 0.0
            return False
        if metric.is_identity or (metric.is_diagonal and measured) or math.isnan(solver.ratio):
            return False
        rate = solver.iterations / max(-math.log10(max(solver.reduction, 1e-300)), 0.1)
        if self.rate == 0.0:
            self.rate = max(rate, 2.0)
            return False
        return rate > self.growth * self.rate
