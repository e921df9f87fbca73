"""Forcing: how exactly an inner solve is asked for."""

from __future__ import annotations

import math

import pytest

from evenflow.minimizer.forcing import Forcing


def test_tightens_with_the_progress_and_never_beyond_the_largest() -> None:
    forcing = Forcing(0.3, 1.5)
    assert forcing.eta == 0.3
    forcing.tighten(100.0)
    assert forcing.eta == 0.3
    forcing.tighten(1e-4)  # 0.9 * 0.01 ** 1.5, but the last eta forbids so large a jump
    assert forcing.eta == pytest.approx(0.9 * 0.3**1.5)
    forcing.tighten(1e-4)
    assert forcing.eta == pytest.approx(0.9 * 1e-3)


def test_a_model_is_trusted_as_far_as_the_last_one_was_right() -> None:
    forcing = Forcing(0.3, 1.5)
    forcing.compare(foretold=1.0001, before=2.0, after=1.0)
    assert forcing.mismatch == pytest.approx(1e-4)
    forcing.trust()
    assert forcing.eta == pytest.approx(1e-2)
    forcing.compare(foretold=0.0, before=1.0, after=0.9)
    assert forcing.mismatch == 1.0
    forcing.trust()
    assert forcing.eta == pytest.approx(1e-2)


def test_round_off_is_no_mismatch() -> None:
    forcing = Forcing(0.3, 1.5)
    forcing.compare(foretold=1e6 * (1 + 1e-15), before=1e6 + 1e-3, after=1e6)
    assert forcing.mismatch == 0.0
    forcing.trust()
    assert 0 < forcing.eta <= 1e-7


@pytest.mark.parametrize(("foretold", "after"), [(math.nan, 1.0), (1.0, 2.5), (math.inf, 1.0)])
def test_an_unknown_or_useless_step_is_a_full_mismatch(foretold: float, after: float) -> None:
    forcing = Forcing(0.3, 1.5)
    forcing.compare(foretold, before=2.0, after=after)
    assert forcing.mismatch == 1.0
