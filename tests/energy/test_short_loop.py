"""Loops that the compiler may not unroll."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from evenflow.energy.short_loop import after


@njit
def turns(begin, end):  # type: ignore[no-untyped-def]
    """What a short loop goes through."""
    seen = np.empty(end - begin, np.uint64)
    k = begin
    while k < end:
        seen[k - begin] = k
        k = after(k)
    return seen


@njit
def short_sum(ptr, values, out):  # type: ignore[no-untyped-def]
    """Sums of rows."""
    one = np.uint64(1)
    for i in range(np.uint64(len(out))):
        total = 0.0
        k, end = ptr[i], ptr[i + one]
        while k < end:
            total += values[k]
            k = after(k)
        out[i] = total


@njit
def counted_sum(ptr, values, out):  # type: ignore[no-untyped-def]
    """The same, the usual way."""
    one = np.uint64(1)
    for i in range(np.uint64(len(out))):
        total = 0.0
        for k in range(ptr[i], ptr[i + one]):
            total += values[k]
        out[i] = total


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
@given(begin=st.integers(0, 2**32 - 20), length=st.integers(0, 15))
def test_it_goes_through_the_same_numbers_as_range(kind: type, begin: int, length: int) -> None:
    assert turns(kind(begin), kind(begin + length)).tolist() == list(range(begin, begin + length))


def test_sums_of_rows_are_those_of_counted_loops_and_the_code_is_short() -> None:
    rng = np.random.default_rng(0)
    ptr = np.concatenate([[0], np.cumsum(rng.integers(0, 20, 300))]).astype(np.uint32)
    values = rng.normal(size=ptr[-1])
    short, counted = np.empty(300), np.empty(300)
    short_sum(ptr, values, short)
    counted_sum(ptr, values, counted)
    assert np.array_equal(short, counted)
    code = next(iter(short_sum.inspect_llvm().values()))
    assert code.count(" fadd ") == 1, "the loop is unrolled after all"
