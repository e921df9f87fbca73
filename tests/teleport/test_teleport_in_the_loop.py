"""Teleports between the steps of evenflow's own loop."""

from __future__ import annotations

import numpy as np
import pytest

import evenflow as ef


@pytest.mark.parametrize("minimizer", [ef.GradientDescent(lr=1e-4), ef.Adam(lr=0.01), ef.LBFGS()])
def test_a_teleport_keeps_the_energy_and_is_counted(minimizer: ef.Minimizer) -> None:
    energy = ef.HeatDiffusion.from_graph(ef.gallery.lattice(6, 6), baths="sides")
    start = energy.initial(np.random.default_rng(0))
    plain = ef.minimize(energy, start, method=ef.Direct(minimizer, ef.Steps(3)))
    steep = ef.Direct(minimizer, ef.Steps(3), teleport=ef.teleport.EnergyTeleport().at([0]))
    result = ef.minimize(energy, start, method=steep)
    assert result.history.energy[0] == pytest.approx(energy.value(start))
    if not isinstance(minimizer, ef.Adam):  # whose step does not grow with the gradient
        assert result.history.energy[1] < plain.history.energy[1]
    assert result.counts.gradient > plain.counts.gradient


def test_no_teleport_no_difference() -> None:
    energy = ef.HeatDiffusion.from_graph(ef.gallery.lattice(6, 6), baths="sides")
    start = energy.initial(np.random.default_rng(0))
    plain = ef.minimize(energy, start, method=ef.Direct(ef.Adam(), ef.Steps(5)))
    never = ef.Direct(ef.Adam(), ef.Steps(5), teleport=ef.teleport.EnergyTeleport().at([99]))
    assert ef.minimize(energy, start, method=never).w.tobytes() == plain.w.tobytes()


def test_a_teleporting_method_is_refused_by_checkpoints(tmp_path) -> None:  # type: ignore[no-untyped-def]
    energy = ef.HeatDiffusion.from_graph(ef.gallery.lattice(6, 6), baths="sides")
    method = ef.Direct(ef.Adam(), ef.Steps(5), teleport=ef.teleport.EnergyTeleport().at([2]))
    with pytest.raises(ef.InputError, match="cannot save"):
        ef.minimize(energy, method=method, checkpoint=tmp_path / "c.npz", every=1)
