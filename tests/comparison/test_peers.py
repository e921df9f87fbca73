from __future__ import annotations

import numpy as np
import pytest

from evenflow.comparison import PEERS, compare

# Constant learning rates stop short of the minimum (Muon's steps never shorten); all others go the whole way.
FIRST_ORDER = {"torch-adam", "torch-adam-best", "shampoo", "adahessian", "soap", "muon", "large-steps"}


@pytest.fixture(scope="module")
def near(heat, minimum):
    """A start that first-order methods bring home in a second: a fifth of the way from the minimum."""
    from evenflow.front import minimize

    far = heat.initial(np.random.default_rng(0))
    return minimize(heat, method="newton-cg").w * 0.9 + 0.1 * far


@pytest.mark.parametrize("name", PEERS)
def test_reaches_the_first_target(name, heat, minimum, near):
    if (reason := PEERS[name].refuses(heat)) is not None:
        pytest.skip(reason)
    # Muon's steps are as long as its learning rate: at the wrong one it stays away for ever, so that its trials may
    # not be cut short, as they would be on a busy machine.
    muon = name == "muon"
    last = 1e-2 if muon else 1e-4 if name in FIRST_ORDER else 1e-8
    row = compare(
        heat,
        [name],
        targets=(1e-1, last),
        w0=near,
        reference=minimum,
        max_seconds=20.0,
        tune_seconds=5.0 if muon else 0.2,
        repeats=1,
        warmup_seconds=0.0,
    ).rows[0]
    assert row.status == "reached", row.reason
    assert row.times["0.1"] <= row.times[f"{last:g}"]
    assert row.gap <= last
    assert row.version
    assert row.counts["gradient"] + row.counts["value"] > 0


@pytest.mark.parametrize("name", ["torch-adam", "adahessian", "newton-pyamg"])
def test_random_peers_repeat_themselves_and_leave_the_generators_alone(name, heat, minimum, near):
    import torch

    from evenflow.comparison import Recorder, StopRun

    def course():
        recorder = Recorder(heat, target=minimum * (1 + 1e-3))
        with pytest.raises(StopRun):
            PEERS[name].run(recorder, near.copy(), 5)
        return recorder.energies

    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_allclose(course(), course(), rtol=1e-9)  # rounding may differ, draws may not
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
