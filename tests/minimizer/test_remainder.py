"""Remainder: what longer solves have shown is forgotten only slowly."""

from __future__ import annotations

import pytest

from evenflow.minimizer.remainder import Remainder


def shown(remainder: Remainder, ratio: float, length: int) -> float:
    remainder.ratio, remainder.length = ratio, length
    remainder.learn()
    return remainder.known


def test_a_larger_ratio_is_believed_at_once() -> None:
    remainder = Remainder(least=0.5)
    assert remainder.known == 0.5
    assert shown(remainder, 8.0, 40) == 8.0
    assert remainder.depth == 40


def test_short_solves_forget_little_and_as_long_a_one_three_quarters() -> None:
    remainder = Remainder(least=0.5)
    shown(remainder, 8.0, 40)
    assert shown(remainder, 1.0, 4) == pytest.approx(8.0 * 0.25**0.01)
    before = remainder.known
    assert shown(remainder, 1.0, 80) == pytest.approx(0.25 * before)


def test_never_less_than_the_last_ratio_or_the_least() -> None:
    remainder = Remainder(least=0.5)
    shown(remainder, 8.0, 40)
    assert shown(remainder, 7.0, 40) == 7.0
    for _ in range(9):
        shown(remainder, 0.1, 40)
    assert remainder.known == 0.5
    shown(remainder, 8.0, 40)
    remainder.forget()
    assert remainder.known == 0.5
