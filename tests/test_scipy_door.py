from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import evenflow as ef
from evenflow.errors import InputError
from evenflow.scipy_door import scipy_method


@pytest.fixture(scope="module")
def heat() -> ef.HeatDiffusion:
    return ef.HeatDiffusion.random_baths(ef.gallery.lattice(7, 7), seed=2)


@pytest.fixture(scope="module")
def start(heat):
    return heat.initial(np.random.default_rng(0))


@pytest.fixture(scope="module")
def minimum(heat) -> float:
    return ef.minimize(heat, method="newton-cg", tolerance=1e-13).energy


@pytest.mark.parametrize("second", ["none", "hess", "hessp"])
@pytest.mark.parametrize("method", ["auto", "lbfgs"])
def test_reaches_the_minimum(heat, start, minimum, method, second):
    more = {"none": {}, "hess": {"hess": lambda x: heat.hessian(x).copy()}, "hessp": {"hessp": heat.hvp}}[second]
    door = scipy_method(heat.graph, method)
    outcome = minimize(heat.value_and_gradient, start, jac=True, method=door, **more)
    assert outcome.success, outcome.message
    assert outcome.fun == pytest.approx(minimum, rel=1e-8)
    assert outcome.fun == heat.value(outcome.x)
    assert outcome.x.shape == start.shape
    assert outcome.nit == sum(stage.steps for stage in outcome.result.stages)
    assert outcome.njev > 0


def test_joined_and_separate_gradients_agree(heat, start):
    door = scipy_method(heat.graph, "lbfgs")
    joined = minimize(heat.value_and_gradient, start, jac=True, method=door)
    apart = minimize(heat.value, start, jac=heat.gradient, method=door)
    np.testing.assert_array_equal(joined.x, apart.x)


def test_extra_arguments_reach_the_functions():
    graph = ef.gallery.ring(8)
    target = np.linspace(0.0, 1.0, 8)

    def fun(x, a, b):
        return a * ((x - b) ** 2).sum()

    def jac(x, a, b):
        return 2 * a * (x - b)

    outcome = minimize(fun, np.zeros(8), args=(3.0, target), jac=jac, method=scipy_method(graph, "lbfgs"))
    np.testing.assert_allclose(outcome.x, target, atol=1e-6)


def test_several_unknowns_for_each_node():
    graph = ef.gallery.ring(6)
    outcome = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(12), jac=lambda x: 2 * (x - 1), method=scipy_method(graph, "lbfgs")
    )
    assert outcome.result.w.shape == (6, 2)
    np.testing.assert_allclose(outcome.x, 1.0, atol=1e-6)


def test_both_kinds_of_callback(heat, start):
    door = scipy_method(heat.graph, "lbfgs")
    seen = []

    def old(xk):
        seen.append(xk.copy())

    outcome = minimize(heat.value_and_gradient, start, jac=True, method=door, callback=old)
    assert len(seen) >= outcome.nit - 1  # the step that ends the solve is its result
    values = []

    def new(intermediate_result):
        values.append(intermediate_result.fun)
        if len(values) == 3:
            raise StopIteration

    stopped = minimize(heat.value_and_gradient, start, jac=True, method=door, callback=new)
    assert len(values) == 3
    assert not stopped.success
    assert values[-1] == pytest.approx(heat.value(seen[2]))


def test_limits(heat, start):
    door = scipy_method(heat.graph, "lbfgs")
    outcome = minimize(heat.value_and_gradient, start, jac=True, method=door, options={"maxiter": 2})
    assert (outcome.nit, outcome.success, outcome.status) == (2, False, 1)
    loose = minimize(heat.value_and_gradient, start, jac=True, method=door, tol=1e-2)
    tight = minimize(heat.value_and_gradient, start, jac=True, method=door, tol=1e-11)
    assert loose.nit <= tight.nit


def test_what_cannot_be_done_is_refused(heat, start):
    door = scipy_method(heat.graph)
    call = {"fun": heat.value_and_gradient, "x0": start, "jac": True, "method": door}
    with pytest.raises(InputError, match="jac"):
        minimize(heat.value, start, method=door)
    with pytest.raises(InputError, match="bounds"):
        minimize(**call, bounds=[(0, 1)] * start.size)
    with pytest.raises(InputError, match="known are tol"):
        minimize(**call, options={"eps": 1})
    with pytest.raises(InputError, match="multiple of the graph"):
        minimize(**{**call, "x0": np.zeros(5)})
    with pytest.raises(InputError, match="expected an evenflow Graph"):
        scipy_method(np.eye(3))
    with pytest.raises(InputError, match="without a network"):
        minimize(heat.value_and_gradient, start, jac=True, method=scipy_method(heat.graph)).result.problem.torch_value(
            None
        )
