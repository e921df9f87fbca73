"""Training runs on MNIST that the experiments share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from evenflow.io.dataset import load_mnist
from evenflow.teleport import Teleporter, TeleportingOptimizer
from evenflow.teleport.schedule import Schedule

__all__ = ["OPTIMIZERS", "Curves", "Digits", "Recipe", "load_digits", "train"]

BATCH = 20
SLOPE = 0.1
# Learning rates: SGD and AdaGrad are ours (the paper's are lost); the others are those of the authors' later code.
OPTIMIZERS: dict[str, Callable[[Any, float], torch.optim.Optimizer]] = {
    "SGD": lambda p, k: torch.optim.SGD(p, lr=2e-3 * k),
    "AdaGrad": lambda p, k: torch.optim.Adagrad(p, lr=2e-3 * k),
    "momentum": lambda p, k: torch.optim.SGD(p, lr=1e-3 * k, momentum=0.9),
    "RMSProp": lambda p, k: torch.optim.RMSprop(p, lr=1e-4 * k),
    "Adam": lambda p, k: torch.optim.Adam(p, lr=1e-4 * k),
}


@dataclass(frozen=True)
class Digits:
    """Images (n, 784) float32 in [0, 1] and labels, split into training and validation."""

    x: torch.Tensor
    y: torch.Tensor
    x_valid: torch.Tensor
    y_valid: torch.Tensor


@dataclass(frozen=True)
class Recipe:
    """One way to train.

    Parameters
    ----------
    optimizer : str
        A key of ``OPTIMIZERS``.
    group : str or None
        Group of the teleports; None for none.
    schedule : callable, optional
        When to teleport.
    epochs : int
        Number of epochs.
    width : int
        Width of both hidden layers.
    lr_factor : float
        Multiplies the learning rate.
    """

    optimizer: str
    group: str | None
    schedule: Schedule | None
    epochs: int
    width: int
    lr_factor: float = 1.0


@dataclass
class Curves:
    """Per epoch, the state before training first: losses, accuracies, gradient norm on the evaluation images."""

    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    valid_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    reports: list[Any] = field(default_factory=list)


def load_digits(train_size: int, valid_size: int) -> Digits:
    """The first images of the training set, split as the paper does (48 000 and 12 000 in full)."""
    mnist = load_mnist()
    x = torch.from_numpy(mnist.train_images.reshape(len(mnist.train_images), -1).astype(np.float32) / 255.0)
    y = torch.from_numpy(mnist.train_labels.astype(np.int64))
    end = train_size + valid_size
    return Digits(x[:train_size], y[:train_size], x[train_size:end], y[train_size:end])


def build(width: int, generator: torch.Generator) -> nn.Sequential:
    """Three layers with LeakyReLU and biases, uniform in +-1/sqrt(fan-in)."""
    model = nn.Sequential(
        nn.Linear(784, width), nn.LeakyReLU(SLOPE), nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, 10)
    )
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                for p in layer.parameters():
                    p.copy_((2.0 * torch.rand(p.shape, generator=generator) - 1.0) * bound)
    return model


def train(digits: Digits, recipe: Recipe, seed: int) -> Curves:
    """Train once; evaluation is off the clock."""
    generator = torch.Generator().manual_seed(seed)
    model = build(recipe.width, generator)
    base = OPTIMIZERS[recipe.optimizer](model.parameters(), recipe.lr_factor)
    steps_per_epoch = len(digits.x) // BATCH
    optimizer = base
    if recipe.group is not None and recipe.schedule is not None:
        optimizer = TeleportingOptimizer(
            base, Teleporter(model, group=recipe.group), recipe.schedule, steps_per_epoch=steps_per_epoch
        )
    curves, spent = Curves(), 0.0
    _evaluate(model, digits, curves, spent)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(digits.x), generator=generator)
        began = time.perf_counter()
        for k in range(steps_per_epoch):
            picked = order[k * BATCH : (k + 1) * BATCH]
            _step(model, optimizer, digits.x[picked], digits.y[picked])
        spent += time.perf_counter() - began
        _evaluate(model, digits, curves, spent)
    if isinstance(optimizer, TeleportingOptimizer):
        curves.reports = optimizer.reports
    return curves


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    if isinstance(optimizer, TeleportingOptimizer):
        optimizer.teleport(lambda: cross_entropy(model(x), y))
    optimizer.zero_grad()
    torch.autograd.backward(cross_entropy(model(x), y))
    optimizer.step()


def _evaluate(model: nn.Module, digits: Digits, curves: Curves, seconds: float) -> None:
    with torch.no_grad():
        curves.train_loss.append(float(cross_entropy(model(digits.x), digits.y)))
        logits = model(digits.x_valid)
        curves.valid_loss.append(float(cross_entropy(logits, digits.y_valid)))
        curves.valid_accuracy.append(float((logits.argmax(1) == digits.y_valid).float().mean()))
    curves.seconds.append(seconds)
