"""The inner solver: exact without a bound, inside the radius with one, to fourth order where there are such terms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from evenflow import gallery
from evenflow.minimizer.linear_algebra import Rows
from evenflow.minimizer.model import Model
from evenflow.minimizer.node_terms import NodeTerms
from evenflow.minimizer.remainder import largest_ratio
from evenflow.minimizer.steihaug import End, Steihaug
from evenflow.preconditioner import Multigrid


def assembled(H, terms=None):
    matrix = sp.csr_array(H)
    return Model(matrix, Rows(matrix), terms=terms)


def solve(
    H, g, inverse=None, *, terms=None, radius=np.inf, tolerance=1e-12, general=False, limit=500, flexible=False, **more
):
    inverse = np.ones(g.size) if inverse is None else inverse
    solver = Steihaug(g.size, 500)
    if terms is not None and "held" not in more:
        more["held"] = 1 / inverse[terms.where]
    solver.solve(
        assembled(H, terms),
        g,
        inverse * g,
        None if general else inverse,
        lambda r, out: np.multiply(inverse, r, out=out),
        flexible=flexible,
        radius=radius,
        tolerance=tolerance,
        limit=limit,
        **more,
    )
    return solver


def random_system(seed, n, *, definite):
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0]
    values = np.exp(rng.uniform(-2, 2, n))
    if not definite:
        values[: max(1, n // 4)] *= -1
    return (vectors * values) @ vectors.T, rng.normal(size=n), np.exp(rng.uniform(-1, 1, n))


@pytest.mark.parametrize("general", [False, True])
def test_entries_asked_for_ahead_do_not_change_a_bit(general, monkeypatch):
    H, g, inverse = random_system(3, 30, definite=True)
    plain = solve(H, g, inverse, general=general)
    for name in ("_CACHE", "_NEAR", "_MANY"):  # so that any matrix is large and scattered
        monkeypatch.setattr(f"evenflow.energy.locality.{name}", 0)
    assert assembled(H).assembled[-1]
    np.testing.assert_array_equal(solve(H, g, inverse, general=general).x, plain.x)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30), general=st.booleans(), flexible=st.booleans())
def test_inner_solve_is_exact_without_a_bound(seed, n, general, flexible):
    H, g, inverse = random_system(seed, n, definite=True)
    solver = solve(H, g, inverse, general=general, flexible=flexible)
    np.testing.assert_allclose(solver.x, -np.linalg.solve(H, g), rtol=1e-6, atol=1e-8)
    assert solver.end is End.SOLVED
    assert solver.decrease == pytest.approx(0.5 * g @ np.linalg.solve(H, g), rel=1e-8)
    assert solver.norm == pytest.approx(np.sqrt(np.sum(solver.x**2 / inverse)), rel=1e-6)
    lowest = np.linalg.eigvalsh(np.sqrt(inverse)[:, None] * H * np.sqrt(inverse)).min()
    first = 0.5 * g @ np.linalg.solve(H, g) / (g @ (inverse * g))  # of the first residual, the gradient
    assert 0.999 * first <= solver.ratio <= 1.001 * 0.5 / lowest


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 30), definite=st.booleans(), radius=st.floats(1e-3, 10.0))
def test_inner_solve_keeps_inside_the_radius_and_lowers_the_model(seed, n, definite, radius):
    H, g, inverse = random_system(seed, n, definite=definite)
    solver = solve(H, g, inverse, radius=radius)
    x = solver.x
    norm = np.sqrt(np.sum(x**2 / inverse))
    assert norm <= radius * (1 + 1e-9)
    assert solver.norm == pytest.approx(norm, rel=1e-6)
    assert solver.decrease == pytest.approx(-(g @ x + 0.5 * x @ H @ x), rel=1e-6, abs=1e-12)
    z = inverse * g
    cauchy_step = min(g @ z / (z @ H @ z) if z @ H @ z > 0 else np.inf, radius / np.sqrt(g @ z))
    cauchy = cauchy_step * (g @ z) - 0.5 * cauchy_step**2 * (z @ H @ z)
    assert solver.decrease >= cauchy * (1 - 1e-9)
    if solver.end in (End.BOUNDARY, End.NEGATIVE):
        assert norm == pytest.approx(radius, rel=1e-9)


def test_negative_curvature_is_found_and_told():
    H = np.diag([1.0, 2.0, -0.5])
    solver = solve(H, np.ones(3), radius=1e6)
    assert solver.end is End.NEGATIVE
    assert solver.curvature < 0
    assert solver.direction @ H @ solver.direction == pytest.approx(solver.curvature)


def test_flexible_solve_bears_a_changing_preconditioner():
    H, g, inverse = random_system(1, 25, definite=True)
    turn = [0]

    def apply(r, out):
        turn[0] += 1
        return np.multiply(inverse * (1 + 0.3 * np.cos(turn[0] * np.arange(r.size))), r, out=out)

    solver = Steihaug(g.size, 500)
    solver.solve(
        assembled(H),
        g,
        inverse * g,
        None,
        apply,
        flexible=True,
        radius=np.inf,
        tolerance=1e-8,
        limit=500,
    )
    assert np.linalg.norm(H @ solver.x + g) < 1e-6 * np.linalg.norm(g)


def test_solve_stops_at_its_limit():
    H, g, _ = random_system(5, 30, definite=True)
    for general in (False, True):
        solver = solve(H, g, general=general, limit=3)
        assert (solver.iterations, solver.end) == (3, End.EXHAUSTED)
        assert solver.decrease > 0


# ---------------------------------------------------------------------- terms of third and fourth order


def random_terms(rng, curvature, share):
    """Convex beside the given curvatures: c2 + c3 x + c4 x^2 / 2 > 0 for all x as long as c3^2 < 2 c2 c4."""
    fourth = np.exp(rng.uniform(-2, 3, curvature.size)) * (rng.random(curvature.size) < share)
    third = 0.9 * rng.uniform(-1, 1, curvature.size) * np.sqrt(2 * curvature * fourth)
    return third, fourth


def change(H, g, third, fourth, x):
    return g @ x + 0.5 * x @ H @ x + np.sum(third * x**3 / 6 + fourth * x**4 / 24)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30), share=st.floats(0, 1), general=st.booleans())
def test_the_model_of_fourth_order_is_minimised(seed, n, share, general):
    H, g, inverse = random_system(seed, n, definite=True)
    rng = np.random.default_rng(seed)
    lowest = np.linalg.eigvalsh(H).min()
    third, fourth = random_terms(rng, np.full(n, lowest), share)
    terms = NodeTerms.of(third, fourth)
    held = np.full(terms.where.size, 1e9)  # so stiff that it never seems stale
    solver = solve(H, g, inverse, terms=terms, general=general, tolerance=1e-11, **({"held": held} if general else {}))
    x = solver.x
    residual = g + H @ x + third * x**2 / 2 + fourth * x**3 / 6
    assert np.linalg.norm(residual) <= 1e-7 * np.linalg.norm(g)
    assert solver.end is End.SOLVED
    assert solver.decrease == pytest.approx(-change(H, g, third, fourth, x), rel=1e-7)


def test_the_first_length_is_the_best_one(rng):
    H, g, inverse = random_system(3, 20, definite=True)
    third, fourth = random_terms(rng, np.full(20, np.linalg.eigvalsh(H).min()), 0.6)
    x = solve(H, g, inverse, terms=NodeTerms.of(third, fourth), limit=1).x
    slope = x @ (g + H @ x + third * x**2 / 2 + fourth * x**3 / 6)
    assert abs(slope) <= 1e-10 * abs(x @ g)


def test_the_model_falls_with_every_iteration(rng):
    H, g, inverse = random_system(4, 20, definite=True)
    third, fourth = random_terms(rng, np.full(20, np.linalg.eigvalsh(H).min()), 0.6)
    gains = [solve(H, g, inverse, terms=NodeTerms.of(third, fourth), limit=k).decrease for k in range(1, 9)]
    assert (np.diff(gains) > 0).all()


def test_terms_along_which_the_curvature_turns_end_the_solve():
    """x^2 - x^3: beyond its inflexion the model falls for ever, so the step is the quadratic model's."""
    terms = NodeTerms.of(np.array([-6.0]), np.array([0.0]))
    solver = solve(np.array([[2.0]]), np.array([-4.0]), terms=terms)
    assert solver.end is End.BOUNDARY
    assert solver.x[0] == pytest.approx(2.0)


def test_a_preconditioner_that_no_longer_fits_ends_the_solve():
    """At the minimum the last unknown is a hundred times stiffer than at zero, which the preconditioner knew."""
    H, g = np.eye(12) + 0.1, np.linspace(-1, -40, 12)
    fourth = np.zeros(12)
    fourth[-1] = 50.0
    terms = NodeTerms.of(np.zeros(12), fourth)
    stale = solve(H, g, terms=terms, general=True)
    assert stale.end is End.STALE
    assert np.isnan(stale.ratio)
    assert 0 < stale.decrease == pytest.approx(-change(H, g, np.zeros(12), fourth, stale.x), rel=1e-10)
    followed = solve(H, g, terms=terms)  # a diagonal one follows
    assert followed.end is End.SOLVED
    assert followed.decrease > stale.decrease


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_ends_where_enough_is_gained(general, seed):
    """What is left is at most what was allowed for, and the solve is shorter for it."""
    H, g, inverse = random_system(seed, 30, definite=True)
    best = 0.5 * g @ np.linalg.solve(H, g)
    full = solve(H, g, inverse, general=general)
    short = solve(H, g, inverse, general=general, energy=10.0 * best, enough=1e-4)
    assert short.end is End.SOLVED
    assert short.iterations < full.iterations
    assert best - short.decrease <= 1e-4 * 9.0 * best
    careful = solve(H, g, inverse, general=general, energy=10.0 * best, enough=1e-4, known=1e3 * short.ratio)
    assert short.iterations < careful.iterations <= full.iterations


@pytest.mark.parametrize("spec", ["lattice:40x40", "tree:2x8", "road:900"])
def test_cycles_in_the_compiled_loop_are_those_of_the_interpreted_one(spec, rng):
    graph = gallery.from_spec(spec).largest_component()
    n = graph.n_nodes
    matrix = sp.csr_array(graph.laplacian + sp.diags_array(np.full(n, 0.1)))
    terms = NodeTerms.of(np.zeros(n), np.where(np.arange(n) % 7 == 0, 1e-2, 0.0))
    multigrid = Multigrid()
    multigrid.refresh(matrix)
    before = multigrid.apply(np.ones(n))
    g = rng.normal(size=n)
    solvers = []
    for cycle in (multigrid.cycle_arguments, None):
        solver = Steihaug(n, 500)
        solver.solve(
            Model(matrix, Rows(matrix), terms=terms), g, multigrid.apply(g), None, multigrid.apply, cycle=cycle,
            pivots=multigrid.pivots, held=matrix.diagonal()[terms.where], flexible=False, radius=np.inf,
            tolerance=1e-8, limit=500,
        )  # fmt: skip
        solvers.append(solver)
    compiled, interpreted = solvers
    assert compiled.end is interpreted.end is End.SOLVED
    assert compiled.iterations == interpreted.iterations > 2
    assert (compiled.cycles, interpreted.cycles) == (compiled.iterations - 1, 0)
    np.testing.assert_allclose(compiled.x, interpreted.x, rtol=1e-10)
    np.testing.assert_array_equal(multigrid.apply(np.ones(n)), before)


def test_pivots_follow_the_point_and_are_put_back():
    """The metric of a general solve has its diagonal in it, and no unknown stiffens by more than it may."""
    H, g, inverse = np.eye(12) + 0.05, np.linspace(-1.0, 1.0, 12), np.full(12, 1 / 1.05)
    terms = NodeTerms.of(np.zeros(12), np.where(np.arange(12) % 2 == 0, 3.0, 0.0))
    before = inverse.copy()
    diagonal = solve(H, g, inverse, terms=terms)
    followed = solve(H, g, inverse, terms=terms, general=True, pivots=inverse)
    left_alone = solve(H, g, inverse, terms=terms, general=True, held=np.full(6, 1e9))
    assert followed.end is End.SOLVED
    np.testing.assert_allclose(followed.x, diagonal.x, rtol=1e-10)
    assert abs(followed.iterations - diagonal.iterations) <= 1
    assert followed.iterations < left_alone.iterations
    np.testing.assert_array_equal(inverse, before)


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("higher", [False, True])
def test_an_exhausted_solve_goes_on_as_if_it_had_not_ended(general, higher):
    H, g, inverse = random_system(3, 30, definite=True)
    terms = NodeTerms.of(np.zeros(30), np.where(np.arange(30) % 3 == 0, 0.01, 0.0)) if higher else None
    whole = solve(H, g, inverse, terms=terms, general=general)
    assert whole.iterations > 9
    parts = solve(H, g, inverse, terms=terms, general=general, limit=4)
    assert parts.end is End.EXHAUSTED
    parts.proceed(4)
    assert parts.iterations == 4
    parts.proceed(9)
    assert (parts.end, parts.iterations) == (End.EXHAUSTED, 9)
    parts.proceed(500)
    assert (parts.end, parts.iterations) == (whole.end, whole.iterations)
    np.testing.assert_array_equal(parts.x, whole.x)
    assert (parts.decrease, parts.ratio, parts.reduction) == (whole.decrease, whole.ratio, whole.reduction)


# ---------------------------------------------------------------------- what is left to gain


def test_largest_ratio_is_that_of_sums_of_gains_to_squares():
    gains, squares = np.array([8.0, 3.0, 1.0, 9.0]), np.array([3.0, 1.0, 0.5, 1e-9])
    assert largest_ratio(gains, squares, 3) == 4.0  # 12 / 3, 4 / 1, 1 / 0.5; the fourth is of no iteration yet
    assert largest_ratio(gains, squares, 2) == pytest.approx(11 / 3)
    assert largest_ratio(gains, squares, 0) == 0.0
    assert largest_ratio(gains, squares, 3, most=1.0) == 2.0  # above the limit is all that was asked


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 30))
def test_ratio_of_a_solve_foretells_what_a_residual_has_left(seed, n):
    """Where the solve is nearly over, a few times the largest ratio times r.P^-1 r covers what is left."""
    H, g, inverse = random_system(seed, n, definite=True)
    best = 0.5 * g @ np.linalg.solve(H, g)
    solver = solve(H, g, inverse, tolerance=1e-4)
    square = solver.reduction**2 * (g @ (inverse * g))
    assert best - solver.decrease <= 6.0 * solver.ratio * square + 1e-12 * best
