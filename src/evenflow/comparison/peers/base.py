"""Peer: somebody else's solver, run as its documentation says."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from evenflow.energy.base import BaseEnergy, FloatArray

if TYPE_CHECKING:
    from evenflow.comparison.recorder import Recorder

__all__ = ["Peer"]


@dataclass(frozen=True)
class Peer(ABC):
    """A solver from outside. Dataclass fields are its knobs.

    Attributes
    ----------
    name : str
        The name in ``compare``.
    description : str
        One line on what is run.
    tuning : str
        What is tuned, how, and what is left at its default.
    package : str
        Distribution whose version is printed with every row.
    module : str
        Module that must be importable.
    extra : str
        Extra of evenflow that installs it.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    tuning: ClassVar[str]
    package: ClassVar[str]
    module: ClassVar[str]
    extra: ClassVar[str] = "bench"

    @abstractmethod
    def run(self, run: Recorder, w0: FloatArray, seed: int) -> FloatArray:
        """Minimise ``run.energy`` from ``w0`` (may be overwritten), recording every iterate; return the last point.

        May be ended at any evaluation by :class:`~evenflow.comparison.recorder.StopRun`, which must not be caught.
        """

    def refuses(self, energy: BaseEnergy) -> str | None:
        """Why this peer cannot treat ``energy``, or None."""
        if importlib.util.find_spec(self.module) is None:
            return f"{self.package} is not installed: pip install 'evenflow[{self.extra}]'"
        return None

    def candidates(self) -> Sequence[Peer]:
        """Settings to try before the comparison; empty where there is nothing to tune."""
        return ()

    @property
    def version(self) -> str:
        """Package and version."""
        return f"{self.package} {importlib.metadata.version(self.package)}"

    @property
    def settings(self) -> str:
        """The knobs as they stand."""
        knobs = {field.name: getattr(self, field.name) for field in fields(self)}
        return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in knobs.items())
