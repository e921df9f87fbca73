"""What auto does on energies that Newton's method with multigrid is not made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import evenflow as ef
from evenflow.gallery import er, from_spec, lattice
from evenflow.minimizer import NewtonCG


def rounded_total_variation(graph: ef.Graph, width: float = 1e-2) -> tuple[ef.Energy, np.ndarray]:
    """Smoothing of noise that keeps jumps, and the noise."""
    noise = np.random.default_rng(0).normal(size=graph.n_nodes)
    energy = ef.Energy(
        graph,
        pair=lambda d: ef.sqrt(d**2 + width**2),
        node=lambda w, b: 0.5 * (w - b) ** 2,
        node_data={"b": noise},
    )
    return energy, noise


def stages(result: ef.Result) -> list[tuple[str, str]]:
    return [(stage.name, stage.status.name) for stage in result.stages]


def test_lbfgs_takes_over_where_models_are_wrong() -> None:
    energy, start = rounded_total_variation(lattice(25, 25))
    result = ef.minimize(energy, start, tolerance=1e-9)
    assert stages(result)[:2] == [("newton", "NOT_QUADRATIC"), ("lbfgs", "CONVERGED")]
    assert result.stages[0].steps == 2
    assert result.status is ef.Status.CONVERGED
    assert "far from quadratic on the way" in result.message
    newton = ef.minimize(energy, start, method="newton-cg", tolerance=1e-9)
    assert result.energy == pytest.approx(newton.energy, rel=2e-9)
    assert result.counts.gradient + 2 * result.counts.hvp < newton.counts.gradient + 2 * newton.counts.hvp


def test_poor_steps_are_counted_through_a_resume(tmp_path: Path) -> None:
    energy, start = rounded_total_variation(lattice(12, 12))
    method = ef.Direct(NewtonCG(poor_steps=4), stop=ef.Decrement(1e-9))
    whole = ef.minimize(energy, start, method=method)
    assert (whole.status, whole.stages[0].steps) == (ef.Status.NOT_QUADRATIC, 4)
    part = tmp_path / "part.npz"
    ef.minimize(energy, start, method=method, max_iterations=3, checkpoint=part)
    rest = ef.resume(part, max_iterations=100)
    assert rest.status is ef.Status.NOT_QUADRATIC
    np.testing.assert_array_equal(rest.w, whole.w)


def test_poor_steps_are_a_number() -> None:
    with pytest.raises(ef.InputError, match="poor_steps=-1"):
        NewtonCG(poor_steps=-1)


def test_a_random_network_of_phases_is_left_to_the_diagonal() -> None:
    graph = er(3_000, seed=0).largest_component()
    start = 0.1 * np.random.default_rng(0).normal(size=graph.n_nodes)
    result = ef.minimize(ef.Kuramoto(graph), start, tolerance=1e-10)
    assert "the diagonal sufficed" in result.message
    assert result.energy == pytest.approx(-2.0 * graph.n_edges, rel=1e-9)


def test_couplings_that_change_are_moved_before_anything_is_built() -> None:
    graph = lattice(60, 60)
    start = 0.1 * np.random.default_rng(0).normal(size=graph.n_nodes)
    assert "built at once" not in ef.minimize(ef.Kuramoto(graph), start, tolerance=1e-10).message
    chain = from_spec("ring:3000")  # eliminated almost to the end, which costs nothing
    start = 0.1 * np.random.default_rng(0).normal(size=chain.n_nodes)
    assert "built at once" in ef.minimize(ef.Kuramoto(chain), start, tolerance=1e-10).message


def test_a_nearly_dense_hessian_is_not_built() -> None:
    graph = er(400, seed=0).largest_component()
    energy = ef.HopfKuramoto(graph, s1=1.0, s2=1.0, loss="potential")
    start = 0.1 * np.random.default_rng(0).normal(size=graph.n_nodes)
    result = ef.minimize(energy, start, tolerance=1e-9)
    assert stages(result) == [("lbfgs", "CONVERGED")]
    assert result.counts.hessian == 0
    newton = ef.minimize(energy, start, method="newton-cg", tolerance=1e-10)
    assert result.energy - newton.energy <= 1e-9 * abs(newton.energy)
    # at a stationary point L-BFGS has nothing to say; Newton looks whether it is a minimum
    assert stages(ef.minimize(energy, np.zeros(graph.n_nodes)))[-1] == ("newton", "CONVERGED")


def membrane(graph: ef.Graph | None, order: np.ndarray) -> ef.TorchEnergy:
    """An energy in torch, softly held, whose nodes are coupled as those of a lattice in this order are."""
    i, j = torch.tensor(lattice(30, 30).edges.T)
    goal, order = torch.tensor(np.random.default_rng(0).normal(size=900)), torch.tensor(order)

    def energy(w: torch.Tensor) -> torch.Tensor:
        v = w[order]
        return ((v[i] - v[j]) ** 2).sum() + 1e-5 * ((w - goal) ** 2).sum()

    return ef.TorchEnergy(energy, shape=(900,), graph=graph)


def test_torch_energies_are_preconditioned_by_what_products_tell() -> None:
    energy, start = membrane(lattice(30, 30), np.arange(900)), np.random.default_rng(1).normal(size=900)
    result = ef.minimize(energy, start, tolerance=1e-12)
    assert stages(result) == [("lbfgs", "CONVERGED")]
    assert result.counts.gradient + 3 * result.counts.hvp <= 50
    assert "preconditioned by multigrid" in result.message


@pytest.mark.parametrize(("known", "steps"), [(True, 100), (False, 200)])
def test_torch_energies_go_on_with_newton(known: bool, steps: int) -> None:
    """Where there is no graph, or one that has nothing to do with the energy."""
    rng = np.random.default_rng(2)
    order, start = rng.permutation(900), rng.normal(size=900)
    energy = membrane(lattice(30, 30) if known else None, order)
    result = ef.minimize(energy, start, tolerance=1e-12)
    assert (result.stages[0].name, result.stages[0].steps) == ("lbfgs", steps)
    assert stages(result)[-1] == ("newton", "CONVERGED")
    assert ("multigrid takes more iterations; its diagonal stands in" in result.message) is known
    plain = ef.minimize(membrane(lattice(30, 30), order), start, method="newton-cg", tolerance=1e-12)
    assert abs(result.energy - plain.energy) <= 1e-10 * plain.energy
    assert result.counts.hvp <= 3 * plain.counts.hvp


@pytest.mark.parametrize("strength", [1e-3, 1.0])
@pytest.mark.parametrize("spec", ["ba:2500", "sbm:10x250"])
def test_what_moves_alike_is_not_overlooked(spec: str, strength: float) -> None:
    """On a random network that little holds, all that is left to gain after a few iterations is one slow mode."""
    graph = from_spec(spec).largest_component()
    energy = ef.HeatDiffusion(graph, hot=[0, 1], cold=[graph.n_nodes - 2, graph.n_nodes - 1], strength=strength)
    result = ef.minimize(energy, tolerance=1e-4)
    exact = ef.minimize(energy, result.w, tolerance=1e-12).energy
    assert result.energy - exact <= 1e-4 * exact


@pytest.mark.parametrize("kind", ["springs", "anchored"])
def test_several_states_a_node_are_left_to_lbfgs(kind: str) -> None:
    """In space, where a factor of the Hessian fills, and rotations of neighbours make it indefinite."""
    graph, rng = lattice(7, 7, 7), np.random.default_rng(0)
    place = np.asarray(graph.positions, dtype=float)
    terms = {
        "springs": {
            "pair": lambda r2, rest: (ef.sqrt(r2) - rest) ** 2,
            "edge_data": {"rest": rng.uniform(0.9, 1.1, graph.n_edges)},
            "fixed": (np.flatnonzero(place[:, 0] == 0), place[place[:, 0] == 0]),
        },
        "anchored": {
            "pair": lambda r2: r2 / 2,
            "node": lambda w, t: 0.01 * (w - t) ** 4,
            "node_data": {"t": place},
        },
    }[kind]
    energy = ef.Energy(graph, pair_of="squared_distance", dim=3, **terms)
    result = ef.minimize(energy, place + 0.2 * rng.normal(size=place.shape), tolerance=1e-9)
    assert stages(result) == [("lbfgs", "CONVERGED")]
    assert result.counts.hessian == 0
    assert result.counts.factorisation <= 3
    further = ef.minimize(energy, result.w, method="newton-cg", tolerance=1e-13)
    assert result.energy - further.energy <= 1e-9 * abs(further.energy) + 1e-10


@pytest.mark.parametrize("compiled", [True, False])
def test_a_sheet_that_is_pressed_buckles(compiled: bool) -> None:
    """It begins flat, where no gradient has a part across it, and would be at a saddle point in the end."""
    graph, rng = lattice(8, 8), np.random.default_rng(0)
    flat = np.c_[np.asarray(graph.positions, dtype=float), np.zeros(64)]
    rim = np.flatnonzero(((flat[:, :2] == 0) | (flat[:, :2] == 7)).any(axis=1))
    start = flat + np.c_[0.05 * rng.normal(size=(64, 2)), np.zeros(64)]
    i, j = torch.tensor(graph.edges.T)
    springs = ef.Energy(
        graph, pair=lambda r2: (ef.sqrt(r2) - 1.2) ** 2, pair_of="squared_distance", dim=3, fixed=(rim, flat[rim])
    )
    in_torch = ef.TorchEnergy(
        lambda w: ((((w[i] - w[j]) ** 2).sum(1).sqrt() - 1.2) ** 2).sum(), (64, 3), graph=graph, fixed=(rim, flat[rim])
    )
    energy: ef.BaseEnergy = springs if compiled else in_torch
    stays = ef.minimize(energy, start, method="lbfgs")
    assert (stays.w[:, 2] == 0).all()
    result = ef.minimize(energy, start)
    assert result.energy < 0.99 * stays.energy
    assert np.abs(result.w[:, 2]).max() > 0.1
    assert "left a saddle point" in result.message
