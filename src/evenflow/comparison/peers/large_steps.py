"""Large steps: gradient descent on u = (I + lambda L) w."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenflow.comparison.peers.base import Peer
from evenflow.energy.base import BaseEnergy, FloatArray

if TYPE_CHECKING:
    from evenflow.comparison.recorder import Recorder

__all__ = ["LargeSteps"]


@dataclass(frozen=True)
class LargeSteps(Peer):
    """Diffusion of the unknowns, driven by Adam with one step length for all of them [1]_.

    With L the graph Laplacian, w = (I + smoothing L)^-1 u; the factor is computed once. The second moment is
    replaced by its largest entry, so that all unknowns take steps of one scale ("AdamUniform").

    References
    ----------
    .. [1] Nicolet, Jacobson, Jakob: Large Steps in Inverse Rendering of Geometry, ACM TOG 40(6), 2021.
    """

    name: ClassVar[str] = "large-steps"
    description: ClassVar[str] = "Adam with a uniform scale on u, w = (I + s L)^-1 u, factor once (own code)"
    tuning: ClassVar[str] = (
        "best of lr 0.03, 0.1, 0.3, 1, 3 and s 1, 19 (the method's own), 300; compiled gradient; tuning time apart"
    )
    package: ClassVar[str] = "scipy"
    module: ClassVar[str] = "scipy"

    lr: float = 0.1
    smoothing: float = 19.0

    def candidates(self) -> Sequence[Peer]:
        """Learning rates and smoothing lengths."""
        return [LargeSteps(lr=lr, smoothing=s) for s in (1.0, 19.0, 300.0) for lr in (0.03, 0.1, 0.3, 1.0, 3.0)]

    def refuses(self, energy: BaseEnergy) -> str | None:
        """A graph with non-negative weights is needed."""
        if energy.graph is None:
            return "needs a graph for its Laplacian, and this energy has none"
        if (energy.graph.weights < 0).any():
            return "negative edge weights make I + s L indefinite"
        return super().refuses(energy)

    def run(self, run: Recorder, w0: FloatArray, seed: int) -> FloatArray:
        """Descend in u until the clock or the target says stop."""
        import scipy.sparse as sp
        from scipy.sparse.linalg import splu

        graph = run.energy.graph
        assert graph is not None
        columns = (graph.n_nodes, -1)
        run.visit(w0)
        with run.setup():
            matrix = sp.csc_array(sp.eye_array(graph.n_nodes) + self.smoothing * graph.laplacian)
            run.counts.factorisation += 1
            factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
            u = matrix @ w0.reshape(columns)
        w = w0
        first, second = np.zeros_like(u), np.zeros_like(u)
        b1, b2, step = 0.9, 0.999, 0
        while not run.overdue:
            step += 1
            gradient = factor.solve(run.value_and_gradient(w)[1].reshape(columns))
            first += (1 - b1) * (gradient - first)
            second += (1 - b2) * (gradient * gradient - second)
            scale = np.sqrt(second.max() / (1 - b2**step))
            if scale == 0:
                break
            u -= (self.lr / ((1 - b1**step) * scale)) * first
            w = factor.solve(u).reshape(w0.shape)
            run.visit(w)
        return w
