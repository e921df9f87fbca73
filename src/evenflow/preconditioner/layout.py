"""Layout: the levels of a hierarchy as the arrays that one compiled cycle reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.preconditioner import cycle
from evenflow.preconditioner.hierarchy import Aggregated, Direct, Eliminated, Level

__all__ = ["Layout"]

UintArray = npt.NDArray[np.uint32]
_NO_INDEX = np.zeros(0, np.uint32)
_NO_VALUE = np.zeros(0)


class Layout:
    """The finest level as it is, the others packed end to end.

    Parameters
    ----------
    levels : list of Level
    visits : list of int
        How often a cycle visits each level on each visit of the one above.
    stretch : list of float
        Factor of the corrections of each level by its groups.

    Attributes
    ----------
    arguments : tuple
        What :func:`~evenflow.preconditioner.cycle.run_cycle` takes after ``r`` and ``out``.
    """

    def __init__(self, levels: list[Level], visits: list[int], stretch: list[float]) -> None:
        self._stretch = np.array(stretch)
        table: list[tuple[int, ...]] = []
        ptr, idx, nodes = [np.zeros(1, np.uint32)], [_NO_INDEX], [_NO_INDEX]
        rows, entries, at = 1, 0, 0
        for k, level in enumerate(levels):
            (m_ptr, m_idx, sequence), (p_ptr, p_idx) = _indices(level)
            size, pivots = level.matrix.size, len(m_ptr) - 1
            if k == 0:
                table.append((level.kind, size, visits[k], 0, 0, 0, 0, 0, pivots))
                continue
            below, beyond = rows + len(m_ptr), entries + len(m_idx)
            table.append((level.kind, size, visits[k], rows, entries, below, beyond, at, pivots))
            ptr += m_ptr, p_ptr
            idx += m_idx, p_idx
            nodes.append(sequence if len(sequence) == size else np.zeros(size, np.uint32))
            rows, entries, at = below + len(p_ptr), beyond + len(p_idx), at + size
        self._table = np.array(table, np.int64)
        self._indices = np.concatenate(ptr), np.concatenate(idx), np.concatenate(nodes)
        self._values, self._pivots = np.empty(entries), np.zeros(at)
        self._spare, self._work = np.empty(levels[0].matrix.size), np.empty((4, at))
        self.arguments: cycle.CycleArguments = ()

    def fill(self, levels: list[Level]) -> None:
        """Take over the numbers of the levels after a refresh."""
        (m_ptr, m_idx, sequence), (p_ptr, p_idx) = _indices(levels[0])
        m_val, p_val = _values(levels[0])
        finest = (m_ptr, m_idx, m_val, p_ptr, p_idx, p_val, levels[0].inverse, sequence)
        values, entry, at = self._values, 0, 0
        for level in levels[1:]:
            for part in _values(level):
                end = entry + len(part)
                values[entry:end] = part
                entry = end
            self._pivots[at : at + len(level.inverse)] = level.inverse
            at += level.matrix.size
        ptr, idx, nodes = self._indices
        dense = levels[-1].dense if isinstance(levels[-1], Direct) else np.zeros((0, 0))
        self.arguments = (
            self._spare, self._table, *finest, ptr, idx, self._values, self._pivots, nodes, dense, self._stretch,
            self._work,
        )  # fmt: skip

    @property
    def nbytes(self) -> int:
        """Bytes of the packed arrays and of the work space."""
        own: tuple[npt.NDArray[Any], ...] = (
            self._table, *self._indices, self._values, self._pivots, self._spare, self._work
        )  # fmt: skip
        return sum(array.nbytes for array in own)


def _indices(level: Level) -> tuple[tuple[UintArray, UintArray, UintArray], tuple[UintArray, UintArray]]:
    """Rows of the matrix (or of the multipliers), order of elimination; rows of the interpolation."""
    if isinstance(level, Eliminated):
        return (level.p_ptr, level.p_idx, level.sequence), (_NO_INDEX, _NO_INDEX)
    p = (level.p_ptr, level.p_idx) if isinstance(level, Aggregated) else (_NO_INDEX, _NO_INDEX)
    return (level.matrix.ptr, level.matrix.idx, _NO_INDEX), p


def _values(level: Level) -> tuple[FloatArray, FloatArray]:
    """Values of the matrix (or multipliers) and of the interpolation."""
    if isinstance(level, Eliminated):
        return level.p_val, _NO_VALUE
    return level.matrix.lower, level.p_val if isinstance(level, Aggregated) else _NO_VALUE
