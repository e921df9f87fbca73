"""Every named method on every kind of energy: it solves, or says why it cannot."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import evenflow as ef
from evenflow.method.codec import decode, encode
from evenflow.method.registry import build_method

DESCENDING = [name for name in ef.METHODS if name != "rk4"]


@cache
def heat() -> ef.BaseEnergy:
    return ef.HeatDiffusion.from_graph(ef.gallery.lattice(9, 9), baths="sides")


@cache
def springs() -> ef.BaseEnergy:
    """Pinned springs in the plane: a user-written energy without a derivative in sight."""
    graph = ef.gallery.lattice(5, 5)
    place = np.stack(np.divmod(np.arange(25), 5), axis=1).astype(float)
    return ef.Energy(
        graph,
        pair=lambda r2, rest: (ef.sqrt(r2) - rest) ** 2,
        pair_of="squared_distance",
        edge_data={"rest": np.full(graph.n_edges, 1.1)},
        dim=2,
        fixed=(np.array([0, 4, 20, 24]), place[[0, 4, 20, 24]]),
        initial=lambda rng: place + 0.1 * rng.normal(size=(25, 2)),
    )


@cache
def xy_with_field() -> ef.BaseEnergy:
    """Spins in a field, written in one line."""
    return ef.Energy(
        ef.gallery.ring(30),
        pair=lambda d: -ef.cos(d),
        node=lambda w, h: -h * ef.cos(w),
        node_data={"h": 0.5 * np.ones(30)},
    )


@cache
def lowest(build) -> float:  # type: ignore[no-untyped-def]
    energy = build()
    return ef.minimize(energy, energy.initial(np.random.default_rng(0)), method="newton-cg", tolerance=1e-14).energy


@pytest.mark.parametrize("method", ef.METHODS)
def test_heat_is_solved(method: str) -> None:
    options = {"lr": 2e-5} if method == "sgd" else {}
    result = ef.minimize(heat(), method=method, seed=0, max_iterations=20_000, **options)
    gap = (result.energy - lowest(heat)) / lowest(heat)
    # Plain gradient flows and AdaGrad at the papers' rate are slow on purpose; they need only have come a long way.
    loose = {"sgd": 1.0, "adagrad": 500.0, "rk4": 1e-2, "rmsprop": 1e-2}.get(method, 1e-6)
    assert -1e-12 <= gap <= loose, result


@pytest.mark.parametrize("method", ef.METHODS)
@pytest.mark.parametrize("build", [springs, xy_with_field])
def test_user_written_energies_go_down_with_every_method(method: str, build) -> None:  # type: ignore[no-untyped-def]
    energy = build()
    start = energy.initial(np.random.default_rng(0))
    options = {"lr": 0.05} if method == "sgd" else {}
    result = ef.minimize(energy, start, method=method, max_iterations=3000, **options)
    assert not result.status.failed, result
    assert result.energy < energy.value(start)
    if method in ("auto", "newton-cg", "lbfgs", "lbfgs-chol"):
        assert result.gradient_norm <= 1e-4 * max(1.0, np.linalg.norm(energy.gradient(start)))


@pytest.mark.parametrize("method", ef.METHODS)
def test_every_method_is_data(method: str) -> None:
    recipe = build_method(method, heat(), 1e-10)
    assert encode(decode(encode(recipe))) == encode(recipe)
    entry = ef.METHODS[method]
    assert entry.description
    assert entry.source


def test_decode_refuses_foreign_classes() -> None:
    with pytest.raises(ef.InputError, match="unknown class 'Popen'"):
        decode({"__type__": "Popen", "args": "true"})


@pytest.mark.parametrize("method", ["adam", "lbfgs", "newton-cg", "auto", "gcn", "ncg"])
def test_torch_energies(method: str) -> None:
    graph = ef.gallery.lattice(4, 4)
    i, j = torch.tensor(graph.edges.T)

    def value(w):  # type: ignore[no-untyped-def]
        return ((w[i] - w[j]) ** 2).sum() + ((w - 1.0) ** 4).sum()

    energy = ef.TorchEnergy(value, shape=(16,), graph=graph)
    result = ef.minimize(energy, method=method, max_iterations=2000)
    assert not result.status.failed
    assert result.energy <= (1e-2 if method == "adam" else 1e-4)  # at its fixed learning rate
