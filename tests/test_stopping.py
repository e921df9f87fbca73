"""Stopping rules on made-up sequences of energies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenflow.errors import InputError
from evenflow.minimizer.base import State
from evenflow.status import Status
from evenflow.stopping import Decrement, Fluctuation, GradientNorm, Never, Plateau, Stagnation, Steps, StoppingRule


def run(rule: StoppingRule, energies: list[float], norms: list[float] | None = None) -> tuple[int, Status] | None:
    """Step at which the rule stops a made-up run, and its status."""
    zero = np.zeros(1)
    norms = norms or [1.0] * len(energies)
    state = State(zero, energies[0], zero, norms[0])
    rule.reset(state)
    for state.steps, (state.energy, state.gradient_norm) in enumerate(
        zip(energies[1:], norms[1:], strict=True), start=1
    ):
        status = rule.check(state)
        if status is not None:
            return state.steps, status
    return None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_fluctuation_is_safe_for_negative_energies(sign: float) -> None:
    falling = [sign * 100.0 - 5.0 * k for k in range(15)]
    flat = [falling[-1]] * 12
    assert run(Fluctuation(1e-6, 10), falling + flat) == (23, Status.PLATEAU)


def test_fluctuation_needs_a_full_window() -> None:
    assert run(Fluctuation(1.0, 10), [1.0] * 9) is None
    with pytest.raises(InputError, match="patience=1"):
        Fluctuation(patience=1)


def test_plateau_counts_steps_without_improvement() -> None:
    assert run(Plateau(0.1, 3), [5, 4, 3.95, 3.94, 3.93, 3.92]) == (4, Status.PLATEAU)
    assert run(Plateau(0.1, 3), [-5, -6, -7, -8, -9]) is None
    assert run(Plateau(0.1, 2, relative=True), [-100, -101, -102]) == (2, Status.PLATEAU)


def test_gradient_norm_relative_and_absolute() -> None:
    assert run(GradientNorm(relative=1e-2), [3, 2, 1], [10, 1, 0.1]) == (2, Status.CONVERGED)
    assert run(GradientNorm(absolute=1.0), [3, 2, 1], [10, 1, 0.1]) == (1, Status.CONVERGED)


def test_decrement_ignores_nan() -> None:
    assert run(Decrement(1e-3), [1.0, 1.0, 1.0]) is None


def test_steps_and_combination() -> None:
    rule = Steps(5) | Plateau(0.0, 2)
    assert run(rule, [3, 2, 1, 1, 1, 1]) == (4, Status.PLATEAU)
    assert run(Never() | Steps(2), [1, 2, 3]) == (2, Status.MAX_ITERATIONS)


@given(rate=st.floats(0.5, 0.98), offset=st.floats(1, 50))
def test_stagnation_estimates_the_gap_of_linear_convergence(rate: float, offset: float) -> None:
    """Where a linearly convergent run is stopped, the gap left is what was asked for, within a factor."""
    energies = [offset + 100.0 * rate**k for k in range(3000)]
    stopped = run(Stagnation(1e-6, 10), energies)
    assert stopped is not None
    step, status = stopped
    assert status is Status.CONVERGED
    assert energies[step] - offset <= 1e-5 * abs(energies[step]) + 1e-12 * 100


def test_a_fresh_rule_is_independent() -> None:
    rule = Plateau(0.0, 2) | Fluctuation(1e-3, 3)
    one, two = rule.fresh(), rule.fresh()
    assert one == rule
    zero = np.zeros(1)
    for copy in (one, two):
        copy.reset(State(zero, 1.0, zero, 1.0))
    flat = [one.check(State(zero, 1.0, zero, 1.0)) for _ in range(2)]
    falling = [two.check(State(zero, energy, zero, 1.0)) for energy in (0.5, 0.2)]
    assert (flat, falling) == ([None, Status.PLATEAU], [None, None])


def test_stagnation_is_not_fooled_by_a_plunge() -> None:
    """From a far start the energy falls by decades, then slowly: only the slow part tells the gap."""
    energies = [1e6 * 0.1**k for k in range(9)] + [1e-2 * 0.9**k + 1.0 for k in range(400)]
    energies = [max(energy, 1.0 + 1e-2) if k < 9 else energy for k, energy in enumerate(energies)]
    stopped = run(Stagnation(1e-9), energies)
    assert stopped is not None
    assert energies[stopped[0]] - 1.0 <= 1e-8
