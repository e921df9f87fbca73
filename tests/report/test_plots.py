from __future__ import annotations

import sys

import numpy as np
import pytest

import evenflow as ef
from evenflow.errors import InputError
from evenflow.history import Counts, History
from evenflow.report.plots import plot_history
from evenflow.result import Result, StageReport
from evenflow.status import Status


def result(energies, stages=(0,), *, problem=None) -> Result:
    """A result with a given course; ``stages`` tells how many rows each stage has."""
    history = History()
    numbers = np.repeat(np.arange(len(stages)), stages) if sum(stages) else np.zeros(len(energies), int)
    for k, (energy, stage) in enumerate(zip(energies, numbers, strict=True)):
        history.append(0.1 * k, energy, 1.0, float("nan"), int(stage))
    reports = [
        StageReport(f"stage-{k}", "identity", "adam", Status.CONVERGED, 1, 1.0, 0.0, energies[0], energies[-1])
        for k in range(len(stages))
    ]
    return Result(
        w=np.zeros(3),
        energy=min(energies),
        gradient_norm=0.0,
        status=Status.CONVERGED,
        message="",
        method="adam",
        stages=reports,
        history=history,
        counts=Counts(),
        seconds=1.0,
        setup_seconds=0.0,
        seed=0,
        report={},
        problem=problem,
    )


def test_time_and_steps_with_units():
    figure = plot_history(result([100.0, 10.0, 1.0]))
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("time (s)", "step")
    assert left.get_ylabel() == "energy $E$"
    assert left.get_yscale() == "log"
    np.testing.assert_allclose(left.lines[0].get_xdata(), [0.0, 0.1, 0.2])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [100.0, 10.0, 1.0])


def test_negative_energies_get_a_linear_axis():
    assert plot_history(result([5.0, -3.0, -4.0])).axes[0].get_yscale() == "linear"


def test_gap_to_a_reference_is_logarithmic_even_for_negative_energies():
    figure = plot_history(result([0.0, -3.0, -4.0]), reference=-4.0)
    left = figure.axes[0]
    assert left.get_yscale() == "log"
    assert "gap" in left.get_ylabel()
    np.testing.assert_allclose(left.lines[0].get_ydata(), [1.0, 0.25, np.nan])


def test_stage_switches_are_marked():
    left, right = plot_history(result([9.0, 8.0, 7.0, 6.0, 5.0], stages=(2, 3))).axes
    for axes, switch in ((left, 0.2), (right, 2)):
        rules = [line for line in axes.lines if line.get_label().startswith("_") and len(set(line.get_xdata())) == 1]
        assert [line.get_xdata()[0] for line in rules] == [pytest.approx(switch)]
        labels = [line.get_label() for line in axes.lines if line.get_label().startswith("stage")]
        assert labels == ["stage-0", "stage-1"]


def test_long_histories_are_thinned_and_keep_both_ends():
    count = 100_000
    line = plot_history(result(np.linspace(9.0, 1.0, count).tolist())).axes[1].lines[0]
    assert len(line.get_xdata()) < 10_000
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, count - 1)


def test_energies_that_are_not_finite_are_left_out():
    figure = plot_history(result([5.0, float("inf"), 1.0]))
    np.testing.assert_array_equal(np.isfinite(figure.axes[0].lines[0].get_ydata()), [True, False, True])


def test_real_results_draw_and_are_written(tmp_path):
    energy = ef.HeatDiffusion.random_baths(ef.gallery.lattice(6, 6))
    solved = ef.minimize(energy, method="lbfgs")
    solved.plot(tmp_path / "history.png")
    solved.plot_state(tmp_path / "state.svg")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "state.svg").read_bytes()


def test_exact_minimum_makes_it_a_gap():
    energy = ef.Kuramoto(ef.gallery.lattice(4, 4))
    near = 0.1 * np.random.default_rng(0).standard_normal(16)
    figure = plot_history(ef.minimize(energy, near, method="lbfgs"))
    assert "gap" in figure.axes[0].get_ylabel()


def test_unknown_format(tmp_path):
    with pytest.raises(InputError, match="picture ends in"):
        plot_history(result([2.0, 1.0]), tmp_path / "x.doc")


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"evenflow\[plot\]"):
        plot_history(result([2.0, 1.0]))


@pytest.fixture(autouse=True)
def _close():
    yield
    from matplotlib import pyplot

    pyplot.close("all")
