"""The experiments by name. A new one is one file and one entry here."""

from __future__ import annotations

from evenflow.errors import InputError
from evenflow.experiment.base import Experiment

__all__ = ["EXPERIMENTS", "experiment"]

_TELEPORT = "Symmetry Teleportation for Accelerated Optimization, NeurIPS 2022"

EXPERIMENTS: dict[str, Experiment] = {
    entry.name: entry
    for entry in (
        Experiment(
            "teleport-functions",
            "Rosenbrock, Booth, ellipse and quadratics: gradient descent with and without teleports",
            f"{_TELEPORT}, section 6.1, figures 2 and 7, propositions 5.5 to 5.7",
            "evenflow.experiment.teleport_functions:run",
            seeds=200,
            quick_seeds=50,
        ),
        Experiment(
            "teleport-regression",
            "three-layer regression, GD and AdaGrad, every group, beside the released code's leak",
            f"{_TELEPORT}, section 6.1, figure 3",
            "evenflow.experiment.teleport_regression:run",
        ),
        Experiment(
            "teleport-sweep",
            "the same regression: speed-up over the grid of inner step lengths and numbers of inner steps",
            f"{_TELEPORT}, appendix D.2, figure 8",
            "evenflow.experiment.teleport_sweep:run",
            quick_seeds=2,
        ),
        Experiment(
            "teleport-mnist",
            "MNIST classifier with SGD, AdaGrad, momentum, RMSProp and Adam: training and validation curves",
            f"{_TELEPORT}, section 6.1, figure 4",
            "evenflow.experiment.teleport_mnist:run",
        ),
        Experiment(
            "teleport-schedule",
            "MNIST with SGD: which epoch, which interval, how many batches to teleport on",
            f"{_TELEPORT}, section 6.2, figure 5",
            "evenflow.experiment.teleport_schedule:run",
            quick_seeds=3,
        ),
        Experiment(
            "teleport-runtime",
            "run time of teleports against width, depth and batch, with fitted exponents",
            f"{_TELEPORT}, section 6.3, figure 6",
            "evenflow.experiment.teleport_runtime:run",
            quick_seeds=3,
        ),
    )
}


def experiment(name: str) -> Experiment:
    """An experiment by name.

    Raises
    ------
    InputError
        If the name is unknown.

    Examples
    --------
    >>> experiment("teleport-mnist").seeds
    5
    """
    if name not in EXPERIMENTS:
        raise InputError(f"experiment {name!r} is not known, expected one of: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]
