"""Newton opens with nested iteration where only terms of single nodes are nonlinear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import evenflow as ef
from evenflow.gallery import from_spec, lattice
from evenflow.graph import Graph

NESTED = "nested iteration, multigrid built at once"


@pytest.fixture(scope="module")
def heat() -> ef.HeatDiffusion:
    return ef.HeatDiffusion.sides(lattice(60, 60))


def test_auto_nests_where_the_baths_are_far(heat: ef.HeatDiffusion) -> None:
    result = ef.minimize(heat)
    assert NESTED in result.message
    plain = ef.minimize(heat, method="newton-cg", tolerance=1e-12)
    assert result.energy == pytest.approx(plain.energy, rel=1e-10)
    random = ef.minimize(ef.HeatDiffusion.random_baths(lattice(60, 60)))
    assert "the diagonal sufficed" in random.message


def test_the_energy_left_is_not_underestimated(heat: ef.HeatDiffusion) -> None:
    best = ef.minimize(heat, tolerance=1e-14).energy
    for tolerance in (1e-4, 1e-6, 1e-8):
        result = ef.minimize(heat, tolerance=tolerance)
        gap, estimate = result.energy - best, result.history.decrement[-1]
        assert 0.5 * gap <= estimate <= 1e3 * gap
        assert estimate <= tolerance * result.energy


@pytest.mark.parametrize("fixed", [{}, {1500: 7.0}])
def test_eliminated_nodes_settle_closely_enough_where_baths_are_stiff(fixed: dict[int, float]) -> None:
    """A node of a path settles once in a cycle; settled to a third, as in sweeps, it ends four times above."""
    graph, rng = lattice(3000, 1), np.random.default_rng(3)
    graph = graph.replace(weights=10.0 ** rng.uniform(-1.5, 1.5, graph.n_edges))
    heat = ef.HeatDiffusion(graph, hot=np.arange(300), cold=np.arange(2700, 3000), strength=1e4, fixed=fixed)
    result = ef.minimize(heat, tolerance=1e-8)
    best = ef.minimize(heat, result.w, method="newton-cg", tolerance=1e-14).energy
    assert NESTED in result.message
    assert result.energy - best <= 1e-8 * best


@pytest.mark.parametrize("spec", ["lattice:50x50", "triangular:40x40", "rgg:3000", "tree:2x10", "road:3000"])
@pytest.mark.parametrize("decades", [0.0, 3.0])
def test_the_energy_left_is_what_was_asked_for(spec: str, decades: float, rng: np.random.Generator) -> None:
    """Also where baths are so strong that preconditioners go stale, and to loose tolerances."""
    graph = from_spec(spec).largest_component()
    graph = graph.replace(weights=10.0 ** rng.uniform(-decades / 2, decades / 2, graph.n_edges))
    share = graph.n_nodes // 10
    for strength in (1.0, 1e4):
        energy = ef.HeatDiffusion(graph, hot=range(share), cold=range(2 * share, 3 * share), strength=strength)
        best = ef.minimize(energy, tolerance=1e-14).energy
        for tolerance in (1e-3, 1e-6, 1e-9):
            assert ef.minimize(energy, tolerance=tolerance).energy - best <= tolerance * best


@pytest.mark.parametrize(
    ("spec", "nested"), [("lattice:700x1", True), ("lattice:400x2", True), ("lattice:30x30", False)]
)
def test_on_small_graphs_only_if_most_of_it_is_eliminated(spec: str, nested: bool) -> None:
    graph = from_spec(spec).largest_component()
    order = np.argsort(graph.positions[:, 0])
    result = ef.minimize(ef.HeatDiffusion(graph, hot=order[:60], cold=order[-60:]))
    assert (NESTED in result.message) is nested


@pytest.mark.parametrize("method", ["newton-cg", "newton-mg", "auto"])
def test_quartic_terms_take_one_solve(heat: ef.HeatDiffusion, method: str) -> None:
    """The model is the energy itself, as its expression tells: one solve is all, after an opening if there is one."""
    result = ef.minimize(heat, method=method)
    assert result.status is ef.Status.CONVERGED
    assert result.stages[0].steps <= 3  # a preconditioner that no longer fits ends a solve
    assert result.energy == pytest.approx(ef.minimize(heat, tolerance=1e-14).energy, rel=1e-10)


def test_a_run_to_a_target_does_not_look_beyond(heat: ef.HeatDiffusion) -> None:
    full = ef.minimize(heat)
    short = ef.minimize(heat, target=full.energy)
    assert short.status is ef.Status.TARGET
    assert short.energy == full.energy
    assert np.isnan(short.history.decrement[-1])
    assert np.isfinite(full.history.decrement[-1])
    assert short.counts.preconditioner < full.counts.preconditioner


def test_the_start_does_not_matter(heat: ef.HeatDiffusion) -> None:
    results = [ef.minimize(heat, seed=seed) for seed in range(3)]
    assert all(NESTED in result.message for result in results)
    for other in results[1:]:
        np.testing.assert_allclose(other.w, results[0].w, atol=1e-3)


def test_a_good_start_is_kept(heat: ef.HeatDiffusion) -> None:
    """Nested iteration from the mean ends above it, so its step is not made."""
    best = ef.minimize(heat, tolerance=1e-13)
    near = best.w + 1e-5 * np.sin(np.arange(heat.size))
    result = ef.minimize(heat, near, tolerance=1e-13)
    assert "nested" not in result.message
    assert max(result.history.energy) <= heat.value(near)
    assert result.energy == pytest.approx(best.energy, rel=1e-12)


def test_fixed_nodes_stay() -> None:
    graph = lattice(60, 60)
    energy = ef.HeatDiffusion.sides(graph, fixed={1830: 9.0, 5: 1.0})
    result = ef.minimize(energy)
    assert NESTED in result.message
    assert (result.w[1830], result.w[5]) == (9.0, 1.0)
    assert result.energy == pytest.approx(ef.minimize(energy, method="newton-cg", tolerance=1e-12).energy, rel=1e-10)


def test_a_component_without_a_bath_keeps_its_mean() -> None:
    one = lattice(50, 50)
    graph = Graph.from_edges(np.concatenate([one.edges, one.edges + one.n_nodes]))
    x = np.tile(one.positions[:, 0], 2)
    first = np.arange(2 * one.n_nodes) < one.n_nodes
    energy = ef.HeatDiffusion(graph, hot=np.flatnonzero(first & (x > 44)), cold=np.flatnonzero(first & (x < 5)))
    start = energy.initial(np.random.default_rng(0))
    result = ef.minimize(energy, start)
    assert NESTED in result.message
    free = result.w[one.n_nodes :]
    assert np.ptp(free) < 1e-3
    assert free.mean() == pytest.approx(start[one.n_nodes :].mean(), abs=1.0)
    assert free.mean() != pytest.approx(start.mean(), abs=1e-6)


def test_several_wells_are_left_to_the_start(rng: np.random.Generator) -> None:
    """A state between two wells has no convex expansion: the basin is the start's, not the mean's."""
    energy = ef.Energy(lattice(60, 60), pair=lambda x: x**2 / 2, node=lambda w: (w**2 - 1) ** 2 / 4)
    start = -0.8 + 0.1 * rng.standard_normal(energy.size)
    result = ef.minimize(energy, start)
    assert "nested" not in result.message
    np.testing.assert_allclose(result.w, -1.0, atol=1e-4)


def test_other_terms_of_nodes(rng: np.random.Generator) -> None:
    """Convex but no polynomials: the expansion is a model, and the energy decides."""
    t = rng.uniform(0, 4, 3600)
    held = np.where(rng.random(3600) < 0.002, 1.0, 0.0)
    energy = ef.Energy(
        lattice(60, 60), pair=lambda x: x**2 / 2,
        node=lambda w, h, t: h * (ef.exp(w - t) + ef.exp(t - w)), node_data={"h": held, "t": t},
    )  # fmt: skip
    result = ef.minimize(energy)
    assert result.status is ef.Status.CONVERGED
    exact = ef.minimize(energy, method="newton-chol", tolerance=1e-12)
    assert result.energy == pytest.approx(exact.energy, rel=1e-9)


@pytest.mark.parametrize("spec", ["lattice:50x50", "tree:2x11", "road:4000"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_resumes_bit_for_bit(spec: str, cut: int, tmp_path: Path) -> None:
    graph = from_spec(spec).largest_component()
    order = np.arange(graph.n_nodes)
    share = graph.n_nodes // 10
    energy = ef.HeatDiffusion(graph, hot=order[:share], cold=order[-share:])
    method = ef.Direct(ef.NewtonCG(ef.Multigrid(), patience=0), name="newton")
    whole = ef.minimize(energy, method=method, max_iterations=6)
    assert NESTED in whole.message
    path = tmp_path / "run.npz"
    ef.minimize(energy, method=method, max_iterations=cut, checkpoint=path, every=1000)
    rest = ef.resume(path, max_iterations=6)
    assert rest.w.tobytes() == whole.w.tobytes()
    assert rest.counts == whole.counts
    assert rest.history.energy == whole.history.energy


@pytest.mark.parametrize("cut", [1, 2])
def test_resumes_bit_for_bit_where_the_diagonal_has_just_been_given_up(cut: int, tmp_path: Path) -> None:
    """Cut where multigrid is about to be built: it is built at the next point, not where the diagonal was taken."""
    energy = ef.HeatDiffusion.random_baths(from_spec("road:6000").largest_component())
    whole, path = ef.minimize(energy), tmp_path / "run.npz"
    assert "inner iterations with the diagonal" in whole.message
    ef.minimize(energy, max_iterations=cut, checkpoint=path)
    rest = ef.resume(path, max_iterations=None)
    assert rest.w.tobytes() == whole.w.tobytes()
    assert rest.counts == whole.counts


def test_only_the_first_step_is_an_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gradient of the start is zero, that step leaves a saddle point, and the next one is Newton's."""
    asked = []
    monkeypatch.setattr("evenflow.minimizer.newton_cg.opening_step", lambda *given: asked.append(given))
    energy = ef.Energy(lattice(12, 12), pair=lambda x: x**2 / 2, node=lambda w: (w**2 - 1) ** 2 / 4)
    method = ef.Direct(ef.NewtonCG(ef.Multigrid(coarsest=8), patience=0), stop=ef.Decrement(1e-10))
    result = ef.minimize(energy, np.zeros(144), method=method)
    assert not asked
    np.testing.assert_allclose(np.abs(result.w), 1.0, atol=1e-4)
    ef.minimize(energy, np.full(144, 0.9), method=method)
    assert len(asked) == 1
