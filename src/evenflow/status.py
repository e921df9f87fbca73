"""Status: why a stage or a solve ended, with advice."""

from __future__ import annotations

from enum import Enum

__all__ = ["Status"]


class Status(Enum):
    """Why a stage or a solve ended; the value is the advice shown to the user."""

    CONVERGED = "converged: the requested tolerance is met"
    TARGET = "stopped: the target energy is reached"
    PLATEAU = "stopped: the energy no longer changes; if it should, lower the rule's threshold or try another method"
    NOT_CONVEX = "stopped: the energy is not convex here; lbfgs or newton-cg go on from this point"
    NOT_QUADRATIC = "stopped: the energy is far from quadratic here; lbfgs goes on from this point"
    MAX_ITERATIONS = "stopped: the iteration budget is spent; raise max_iterations or resume from the checkpoint"
    MAX_EVALUATIONS = "stopped: the evaluation budget is spent; raise max_evaluations or resume from the checkpoint"
    DEADLINE = "stopped: the time budget is spent; raise max_seconds or resume from the checkpoint"
    STOPPED_BY_CALLBACK = "stopped: the callback asked for it"
    INTERRUPTED = "interrupted by the user; the best point so far is returned"
    LINE_SEARCH_FAILED = (
        "failed: no step along the search direction lowers the energy; the point may be at round-off level, "
        "or the gradient may be wrong (check it with evenflow.check_energy)"
    )
    NOT_FINITE = "failed: the energy became infinite or not a number; lower the learning rate or start elsewhere"
    BREAKDOWN = "failed: a preconditioner or inner solve broke down; try another method"

    @property
    def failed(self) -> bool:
        """Whether the solve went wrong, as against converged or stopped by a rule."""
        return self in (Status.LINE_SEARCH_FAILED, Status.NOT_FINITE, Status.BREAKDOWN)
