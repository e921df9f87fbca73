"""Rows sorted by their lengths."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evenflow.energy.row_order import sort_rows


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=40), near=st.integers(1, 8))
def test_rows_are_sorted_window_by_window(lengths: list[int], near: int) -> None:
    size, length = len(lengths), np.array(lengths)
    order, groups = sort_rows(np.concatenate([[0], np.cumsum(length)]).astype(np.uint32), near)
    for begin in range(0, size, near):
        turns = order[begin : begin + near]
        assert sorted(turns) == list(range(begin, min(begin + near, size)))
        assert np.all(np.diff(length[turns]) >= 0)
    assert tuple(groups[-1]) == (size, 0)
    for (first, each), (end, _) in itertools.pairwise(groups):
        assert first // near == (end - 1) // near
        assert np.all(length[order[first:end]] == each)
