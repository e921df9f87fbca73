"""Nonlinear conjugate gradients: conformance, finite termination, preconditioning, faults."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.minimizer import MinimizerConformance, Run, quadratic
from conformance.preconditioning import Broken, Exact, Indefinite
from evenflow.errors import InputError
from evenflow.minimizer.ncg import NonlinearCG
from evenflow.status import Status


class TestNonlinearCG(MinimizerConformance):
    max_steps = 800

    def make(self):
        return NonlinearCG()


class TestPreconditioned(MinimizerConformance):
    max_steps = 800

    def make(self):
        return NonlinearCG(preconditioner=Exact(), source="hessian")


def test_like_linear_conjugate_gradients_on_a_quadratic():
    """With nearly exact line searches the steps are those of linear CG: at most n of them."""
    energy = quadratic()
    run = Run.begin(NonlinearCG(curvature=1e-3), energy)
    run.steps(energy.size, down_to=1e-9)
    assert run.state.gradient_norm <= 1e-6


def test_exact_preconditioner_solves_a_quadratic_at_once():
    run = Run.begin(NonlinearCG(preconditioner=Exact(), source="hessian"), quadratic()).steps(2)
    assert run.state.gradient_norm < 1e-9


@pytest.mark.parametrize("fault", [Broken(), Indefinite()])
def test_faulty_preconditioner_is_not_trusted(fault):
    energy = quadratic()
    run = Run.begin(NonlinearCG(preconditioner=fault, source="hessian"), energy)
    notes = [run.steps(1, down_to=1e-8).state.note for _ in range(150)]
    assert run.state.energy == pytest.approx(energy.minimum, rel=1e-12)
    assert any("diagonal stands in" in note for note in notes)


def test_wrong_gradient_is_told():
    energy = quadratic()
    right = energy._gradient
    energy._gradient = lambda w: -right(w)
    assert Run.begin(NonlinearCG(), energy).steps(5).state.status is Status.LINE_SEARCH_FAILED


def test_zero_gradient_is_the_end():
    energy = quadratic()
    energy._gradient = np.zeros_like
    assert Run.begin(NonlinearCG(), energy).steps(1).state.status is Status.CONVERGED


@pytest.mark.parametrize(("option", "value"), [("source", "laplacian"), ("curvature", 1.0)])
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option}="):
        NonlinearCG(**{option: value})
