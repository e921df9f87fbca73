"""What every energy must do, whoever evaluates it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from evenflow.energy.base import BaseEnergy, FloatArray
from evenflow.energy.check import taylor_order
from evenflow.errors import InputError


class EnergyConformance:
    """Inherit, and say how to make the energy.

    ``make`` builds it with given fixed nodes; ``other_units`` gives the same energy in other units and the map
    of the states.
    """

    saves = True
    chunks = True

    @classmethod
    def make(cls, fixed: Any = None) -> BaseEnergy:
        raise NotImplementedError

    @classmethod
    def other_units(cls) -> tuple[BaseEnergy, Callable[[FloatArray], FloatArray], float]:
        """Return (energy', map, factor) with energy'(map(w)) = factor energy(w)."""
        raise NotImplementedError

    @pytest.fixture
    def energy(self) -> BaseEnergy:
        return self.make()

    @pytest.fixture
    def w(self, energy: BaseEnergy, rng: np.random.Generator) -> FloatArray:
        return energy.initial(rng)

    @pytest.fixture
    def v(self, energy: BaseEnergy, rng: np.random.Generator) -> FloatArray:
        return rng.standard_normal(energy.shape)

    # derivatives ---------------------------------------------------------------------------------------------------

    def test_gradient_has_taylor_order_two(self, energy: BaseEnergy, w: FloatArray, v: FloatArray) -> None:
        value, gradient = energy.value_and_gradient(w)
        slope = float((gradient * v).sum())
        order = taylor_order(lambda h: abs(energy.value(w + h * v) - value - h * slope), abs(value) + abs(slope))
        assert order > 1.8

    def test_hvp_has_taylor_order_two(self, energy: BaseEnergy, w: FloatArray, v: FloatArray) -> None:
        gradient, product = energy.gradient(w), energy.hvp(w, v)
        scale = np.abs(gradient).max() + np.abs(product).max()
        order = taylor_order(lambda h: np.abs(energy.gradient(w + h * v) - gradient - h * product).max(), scale)
        assert order > 1.8

    def test_hessian_is_the_matrix_of_hvp(self, energy: BaseEnergy, w: FloatArray) -> None:
        dense = np.stack([energy.hvp(w, e.reshape(energy.shape)).ravel() for e in np.eye(energy.size)], axis=1)
        scale = np.abs(dense).max()
        np.testing.assert_allclose(dense, dense.T, atol=1e-13 * scale)
        if not energy.sparse_hessian:
            with pytest.raises(InputError, match="no sparse Hessian"):
                energy.hessian(w)
            return
        matrix = energy.hessian(w)
        assert matrix.shape == (energy.size, energy.size)
        assert matrix.has_sorted_indices
        np.testing.assert_allclose(matrix.toarray(), dense, atol=1e-13 * scale)

    def test_hessian_keeps_its_pattern_and_is_refreshed(
        self, energy: BaseEnergy, w: FloatArray, rng: np.random.Generator
    ) -> None:
        if not energy.sparse_hessian:
            return
        first = energy.hessian(w)
        kept = first.copy()
        second = energy.hessian(energy.initial(rng))
        assert second is first
        np.testing.assert_array_equal(kept.indices, second.indices)
        np.testing.assert_array_equal(energy.hessian(w).data, kept.data)

    def test_diagonal_of_the_hessian(self, energy: BaseEnergy, w: FloatArray, rng: np.random.Generator) -> None:
        if not energy.sparse_hessian:
            return
        diagonal = energy.hessian_diagonal(w)  # before the Hessian was ever asked for, and after
        np.testing.assert_array_equal(diagonal, energy.hessian(w).diagonal())
        np.testing.assert_array_equal(energy.hessian_diagonal(w), diagonal)
        first = energy.hessian(w).toarray()
        change = energy.hessian(energy.initial(rng)).toarray() - first
        assert not energy.constant_couplings or not (change - np.diag(change.diagonal())).any()

    def test_series_are_slopes_of_the_diagonal(self, energy: BaseEnergy, w: FloatArray) -> None:
        """Only a node's own state moves its diagonal entry, so one shift of all states serves for all nodes."""
        if not energy.constant_couplings:
            assert not energy.quartic
            with pytest.raises(InputError, match="constant_couplings"):
                energy.diagonal_series(w)
            return
        step = 1e-4
        ahead, back = energy.hessian_diagonal(w + step), energy.hessian_diagonal(w - step)
        second, third, fourth = energy.diagonal_series(w)
        np.testing.assert_array_equal(second, energy.hessian_diagonal(w))
        scale = 1.0 + np.abs(second).max() + np.abs(third).max() + np.abs(fourth).max()
        np.testing.assert_allclose((ahead - back) / (2 * step), third, atol=1e-6 * scale)
        slope = (energy.diagonal_series(w + step)[1] - energy.diagonal_series(w - step)[1]) / (2 * step)
        np.testing.assert_allclose(slope, fourth, atol=1e-6 * scale)
        if energy.quartic:
            np.testing.assert_allclose(energy.diagonal_series(w + 1.0)[2], fourth, rtol=1e-12)

    def test_linearise_is_hvp_at_a_kept_point(self, energy: BaseEnergy, w: FloatArray, v: FloatArray) -> None:
        expected, point = energy.hvp(w, v), w.copy()
        product = energy.linearise(point)
        point[:] = 0.0
        energy.gradient(w + 1.0)
        np.testing.assert_allclose(product(v), expected, rtol=1e-13, atol=1e-13 * np.abs(expected).max())
        np.testing.assert_array_equal(product(v), product(v))
        out = np.empty(energy.shape)
        assert product(v, out) is out
        np.testing.assert_array_equal(out, product(v))

    def test_value_is_that_of_value_and_gradient(self, energy: BaseEnergy, w: FloatArray) -> None:
        assert energy.value(w) == pytest.approx(energy.value_and_gradient(w)[0], rel=1e-14)

    def test_torch_agrees(self, energy: BaseEnergy, w: FloatArray) -> None:
        value, gradient = energy.value_and_gradient(w)
        x = torch.tensor(w, requires_grad=True)
        torch_value = energy.torch_value(x)
        torch_value.backward()
        assert torch_value.dtype == torch.float64
        assert torch_value.shape == ()
        assert float(torch_value.detach()) == pytest.approx(value, rel=1e-12)
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-10, atol=1e-12 * np.abs(gradient).max())

    # the array contract --------------------------------------------------------------------------------------------

    def test_arrays_are_float64(self, energy: BaseEnergy, w: FloatArray, v: FloatArray) -> None:
        value, gradient = energy.value_and_gradient(w)
        assert type(value) is float
        assert type(energy.value(w)) is float
        assert gradient.dtype == energy.hvp(w, v).dtype == w.dtype == np.float64
        assert gradient.shape == w.shape == energy.shape

    def test_out_receives_the_gradient(self, energy: BaseEnergy, w: FloatArray) -> None:
        expected = energy.gradient(w).copy()
        out = np.full(energy.shape, np.nan)
        assert energy.value_and_gradient(w, out)[1] is out
        np.testing.assert_array_equal(out, expected)
        with pytest.raises(InputError, match="out"):
            energy.value_and_gradient(w, np.empty(energy.size + 1))

    def test_w_is_left_alone(self, energy: BaseEnergy, w: FloatArray, v: FloatArray) -> None:
        before, direction = w.copy(), v.copy()
        energy.value_and_gradient(w)
        energy.hvp(w, v)
        np.testing.assert_array_equal(w, before)
        np.testing.assert_array_equal(v, direction)

    def test_other_layouts_and_types_are_converted(self, energy: BaseEnergy, w: FloatArray) -> None:
        strided = np.repeat(w, 2, axis=0)[::2]
        assert energy.value(strided) == energy.value(w)
        assert energy.value(w.astype(np.float32)) == energy.value(w.astype(np.float32).astype(np.float64))
        np.testing.assert_array_equal(energy.gradient(strided), energy.gradient(w))

    @pytest.mark.parametrize("method", ["value", "gradient"])
    def test_wrong_shape_is_refused(self, energy: BaseEnergy, method: str) -> None:
        with pytest.raises(InputError, match="w has shape"):
            getattr(energy, method)(np.zeros(energy.size + 1))

    def test_same_input_same_bits(self, energy: BaseEnergy, w: FloatArray) -> None:
        again = self.make()
        for other in (energy, again):
            value, gradient = other.value_and_gradient(w)
            assert value == energy.value_and_gradient(w)[0]
            np.testing.assert_array_equal(gradient, energy.gradient(w))

    def test_threads_do_not_change_a_bit(
        self, energy: BaseEnergy, w: FloatArray, v: FloatArray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not self.chunks:
            return
        whole = (*energy.value_and_gradient(w), energy.hvp(w, v))
        monkeypatch.setattr("evenflow.energy.threads._SLOTS_PER_CHUNK", 32)
        chunked = self.make()
        found = []
        for threads in ("1", "2", "5"):
            monkeypatch.setenv("EVENFLOW_THREADS", threads)
            value, gradient = chunked.value_and_gradient(w)
            hessian = chunked.hessian(w).data.copy() if chunked.sparse_hessian else None
            found.append((chunked.value(w), value, gradient, chunked.hvp(w, v), chunked.linearise(w)(v), hessian))
        for other in found[1:]:
            for a, b in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(a, b)
        for a, b in zip(whole, found[0][1:4], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(a).max())

    def test_asking_for_states_ahead_does_not_change_a_bit(
        self, energy: BaseEnergy, w: FloatArray, v: FloatArray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not self.chunks:
            return
        for name in ("_CACHE", "_NEAR", "_MANY"):  # so that any graph is large and scattered
            monkeypatch.setattr(f"evenflow.energy.locality.{name}", 0)
        scattered = self.make()
        sparse = energy.sparse_hessian
        for a, b in (
            (energy.value(w), scattered.value(w)),
            (energy.gradient(w), scattered.gradient(w)),
            (energy.hvp(w, v), scattered.hvp(w, v)),
            (energy.hessian(w).data if sparse else 0.0, scattered.hessian(w).data if sparse else 0.0),
        ):
            np.testing.assert_array_equal(a, b)

    def test_sorted_rows_change_nothing_but_the_order_of_the_sum(
        self, energy: BaseEnergy, w: FloatArray, v: FloatArray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not self.chunks:
            return
        monkeypatch.setattr("evenflow.energy.locality._MEMORY", 0)  # so that the lengths of any rows vary too much
        monkeypatch.setattr("evenflow.energy.locality._IRREGULAR", -1.0)
        monkeypatch.setattr("evenflow.energy.locality._SHORT", 1000)
        for slots in (1 << 17, 8):  # in one piece, and in several
            monkeypatch.setattr("evenflow.energy.threads._SLOTS_PER_CHUNK", slots)
            ordered = self.make()
            sparse = energy.sparse_hessian
            for a, b in (
                (energy.gradient(w), ordered.gradient(w)),
                (energy.hvp(w, v), ordered.hvp(w, v)),
                (energy.linearise(w)(v), ordered.linearise(w)(v)),
                (energy.hessian(w).data if sparse else 0.0, ordered.hessian(w).data if sparse else 0.0),
            ):
                np.testing.assert_array_equal(a, b)
            value = pytest.approx(energy.value(w), rel=1e-12)
            assert ordered.value(w) == value
            assert ordered.value_and_gradient(w)[0] == value
            again = pickle.loads(pickle.dumps(ordered))
            np.testing.assert_array_equal(again.gradient(w), ordered.gradient(w))

    # fixed nodes ---------------------------------------------------------------------------------------------------

    def test_fixed_nodes(self, energy: BaseEnergy, w: FloatArray, v: FloatArray) -> None:
        nodes = np.array([1, 4])
        values = np.array(energy.initial(np.random.default_rng(5)))[nodes]
        pinned = self.make(fixed=(nodes, values))
        imposed = w.copy()
        imposed[nodes] = values
        value, gradient = pinned.value_and_gradient(w)
        assert pinned.value(w) == energy.value(imposed) == pytest.approx(value, rel=1e-14)
        assert (gradient[nodes] == 0).all()
        free = pinned.free_mask()
        np.testing.assert_array_equal(gradient[free], energy.gradient(imposed)[free])
        product = pinned.hvp(w, v)
        assert (product[nodes] == 0).all()
        np.testing.assert_allclose(product, energy.hvp(imposed, v * free) * free, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(pinned.linearise(w)(v), product, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(pinned.initial(np.random.default_rng(0))[nodes], values)
        x = torch.tensor(w, requires_grad=True)
        torch_value = pinned.torch_value(x)
        torch_value.backward()
        assert float(torch_value.detach()) == pytest.approx(value, rel=1e-12)
        assert x.grad is not None
        assert (x.grad.numpy()[nodes] == 0).all()

    def test_fixed_nodes_have_unit_rows(self, energy: BaseEnergy, w: FloatArray) -> None:
        nodes = np.array([0, 3])
        pinned = self.make(fixed=dict.fromkeys(nodes.tolist(), w[0]))
        matrices = [pinned.curvature()] if pinned.graph is not None else []
        matrices += [pinned.hessian(w)] if pinned.sparse_hessian else []
        fixed = ~pinned.free_mask().ravel()
        for matrix in matrices:
            dense = matrix.toarray()
            np.testing.assert_array_equal(dense[fixed], np.eye(energy.size)[fixed])
            np.testing.assert_array_equal(dense[:, fixed], np.eye(energy.size)[:, fixed])

    @pytest.mark.parametrize(
        ("fixed", "message"),
        [({999: 0.0}, "999"), ({1.5: 0.0}, "node numbers"), (([0], [np.nan]), "finite"), ([0, 1], "mapping"),
         (([0, 0], [1.0, 1.0]), "more than once"), (([0, 1, 2], np.zeros((2, 7))), "shape")],
    )  # fmt: skip
    def test_wrong_fixed_is_refused(self, fixed: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            self.make(fixed=fixed)

    # meaning -------------------------------------------------------------------------------------------------------

    def test_symmetries_keep_the_energy(self, energy: BaseEnergy, w: FloatArray, rng: np.random.Generator) -> None:
        for name, act in energy.symmetries().items():
            moved = act(w, rng)
            assert np.abs(moved - w).max() > 1e-3, name
            assert energy.value(moved) == pytest.approx(energy.value(w), rel=1e-9), name

    def test_other_units(self, energy: BaseEnergy, w: FloatArray) -> None:
        other, change, factor = self.other_units()
        assert other.value(change(w)) == pytest.approx(factor * energy.value(w), rel=1e-10)

    def test_reference_bounds_from_below(self, energy: BaseEnergy, rng: np.random.Generator) -> None:
        reference = energy.reference()
        if reference is not None:
            assert all(energy.value(energy.initial(rng)) >= reference for _ in range(10))

    def test_curvature_is_positive_semidefinite(self, energy: BaseEnergy) -> None:
        if energy.graph is None:
            return
        assert energy.curvature().has_canonical_format  # or no preconditioner takes it
        matrix = energy.curvature().toarray()
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-14 * np.abs(matrix).max())
        assert np.linalg.eigvalsh(matrix).min() > -1e-12 * np.abs(matrix).max()

    def test_initial_follows_the_generator(self, energy: BaseEnergy) -> None:
        first, second = (energy.initial(np.random.default_rng(3)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.flags.c_contiguous
        assert np.abs(first - energy.initial(np.random.default_rng(4))).max() > 0

    def test_report_holds_finite_floats(self, energy: BaseEnergy, w: FloatArray) -> None:
        report = energy.report(w)
        assert all(type(value) is float and np.isfinite(value) for value in report.values())

    # files ---------------------------------------------------------------------------------------------------------

    def test_export_and_restore(self, energy: BaseEnergy, w: FloatArray) -> None:
        if not self.saves:
            with pytest.raises(InputError, match="pass energy= again"):
                energy.export()
            return
        pinned = self.make(fixed={1: w[1]})
        for original in (energy, pinned):
            again = type(original).restore(_through_file(original.export()))
            assert type(again) is type(original)
            assert again.value(w) == original.value(w)
            np.testing.assert_array_equal(again.gradient(w), original.gradient(w))
            assert repr(again) == repr(original)

    def test_pickles_for_worker_processes(self, energy: BaseEnergy, w: FloatArray) -> None:
        if self.saves:
            again = pickle.loads(pickle.dumps(energy))
            assert again.value(w) == energy.value(w)


def _through_file(tree: dict[str, Any]) -> dict[str, Any]:
    """Send a tree of JSON values and arrays through JSON text, as a file would."""

    def encode(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return {"array": value.tolist(), "dtype": str(value.dtype), "shape": list(value.shape)}
        if isinstance(value, dict):
            return {name: encode(item) for name, item in value.items()}
        return [encode(item) for item in value] if isinstance(value, list) else value

    def decode(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"array", "dtype", "shape"}:
            return np.array(value["array"], dtype=value["dtype"]).reshape(value["shape"])
        if isinstance(value, dict):
            return {name: decode(item) for name, item in value.items()}
        return [decode(item) for item in value] if isinstance(value, list) else value

    decoded: dict[str, Any] = decode(json.loads(json.dumps(encode(tree))))
    return decoded
