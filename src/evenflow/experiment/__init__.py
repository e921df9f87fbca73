"""Experiments of the papers, run again by name: ``evenflow experiment run NAME``."""

from __future__ import annotations

from evenflow.experiment.base import Experiment, Outcome, Setting, Table
from evenflow.experiment.registry import EXPERIMENTS, experiment
from evenflow.experiment.run import run_experiment

__all__ = ["EXPERIMENTS", "Experiment", "Outcome", "Setting", "Table", "experiment", "run_experiment"]
