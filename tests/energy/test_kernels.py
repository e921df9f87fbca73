"""The generated code itself: accuracy of its sine and cosine, work ranges, and the choice of threads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenflow import gallery
from evenflow.energy import Kuramoto
from evenflow.energy import functions as ef
from evenflow.energy.codegen import generate
from evenflow.energy.expression import evaluate, parse, trace
from evenflow.energy.potential import Potential
from evenflow.energy.threads import split_rows, thread_count
from evenflow.errors import InputError


@pytest.fixture(scope="module")
def sincos():
    return Kuramoto(gallery.ring(3))._engine._kernels._module.sincos


@pytest.mark.parametrize("reach", [1e-8, 1.0, 10.0, 1e4, 3e6, 1e12])
def test_sine_and_cosine_are_good_to_the_last_digit(sincos, reach: float, rng: np.random.Generator) -> None:
    x = rng.uniform(-reach, reach, 10_000)
    x[:7] = [0.0, -0.0, np.pi, -np.pi, np.pi / 2, reach, -reach]
    cosine, sine = np.empty_like(x), np.empty_like(x)
    sincos(0, len(x), 1.0, x, cosine, sine)
    assert np.abs(cosine - np.cos(x)).max() < 4e-16
    assert np.abs(sine - np.sin(x)).max() < 4e-16
    assert np.abs(cosine**2 + sine**2 - 1).max() < 1e-15


def test_sine_of_small_angles_is_relatively_exact(sincos) -> None:
    x = np.logspace(-300, -1, 200)
    cosine, sine = np.empty_like(x), np.empty_like(x)
    sincos(0, len(x), 1.0, x, cosine, sine)
    np.testing.assert_allclose(sine, np.sin(x), rtol=3e-16)


@given(degrees=st.lists(st.integers(0, 2000), min_size=1, max_size=300), size=st.integers(10, 5000))
def test_row_ranges_cover_every_row_once(degrees: list[int], size: int) -> None:
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenflow.energy.threads._SLOTS_PER_CHUNK", size)
        ranges = split_rows(indptr)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(degrees)
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in pairwise(ranges))


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_wrong_thread_count_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFLOW_THREADS", text)
    with pytest.raises(InputError, match=f"EVENFLOW_THREADS is '{text}'"):
        thread_count()


def test_constants_are_not_part_of_the_key() -> None:
    def key(c: float) -> str:
        return Potential(pair=trace(lambda x: c * x**2 + 0.5 * x**3.5, ["x"], "pair")).lifted().canonical()

    assert key(0.3) == key(1.7)
    assert key(0.3) != key(2.0), "small dyadic numbers are compiled in"


@given(
    st.recursive(
        st.sampled_from([["sym", "x"], ["num", 2], ["num", 0.25]]),
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(["add", "sub", "mul"]), inner, inner).map(list),
            st.tuples(st.sampled_from(["neg", "sin", "cos", "tanh", "abs"]), inner).map(list),
        ),
        max_leaves=12,
    )
)
def test_trees_survive_a_round_trip(tree: list) -> None:
    formula = parse(tree, {"x"})
    assert formula.tree() == tree
    assert np.isfinite(evaluate(formula, {"x": np.float64(0.3)}, np))
    assert parse(parse(tree).tree()).tree() == tree


def test_generated_text_is_the_same_every_time() -> None:
    potential = Potential(
        pair=trace(lambda x, e0: ef.cos(x - e0) + 0.3 * x**4, ["x", "e0"], "pair"),
        node=trace(lambda w0, n0: n0 * ef.sin(w0), ["w0", "n0"], "node"),
        sums=(trace(ef.sin, ["x"], "phi"),),
        outer=trace(lambda s0: ef.sqrt(1 + s0**2), ["s0"], "neighbourhood"),
        oriented=(True,),
        uniform=False,
    ).lifted()
    first, second = generate(potential), generate(potential)
    assert first == second
    compile(first, "kernels", "exec")
    assert "sincos(start, stop, 1.0" in first, "cos(w_i - w_j - offset) is computed from sines and cosines of nodes"
    assert "math.cos" not in first.split("def gradient")[1].split("def hvp")[0]
