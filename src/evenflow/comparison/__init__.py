"""Honest comparison of methods and of solvers from outside.

:func:`compare` runs them, :class:`Comparison` holds the outcome, :data:`PEERS` lists the solvers from outside.
"""

from __future__ import annotations

from evenflow.comparison.outcome import Comparison, Row
from evenflow.comparison.own import OwnMethod
from evenflow.comparison.peers import PEERS, Peer
from evenflow.comparison.recorder import Recorder, StopRun
from evenflow.comparison.run import compare

__all__ = ["PEERS", "Comparison", "OwnMethod", "Peer", "Recorder", "Row", "StopRun", "compare"]
