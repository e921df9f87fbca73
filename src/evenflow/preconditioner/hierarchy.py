"""Hierarchy: the levels of a multigrid preconditioner, built once and refreshed by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evenflow.energy.base import FloatArray
from evenflow.errors import InputError
from evenflow.memory import long_array
from evenflow.preconditioner import levels, table
from evenflow.preconditioner.aggregation import condense
from evenflow.preconditioner.cycle import CycleArguments
from evenflow.preconditioner.elimination import count_thin
from evenflow.preconditioner.growth import grows_fast
from evenflow.preconditioner.nested import nest, room_to_nest
from evenflow.preconditioner.pattern import check_size
from evenflow.preconditioner.schedule import count_visits, limit_stretch
from evenflow.preconditioner.table import AGGREGATE, DIRECT, ELIMINATE, SMOOTH
from evenflow.preconditioner.ties import spans_decades

__all__ = ["Hierarchy"]

UintArray = npt.NDArray[np.uint32]
Rows = tuple[UintArray, UintArray, FloatArray]

_MAX_LEVELS = 40
_THIN = 0.15  # of the nodes have at most two neighbours where those are eliminated
_SMALL = 4_096  # unknowns of such a matrix that may be eliminated to the end
_DIRECT = 8  # times the size at which the rest is factored: more is smoothed only
_INCLUSIVE, _SELECTIVE = 0.5, 0.7  # thresholds
_STRETCH = 1.2, 1.7  # of corrections by smoothed and by plain interpolation, where couplings do not span decades
_WIDEST = 3  # entries of an interpolation row, if it is left to the matrix
_AHEAD = 1.5  # times the room that the finest level may need, for all
_SLACK = 1_000  # entries: every vector may need a few more than it has


class Hierarchy:
    """Levels of ever smaller matrices, for one pattern. The options are those of Multigrid.

    Parameters
    ----------
    indptr, indices : ndarray of uint32
        Pattern of the finest matrix.
    w_cycle : bool
        Whether small levels are visited twice.
    threshold, damping, stretch, width, coarsest, block
        See :class:`~evenflow.preconditioner.multigrid.Multigrid`.

    Attributes
    ----------
    negative : int
        Pivots that were negative at the last refresh.
    """

    def __init__(
        self,
        indptr: UintArray,
        indices: UintArray,
        *,
        w_cycle: bool,
        threshold: float,
        damping: float,
        stretch: float,
        width: int,
        coarsest: int,
        block: int,
    ) -> None:
        self._pattern = indptr, indices
        self._w_cycle, self._coarsest, self._block = w_cycle, coarsest, block
        self._threshold, self._damping, self._stretch, self._width = threshold, damping, (stretch, stretch), width
        self._chosen = False
        self._table = np.zeros((_MAX_LEVELS, table.WIDE), np.int64)
        self._used = np.zeros(2, np.int64)
        self._u: UintArray = np.empty(0, np.uint32)
        self._f: FloatArray = np.empty(0)
        self._arguments: CycleArguments | None = None
        self.size = len(indptr) - 1
        self.kinds: list[int] = []
        self.negative = 0

    # ------------------------------------------------------------------ what there is

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """A row for each level, see :mod:`evenflow.preconditioner.table`."""
        return self._table[: len(self.kinds)]

    @property
    def entries(self) -> list[int]:
        """Entries of the matrix of each level."""
        return [2 * row[table.LOWER] + row[table.SIZE] for row in self.rows.tolist()]

    @property
    def apart(self) -> bool:
        """Whether the potential of the finest matrix, nowhere negative, is kept apart."""
        return bool(self._table[0, table.APART])

    @property
    def pivots(self) -> FloatArray:
        """Those of the finest level, inverted, where the cycle reads them."""
        _, _, values, _, _ = self.cycle_arguments
        begin = int(self._table[0, table.INVERSE])
        return values[begin : begin + self.size]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, as far as they are used."""
        u, f = self._used.tolist()
        return int(self._table.nbytes + u * self._u.itemsize + f * self._f.itemsize)

    @property
    def cycle_arguments(self) -> CycleArguments:
        """What :func:`~evenflow.preconditioner.cycle.run_cycle` takes after ``r`` and ``out``."""
        if self._arguments is None:
            self._arguments = self._lay_out()
        return self._arguments

    def _lay_out(self) -> CycleArguments:
        """Decide on the schedule, make room to work in."""
        rows = self.rows.tolist()
        grouped = [kind == AGGREGATE for kind in self.kinds]
        visits = count_visits(self.entries, grouped) if self._w_cycle else [1] * len(grouped)
        wanted = [self._stretch[not (self._damping and row[table.WIDTH] > 1)] for row in rows]
        stretch = np.array(limit_stretch(visits, grouped, wanted))
        self.rows[:, table.VISITS] = visits
        below = rows[-1][table.BEFORE] + rows[-1][table.SIZE] if len(rows) > 1 else 0
        begin, room = int(self._used[table.F]), 4 * below + self.size
        self._lengthen(0, room)
        table.reserve(self._used, table.F, room)
        return self.rows, self._u, self._f, stretch, self._f[begin : begin + room]

    # ------------------------------------------------------------------ building

    def build(self, data: FloatArray, *, couplings: bool) -> None:
        """Build all levels for the values of a matrix; ``couplings``: as if its potential were zero.

        Raises
        ------
        InputError
            If the matrix has more entries on one side of the diagonal.
        Breakdown
            If an entry is not finite.
        """
        indptr, indices = self._pattern
        t, used, size, k, before = self._table, self._used, self.size, 0, 0
        self._make_room(size, len(indices), _AHEAD)
        count, total = levels.take_finest(indptr, indices, data, t, self._u, self._f, used)
        if count < 0:
            raise InputError("matrix is not symmetric: it has more entries on one side of the diagonal")
        check_size(total, data)
        levels.separate(t, self._u, self._f, couplings)
        rows: Rows = (indptr, indices, data)
        while True:
            kind = self._split(k, size, rows, data) if self._is_large(k, size) else None
            if kind is None:
                kind = DIRECT if size <= _DIRECT * self._coarsest else SMOOTH
            self.kinds.append(kind)
            t[k, table.KIND], t[k, table.BEFORE] = kind, before
            if kind != AGGREGATE:  # that was done with its groups
                self.negative += self._refresh_level(k, kind, None)
            before += size if k > 0 else 0
            size = int(t[k, table.COARSE])
            if size == 0:
                return
            k += 1
            if self._is_large(k, size):
                rows = self._expand(k, size)

    def _is_large(self, k: int, size: int) -> bool:
        """Whether level k, of this size, is to have another one below."""
        return size > self._coarsest and k + 1 < _MAX_LEVELS

    def _make_room(self, size: int, entries: int, ahead: float = 1.0) -> None:
        """Make the long arrays long enough for a level with so many unknowns and entries, whatever its kind.

        The first time there is room for those below, too, so that they rarely have to be copied. What is not used is
        not touched, and costs nothing but addresses.
        """
        width = max(self._width, _WIDEST)
        u, f = 7 * entries + (4 * width + 15) * size, 3 * entries + (3 * width + 10) * size
        self._lengthen(int(ahead * u), int(ahead * f))

    def _lengthen(self, u: int, f: int) -> None:
        """Make room for so many indices and values more than are used."""
        used_u, used_f = self._used.tolist()
        if used_u + u + _SLACK > len(self._u):
            self._u, self._arguments = _longer(self._u, used_u, used_u + u + _SLACK), None
        if used_f + f + _SLACK > len(self._f):
            self._f, self._arguments = _longer(self._f, used_f, used_f + f + _SLACK), None

    def _expand(self, k: int, size: int) -> Rows:
        """The full rows of level k > 0, written for the first time."""
        entries = 2 * int(self._table[k, table.LOWER]) + size
        self._make_room(size, entries)
        data = np.empty(entries)
        levels.expand_rows(self._table, k, self._u, self._f, self._used, data)
        return *self._full_pattern(k), data

    def _full_pattern(self, k: int) -> tuple[UintArray, UintArray]:
        """Pattern of the full rows of level k > 0."""
        row = self._table[k]
        size, begin, columns = int(row[table.SIZE]), int(row[table.FULL_ROWS]), int(row[table.FULL_COLUMNS])
        return self._u[begin : begin + size + 1], self._u[columns : columns + 2 * int(row[table.LOWER]) + size]

    def _split(self, k: int, size: int, rows: Rows, data: FloatArray) -> int | None:
        """Build what the next level follows from, if there can be one; of which kind it is. ``data``: the finest."""
        arrays = self._table, k, self._u, self._f, self._used
        if self._block == 1 and count_thin(rows[0]) >= _THIN * size:
            # Further down terms of many nodes have been added up, which nested iteration settles better level by level.
            if k > 0 or size > _SMALL or not levels.eliminate_to_the_end(*arrays):
                levels.eliminate(*arrays)
            return ELIMINATE
        if not self._chosen:
            self._choose(data)
        nodal = rows if self._block == 1 else condense(*rows, self._block)
        grouped, negative = levels.group(*arrays, *nodal, self._threshold, self._damping, self._width)
        self.negative += negative if grouped else 0
        return AGGREGATE if grouped else None

    def _choose(self, data: FloatArray) -> None:
        """Decide on what the options leave to the matrix."""
        selective = self._block == 1 and spans_decades(*self._pattern, data)
        self._threshold = self._threshold or (_SELECTIVE if selective else _INCLUSIVE)
        if not self._stretch[0]:
            self._stretch = (1.0, 1.0) if selective else _STRETCH
        self._width = self._width or int(grows_fast(*self._pattern))
        self._chosen = True

    # ------------------------------------------------------------------ refreshing

    def refresh(self, data: FloatArray, *, couplings: bool) -> None:
        """Compute the numbers of all levels for other values, as :meth:`build` does.

        Raises
        ------
        Breakdown
            If an entry is not finite.
        """
        check_size(data.sum(), data)
        levels.take_new_values(data, self._table, self._u, self._f)
        levels.separate(self._table, self._u, self._f, couplings)
        self._refresh_levels(data)

    def refresh_diagonal(self, diagonal: FloatArray) -> bool:
        """Compute the numbers of all levels for another diagonal; not if its potential cannot be kept apart."""
        if not levels.take_diagonal(diagonal, self._table, self._u, self._f):
            return False
        self._refresh_levels(None)
        return True

    def factor(self) -> None:
        """Factor the coarsest level, if it is to be, which :meth:`nest` can do without."""
        k = len(self.kinds) - 1
        if self.kinds[k] == DIRECT:
            self._lengthen(0, int(self._table[k, table.SIZE]) ** 2)
            self.negative += levels.factor(self._table, k, self._u, self._f, self._used)

    def _refresh_levels(self, data: FloatArray | None) -> None:
        """Compute what depends on the values, finest level first; those of the couplings only if they have changed."""
        self.negative = 0
        for k, kind in enumerate(self.kinds):
            self.negative += self._refresh_level(k, kind, data)

    def _refresh_level(self, k: int, kind: int, data: FloatArray | None) -> int:
        """Compute what depends on the values of level k, the next matrix with it; how many pivots are negative."""
        t = self._table
        arrays = t, k, self._u, self._f
        if kind == AGGREGATE:
            if t[k, table.RECOUPLED] or not t[k, table.APART]:
                return int(levels.refresh_grouped(*arrays, *self._rows(k, data), self._damping))
            return int(levels.refresh_potential(*arrays))
        if kind != ELIMINATE:
            return int(levels.invert(*arrays))
        if t[k, table.TO_THE_END]:
            return int(levels.refresh_to_the_end(*arrays))
        return int(levels.refresh_eliminated(*arrays))

    def _rows(self, k: int, data: FloatArray | None) -> Rows:
        """The full rows of level k over nodes; ``data``: the values of the finest."""
        if k > 0:
            indptr, indices = self._full_pattern(k)
            data = np.empty(len(indices))
            levels.full_values(self._table, k, self._u, self._f, data)
        else:
            indptr, indices = self._pattern
            assert data is not None  # couplings change only with it
        return (indptr, indices, data) if self._block == 1 else condense(indptr, indices, data, self._block)

    # ------------------------------------------------------------------ solving

    def is_convex(self, diagonal: FloatArray) -> bool:
        """Whether the diagonal is nowhere less than the couplings of its row, where those are apart."""
        return self.apart and bool(levels.beyond_couplings(diagonal, self._table, self._f, np.empty(self.size)))

    def nest(
        self, gradient: FloatArray, diagonal: FloatArray, third: FloatArray, fourth: FloatArray
    ) -> FloatArray | None:
        """Nearly the step to the minimum, see :meth:`~evenflow.preconditioner.multigrid.Multigrid.nest`."""
        rows, step = self.rows, np.empty(self.size)
        room = room_to_nest(rows)
        self._lengthen(0, room)
        begin = int(self._used[table.F])  # what lies beyond is free for now
        work = self._f[begin : begin + room]
        return step if nest(gradient, diagonal, third, fourth, rows, self._u, self._f, work, step) else None


def _longer(array: npt.NDArray[Any], used: int, size: int) -> npt.NDArray[Any]:
    """A longer array that begins like this one, as far as it is used."""
    longer = long_array(size, array.dtype)
    longer[:used] = array[:used]
    return longer
