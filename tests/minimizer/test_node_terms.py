"""NodeTerms: the third and fourth order of a model, against the polynomials themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenflow.minimizer.node_terms import NodeTerms, bend_along, follow, follow_secant, least_along, take_secant


@pytest.fixture
def terms(rng: np.random.Generator) -> NodeTerms:
    third, fourth = rng.normal(size=12), rng.uniform(0, 3, 12)
    third[[0, 4, 5]] = fourth[[0, 4, 9]] = 0.0
    return NodeTerms.of(third, fourth)


def value(terms: NodeTerms, x: np.ndarray) -> float:
    y = x[terms.where]
    return float(np.sum(terms.third * y**3 / 6 + terms.fourth * y**4 / 24))


def gradient(terms: NodeTerms, x: np.ndarray) -> np.ndarray:
    out, y = np.zeros(12), x[terms.where]
    out[terms.where] = terms.third * y**2 / 2 + terms.fourth * y**3 / 6
    return out


def test_only_unknowns_that_have_terms_are_kept(terms: NodeTerms) -> None:
    np.testing.assert_array_equal(terms.where, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11])
    assert terms.where.dtype == np.uint32
    assert NodeTerms.of(np.zeros(3), np.zeros(3)).where.size == 0


def test_derivatives_along_a_direction(terms: NodeTerms, rng: np.random.Generator) -> None:
    """The terms are a quartic along d: its five coefficients follow from five values."""
    x, d = rng.normal(size=(2, 12))
    steps = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    fit = np.polynomial.polynomial.polyfit(steps, [value(terms, x + a * d) for a in steps], 4)
    found = bend_along(terms.where, terms.third, terms.fourth, x, d)
    np.testing.assert_allclose(found, [2 * fit[2], 6 * fit[3], 24 * fit[4]], rtol=1e-10)


def test_secant_is_the_change_of_the_gradient(terms: NodeTerms, rng: np.random.Generator) -> None:
    x, d, before = rng.normal(size=(3, 12))
    after = before.copy()
    held = rng.uniform(4, 9, terms.where.size)
    drift = take_secant(0.7, terms.where, terms.third, terms.fourth, held, x, d, after)
    expected = (gradient(terms, x + 0.7 * d) - gradient(terms, x)) / 0.7
    np.testing.assert_allclose(after - before, expected, rtol=1e-12, atol=1e-12)
    y = (x + 0.7 * d)[terms.where]
    assert drift == pytest.approx(np.max(np.abs(terms.third * y + terms.fourth * y**2 / 2) / held))
    assert take_secant(0.7, terms.where, terms.third, terms.fourth, np.zeros(0), x, d, after) == 0.0


def test_a_diagonal_follows_the_terms(terms: NodeTerms, rng: np.random.Generator) -> None:
    x, d, held = rng.normal(size=12), rng.normal(size=12), rng.uniform(4, 9, terms.where.size)
    y = (x + 0.3 * d)[terms.where]
    change = terms.third * y + terms.fourth * y**2 / 2
    inverse = np.full(12, 0.5)
    follow(terms.where, terms.third, terms.fourth, held, x + 0.3 * d, inverse)
    np.testing.assert_allclose(inverse[terms.where], 1 / np.abs(held + change), rtol=1e-12)
    np.testing.assert_array_equal(np.delete(inverse, terms.where), 0.5)


def test_both_in_one_pass_are_both(terms: NodeTerms, rng: np.random.Generator) -> None:
    x, d, held = rng.normal(size=12), rng.normal(size=12), rng.uniform(1, 3, terms.where.size)
    product, inverse = rng.normal(size=12), np.full(12, 0.5)
    wanted, follower = product.copy(), inverse.copy()
    known = terms.where, terms.third, terms.fourth, held
    take_secant(0.4, *known, x, d, wanted)
    follow(*known, x + 0.4 * d, follower)
    follow_secant(0.4, *known, x, d, product, inverse)
    np.testing.assert_allclose(product, wanted, rtol=1e-14)
    np.testing.assert_allclose(inverse, follower, rtol=1e-14)


def test_a_diagonal_that_would_vanish_is_left(terms: NodeTerms) -> None:
    held = np.full(terms.where.size, 2.0)
    x = np.zeros(12)
    one = NodeTerms(terms.where, np.full(terms.where.size, -2.0), np.zeros(terms.where.size))
    x[terms.where] = 1.0  # 2 - 2 x
    inverse = np.full(12, 0.5)
    follow(one.where, one.third, one.fourth, held, x, inverse)
    np.testing.assert_array_equal(inverse, 0.5)


@settings(max_examples=300, deadline=None)
@given(
    slope=st.floats(-1e8, -1e-8), second=st.floats(1e-8, 1e8), fourth=st.floats(0, 1e8),
    share=st.floats(-0.999, 3.0),
)  # fmt: skip
def test_least_along_a_convex_quartic(slope: float, second: float, fourth: float, share: float) -> None:
    """Convex along the whole line as long as third^2 < 2 second fourth."""
    third = share * math.sqrt(2 * second * fourth)
    a = least_along(slope, second, third, fourth)
    assert 0 < a < math.inf
    pieces = [slope, second * a, third * a * a / 2, fourth * a**3 / 6]
    assert abs(sum(pieces)) <= 1e-9 * sum(map(abs, pieces))


def test_least_along_stops_where_the_slope_falls_again() -> None:
    assert least_along(-10.0, 1.0, -2.0, 0.0) == math.inf  # its slope never reaches zero
    assert least_along(-1.0, 1.0, -4.0, 6.0) == math.inf  # it does, but beyond where it falls
    assert least_along(-1.0, 2.0, 0.0, 0.0) == 0.5
