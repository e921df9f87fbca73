"""Colours of a field: plain values, or phases on a circle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenflow.report.style import CYCLIC, FIELD

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

__all__ = ["Field"]

_TAU = 2 * np.pi


@dataclass
class Field:
    """Node values with the colour map that fits them.

    Attributes
    ----------
    values : ndarray, shape (n,)
        Phases are taken modulo 2 pi.
    unit : str
        "rad" makes it cyclic.
    """

    values: npt.NDArray[np.float64]
    unit: str = ""

    def __post_init__(self) -> None:
        self.values = np.asarray(self.values, dtype=np.float64)
        if self.cyclic:
            self.values = np.mod(self.values, _TAU)

    @property
    def cyclic(self) -> bool:
        """Whether the values are phases."""
        return self.unit == "rad"

    @property
    def label(self) -> str:
        """What the colour bar says."""
        if self.cyclic:
            return "phase $w$ (rad)"
        return self.unit or "$w$"

    def mappable(self) -> ScalarMappable:
        """Colour map and range: 0 to 2 pi for phases, symmetric about 0 for values of both signs."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        if self.cyclic:
            return ScalarMappable(Normalize(0.0, _TAU), CYCLIC)
        finite = self.values[np.isfinite(self.values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        reach = max(-low, high)
        if low < 0 < high and min(-low, high) > 0.3 * reach:
            return ScalarMappable(Normalize(-reach, reach), "RdBu_r")
        if high - low <= 1e-12 * max(abs(low), abs(high)):
            low, high = low - 0.5, high + 0.5
        return ScalarMappable(Normalize(low, high), FIELD)

    def look(self, mappable: ScalarMappable) -> dict[str, Any]:
        """Keyword arguments that make an artist use the colour map."""
        return {"cmap": mappable.cmap, "norm": mappable.norm}

    def subset(self, nodes: npt.NDArray[np.int64]) -> Field:
        """The same field on some nodes."""
        return Field(self.values[nodes], self.unit)

    def mean_over(self, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Mean over each row of nodes, shape (k, m) to (k,); on the circle for phases."""
        if self.cyclic:
            return np.mod(np.angle(np.exp(1j * self.values)[groups].mean(axis=1)), _TAU)
        return np.asarray(self.values[groups].mean(axis=1))

    def mean_in(self, bins: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
        """Mean of the nodes in each bin, nan in empty ones; on the circle for phases."""
        filled = np.bincount(bins, minlength=count)
        with np.errstate(invalid="ignore"):
            if self.cyclic:
                x = np.bincount(bins, np.cos(self.values), count)
                y = np.bincount(bins, np.sin(self.values), count)
                return np.where(filled > 0, np.mod(np.arctan2(y, x), _TAU), np.nan)
            return np.bincount(bins, self.values, count) / np.where(filled > 0, filled, np.nan)

    def add_bar(self, figure: Figure, mappable: ScalarMappable, axes: Any) -> None:
        """Draw the colour bar beside ``axes``."""
        bar = figure.colorbar(mappable, ax=axes, fraction=0.045, pad=0.02, shrink=0.85)
        bar.outline.set_visible(False)
        bar.set_label(self.label)
        if self.cyclic:
            bar.set_ticks([0, np.pi / 2, np.pi, 3 * np.pi / 2, _TAU])
            bar.set_ticklabels(["0", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"])
