"""Network: what the graph neural reparametrizations share; a subclass adds its layer."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numba import njit

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.errors import InputError
from evenflow.history import Counts
from evenflow.reparametrization.base import Reparametrization

__all__ = ["Network", "Parameters", "Shapes", "add_readout", "readout_gradient", "times_transposed"]

Parameters = dict[str, FloatArray]
Shapes = dict[str, tuple[int, ...]]
TWO_PI = 2.0 * math.pi
OUTPUTS = ("identity", "phase", "free")
LATENT_INITS = ("normal", "xavier", "uniform-phase")


@dataclass
class Network(Reparametrization):
    """Node states as the output of a graph network with trainable node embeddings.

    With the embedding Z, layers H_0 = Z, H_q = layer_q(H_{q-1}) and a linear readout,

        out = H_l Omega + omega,  or with ``residual``  out = [H_0 | H_1 | ... | H_l] Omega + omega,

    and w = out or, for phases, w = 2 pi sigmoid(out). All parameters lie in one flat vector theta, the
    matrices being views on it. Forward and backward passes are written out by hand: with a few thousand
    nodes they take less than half the time of automatic differentiation, and the energy itself is never
    differentiated through the network.

    Parameters
    ----------
    hidden : int
        Width of every hidden layer.
    layers : {1, 2, 3}
        Number of hidden layers.
    latent : int, optional
        Width of the embedding Z; ``hidden`` by default.
    residual : bool
        Whether the readout sees the embedding and every hidden layer.
    output : {"identity", "phase", "free"}, optional
        Output map: "phase" confines w to (0, 2 pi); "free" leaves phases unconfined, "identity" is the same for
        other states. By default "phase" for energies of phases (unit "rad"), else "identity".
    latent_init : {"normal", "xavier", "uniform-phase"}, optional
        Law of Z: N(0, 1/latent); uniform of half-width n^(1/d) sqrt(6 / (n + latent)); or uniform in [0, 2 pi).
        By default "uniform-phase" for energies of phases (unit "rad") [1]_, else "normal".
    encode_steps : int
        Most Adam steps of :meth:`encode`.
    encode_tolerance : float
        Root-mean-square error at which :meth:`encode` stops, relative to the range of w.
    encode_lr : float
        Learning rate of :meth:`encode`.

    References
    ----------
    .. [1] "Faster Optimization on Sparse Graphs via Neural Reparametrization", LoG 2024.
    """

    hidden: int = 16
    layers: int = 1
    latent: int | None = None
    residual: bool = False
    output: Literal["identity", "phase", "free"] | None = field(default=None, kw_only=True)
    latent_init: Literal["normal", "xavier", "uniform-phase"] | None = field(default=None, kw_only=True)
    encode_steps: int = field(default=2000, kw_only=True)
    encode_tolerance: float = field(default=0.01, kw_only=True)
    encode_lr: float = field(default=0.01, kw_only=True)

    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require(self.hidden >= 1, "hidden", self.hidden, "a positive width")
        _require(self.layers in (1, 2, 3), "layers", self.layers, "1, 2 or 3")
        _require(self.latent is None or self.latent >= 1, "latent", self.latent, "a positive width")
        _require(self.output in (None, *OUTPUTS), "output", self.output, f"one of {OUTPUTS}")
        _require(self.latent_init in (None, *LATENT_INITS), "latent_init", self.latent_init, f"one of {LATENT_INITS}")
        _require(self.encode_steps >= 0, "encode_steps", self.encode_steps, "a number of steps")
        _require(self.encode_tolerance > 0, "encode_tolerance", self.encode_tolerance, "a positive number")
        _require(self.encode_lr > 0, "encode_lr", self.encode_lr, "a positive number")

    # ------------------------------------------------------------------ layers, for subclasses

    @abstractmethod
    def _layer_shapes(self, h_in: int, h_out: int) -> Shapes:
        """Parameters of one layer, by name."""

    @abstractmethod
    def _prepare(self, energy: BaseEnergy) -> None:
        """Build the sparse operators of the layer."""

    @abstractmethod
    def _layer(self, own: Parameters, features: FloatArray) -> tuple[FloatArray, Any]:
        """Features of the next level, and what the backward pass needs of them."""

    @abstractmethod
    def _layer_backward(
        self, own: Parameters, features: FloatArray, tape: Any, gradient: FloatArray, out: Parameters
    ) -> FloatArray:
        """Write the gradients of the layer's parameters to ``out``; return that of its input.

        ``gradient`` may be overwritten.
        """

    # ------------------------------------------------------------------ contract

    def setup(self, energy: BaseEnergy, rng: np.random.Generator, counts: Counts) -> None:
        """Lay out the parameters and build the sparse operators."""
        self._shape, self.counts = energy.shape, counts
        self._nodes, self._width = energy.shape[0], energy.shape[1] if len(energy.shape) == 2 else 1
        phases = energy.unit == "rad"
        self._phase = (self.output or ("phase" if phases else "identity")) == "phase"
        self._latent_init = self.latent_init or ("uniform-phase" if phases else "normal")
        self._seen = range(self.layers + 1) if self.residual else (self.layers,)  # levels that the readout sees
        self._prepare(energy)
        self._layout = self._lay_out()
        self.size = sum(stop - start for level in self._layout for start, stop, _ in level.values())
        self._bound: FloatArray | None = None
        self._tape: list[Any] = []

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Draw Z by its law and every matrix as Xavier normal; biases are zero."""
        theta = np.zeros(self.size)
        for q, level in enumerate(self._views(theta)):
            for values in level.values():
                if q == 0:
                    self._draw_latent(values, rng)
                elif values.ndim == 2:
                    values[:] = rng.normal(scale=math.sqrt(2.0 / sum(values.shape)), size=values.shape)
        return theta

    def decode(self, theta: FloatArray) -> FloatArray:
        """Run the network forward and keep what :meth:`pullback` needs."""
        self.counts.forward += 1
        if theta is not self._bound:
            self._bound, self._levels = theta, self._views(theta)
        first, *middle, last = self._levels
        features, tape = [first["latent"]], []
        for own in middle:
            after, kept = self._layer(own, features[-1])
            features.append(after)
            tape.append(kept)
        out = np.tile(last["bias"], (self._nodes, 1))
        for q in self._seen:
            add_readout(features[q], last[f"readout{q}"], out)
        w = TWO_PI * _sigmoid(out) if self._phase else out
        self._tape = [features, tape, w]
        return w.reshape(self._shape)

    def pullback(self, theta: FloatArray, g_w: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Run the network backward from dE/dw; ``theta`` must be that of the last :meth:`decode`."""
        self.counts.backward += 1
        gradient = np.empty(self.size) if out is None else out
        features, tape, w = self._tape
        _, *middle, last = self._levels
        g_latent, *g_middle, g_last = self._views(gradient)
        g = np.ascontiguousarray(g_w).reshape(self._nodes, self._width)
        if self._phase:
            g = g * (w - w * w / TWO_PI)
        g_last["bias"][:] = g.sum(axis=0)
        for q in self._seen:
            readout_gradient(features[q], g, g_last[f"readout{q}"])
        below = _spread(g, last[f"readout{self.layers}"])
        for q in range(self.layers, 0, -1):
            below = self._layer_backward(middle[q - 1], features[q - 1], tape[q - 1], below, g_middle[q - 1])
            if self.residual:
                below += _spread(g, last[f"readout{q - 1}"])
        g_latent["latent"][:] = below
        return gradient

    def encode(self, w: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Fit the network to given states: the papers' prefit, which gives two methods the same start.

        Minimises the mean squared error with Adam from a random start until its root is below
        ``encode_tolerance`` times the range of w, or for ``encode_steps`` steps; :attr:`encode_error` tells the
        error reached. Phases are taken modulo 2 pi when the output map confines them.

        Raises
        ------
        InputError
            If w is not finite.
        """
        from evenflow.minimizer.update import adam

        target = np.asarray(w, dtype=np.float64)
        _require(bool(np.isfinite(target).all()), "w", "an array with non-finite entries", "finite states to encode")
        if self._phase:
            target = np.mod(target, TWO_PI)
        theta = self.initial(rng)
        best, self.encode_error = theta.copy(), math.inf
        gradient, mean, square = np.empty_like(theta), np.zeros_like(theta), np.zeros_like(theta)
        enough = self.encode_tolerance * (float(np.ptp(target)) or 1.0)
        for t in range(1, self.encode_steps + 2):
            difference = self.decode(theta) - target
            error = float(np.sqrt(np.mean(difference**2)))
            if error < self.encode_error:
                self.encode_error = error
                np.copyto(best, theta)
            if error <= enough or t > self.encode_steps:
                break
            self.pullback(theta, difference * (2.0 / difference.size), gradient)
            step = self.encode_lr / (1.0 - 0.9**t)
            adam(theta, gradient, mean, square, step, 0.9, 0.999, math.sqrt(1.0 - 0.999**t), 1e-8, math.inf)
        return best

    # ------------------------------------------------------------------ layout

    def _lay_out(self) -> list[dict[str, tuple[int, int, tuple[int, ...]]]]:
        """Place of every parameter in theta: (start, stop, shape) by level and name."""
        latent = self.latent or self.hidden
        widths = [latent] + [self.hidden] * self.layers
        levels: list[Shapes] = [{"latent": (self._nodes, latent)}]
        levels += [self._layer_shapes(a, b) for a, b in itertools.pairwise(widths)]
        levels.append({f"readout{q}": (widths[q], self._width) for q in self._seen} | {"bias": (self._width,)})
        layout, start = [], 0
        for level in levels:
            placed = {}
            for name, shape in level.items():
                stop = start + math.prod(shape)
                placed[name] = (start, stop, shape)
                start = stop
            layout.append(placed)
        return layout

    def _views(self, theta: FloatArray) -> list[Parameters]:
        """Parameters by level and name, as views on theta."""
        return [
            {name: theta[start:stop].reshape(shape) for name, (start, stop, shape) in level.items()}
            for level in self._layout
        ]

    def _draw_latent(self, latent: FloatArray, rng: np.random.Generator) -> None:
        """Fill the embedding by its law."""
        nodes, width = latent.shape
        if self._latent_init == "normal":
            latent[:] = rng.normal(scale=width**-0.5, size=latent.shape)
        elif self._latent_init == "uniform-phase":
            latent[:] = rng.uniform(0.0, TWO_PI, size=latent.shape)
        else:
            bound = nodes ** (1.0 / self._width) * math.sqrt(6.0 / (nodes + width))
            latent[:] = rng.uniform(-bound, bound, size=latent.shape)


# The products below are small, and many BLAS builds hand them to several threads, which gains nothing at these
# sizes and costs milliseconds wherever a thread must wait for a busy core.


def times_transposed(gradient: FloatArray, weight: FloatArray) -> FloatArray:
    """Multiply by weight.T; a contiguous transpose keeps narrow layers on one BLAS thread."""
    return gradient @ np.ascontiguousarray(weight.T)


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def add_readout(features: FloatArray, readout: FloatArray, out: FloatArray) -> None:
    """Add features @ readout, shapes (n, h) and (h, d) with small d, to out."""
    for k in range(readout.shape[1]):
        for i in range(features.shape[0]):
            total = 0.0
            for c in range(features.shape[1]):
                total += features[i, c] * readout[c, k]
            out[i, k] += total


@njit(cache=True, nogil=True)
def readout_gradient(features: FloatArray, gradient: FloatArray, out: FloatArray) -> None:
    """Write features.T @ gradient, shapes (n, h) and (n, d) with small d, to out."""
    out[:] = 0.0
    for k in range(gradient.shape[1]):
        for i in range(features.shape[0]):
            for c in range(features.shape[1]):
                out[c, k] += features[i, c] * gradient[i, k]


def _spread(gradient: FloatArray, readout: FloatArray) -> FloatArray:
    """Pull a gradient, shape (n, d), back through a readout, shape (h, d); an outer product if d = 1."""
    return gradient * readout.T if readout.shape[1] == 1 else gradient @ readout.T


def _sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    from scipy.special import expit

    return expit(x)


def _require(fits: bool, name: str, value: object, expected: str) -> None:
    """Refuse an option out of its range."""
    if not fits:
        raise InputError(f"{name}={value!r}: expected {expected}")
