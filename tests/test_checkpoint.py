"""A resumed solve is the uninterrupted one, bit for bit."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

import evenflow as ef
from evenflow.io import archive

RESUMABLE = ["adam", "rmsprop", "sgd", "adagrad", "rk4", "gcn", "gcn-res", "gat", "graph-network", "series",
             "whitened-adam", "lbfgs", "lbfgs-chol", "lbfgs-mg", "ncg", "newton-cg", "newton-mg", "newton-chol",
             "auto"]  # fmt: skip


@pytest.fixture(scope="module")
def heat() -> ef.HeatDiffusion:
    return ef.HeatDiffusion.from_graph(ef.gallery.lattice(7, 7), baths="sides")


@pytest.mark.parametrize("method", RESUMABLE)
def test_resume_continues_bit_for_bit(heat: ef.HeatDiffusion, method: str, tmp_path: Path) -> None:
    options = {"lr": 1e-5} if method == "sgd" else {}
    whole = ef.minimize(heat, method=method, seed=1, max_iterations=40, **options)
    path = tmp_path / "run.npz"
    cut = max(1, (len(whole.history) - 1) // 2)
    part = ef.minimize(heat, method=method, seed=1, max_iterations=cut, checkpoint=path, every=1000, **options)
    assert len(part.history) <= len(whole.history)
    rest = ef.resume(path, max_iterations=40)
    assert rest.w.tobytes() == whole.w.tobytes()
    assert rest.history.energy == whole.history.energy
    np.testing.assert_array_equal(rest.history.decrement, whole.history.decrement)
    assert rest.status is whole.status
    assert [stage.steps for stage in rest.stages] == [stage.steps for stage in whole.stages]
    assert rest.counts == whole.counts


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("cut", [0.1, 0.6, 0.9])
@pytest.mark.parametrize("method", ["lbfgs-mg", "ncg", "newton-mg", "newton-chol", "auto"])
def test_resume_where_only_products_are_known(method: str, cut: float, told: bool, tmp_path: Path) -> None:
    """Preconditioners are fitted to products then, and given up where the graph tells nothing of the couplings."""
    graph, rng = ef.gallery.lattice(12, 12), np.random.default_rng(0)
    order = torch.tensor(np.arange(144) if told else rng.permutation(144))
    i, j = order[torch.tensor(graph.edges.T)]
    goal = torch.tensor(rng.normal(size=144))
    energy = ef.TorchEnergy(lambda w: ((w[i] - w[j]) ** 2).sum() + 0.01 * ((w - goal) ** 4).sum(), 144, graph=graph)
    start, path = 3.0 * rng.normal(size=144), tmp_path / "run.npz"
    whole = ef.minimize(energy, start, method=method, max_iterations=130)
    part = max(1, int(cut * (len(whole.history) - 1)))
    ef.minimize(energy, start, method=method, max_iterations=part, checkpoint=path, every=1000)
    rest = ef.resume(path, energy, max_iterations=130)
    assert rest.w.tobytes() == whole.w.tobytes()
    assert rest.history.energy == whole.history.energy
    assert rest.status is whole.status
    assert rest.counts == whole.counts


def test_resume_in_the_second_stage(heat: ef.HeatDiffusion, tmp_path: Path) -> None:
    method = ef.TwoStage(ef.GCN(hidden=6), switch=ef.Steps(10))
    whole = ef.minimize(heat, method=method, max_iterations=30)
    path = tmp_path / "run.npz"
    ef.minimize(heat, method=method, max_iterations=17, checkpoint=path)
    assert ef.resume(path, max_iterations=30).w.tobytes() == whole.w.tobytes()


def test_resume_of_a_finished_solve_changes_nothing(heat: ef.HeatDiffusion, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    whole = ef.minimize(heat, method="lbfgs", checkpoint=path, every=3)
    again = ef.resume(path)
    assert again.w.tobytes() == whole.w.tobytes()
    assert again.status is whole.status


def test_an_energy_with_code_must_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    energy = ef.TorchEnergy(lambda w: ((w - 1.0) ** 2).sum(), shape=(4,))
    ef.minimize(energy, method="adam", max_iterations=5, checkpoint=path)
    with pytest.raises(ef.InputError, match="pass energy= again"):
        ef.resume(path)
    result = ef.resume(path, energy, max_iterations=10)
    assert len(result.history) == 11
    other = ef.TorchEnergy(lambda w: w.sum(), shape=(5,))
    with pytest.raises(ef.InputError, match="shape"):
        ef.resume(path, other)


def test_a_user_written_energy_resumes_without_being_given(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    graph = ef.gallery.lattice(4, 4)
    energy = ef.Energy(graph, pair=lambda x: x**2, node=lambda w, t: (w - t) ** 4, node_data={"t": np.arange(16.0)})
    whole = ef.minimize(energy, method="lbfgs")
    ef.minimize(energy, method="lbfgs", max_iterations=3, checkpoint=path)
    assert ef.resume(path, max_iterations=None).w.tobytes() == whole.w.tobytes()


def test_truncated_and_foreign_checkpoints(heat: ef.HeatDiffusion, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    ef.minimize(heat, method="adam", max_iterations=5, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ef.FileFormatError, match=r"run\.npz: not a complete evenflow checkpoint"):
        ef.resume(path)
    result = ef.minimize(heat)
    result.save(path)
    with pytest.raises(ef.FileFormatError, match="an evenflow result file"):
        ef.resume(path)


def test_a_full_disk_costs_the_checkpoint_not_the_solve(
    heat: ef.HeatDiffusion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.npz"
    ef.minimize(heat, method="adam", max_iterations=5, checkpoint=path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive.os, "fsync", full)
    with pytest.warns(ef.EvenflowWarning, match="No space left on device"):
        result = ef.minimize(heat, method="adam", max_iterations=9, checkpoint=path, every=5)
    assert len(result.history) == 10
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.npz"]


def test_torch_optimizer_state_survives(heat: ef.HeatDiffusion, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "run.npz"
    method = ef.TwoStage(ef.GCN(hidden=5), optimizer="rmsprop", lr=1e-3, switch=ef.Steps(20), options={"momentum": 0.5})
    whole = ef.minimize(heat, method=method, max_iterations=15)
    ef.minimize(heat, method=method, max_iterations=8, checkpoint=path)
    assert ef.resume(path, max_iterations=15).w.tobytes() == whole.w.tobytes()
