"""Conformance suite of symmetry groups: identity, composition, inverse, loss kept, derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch

from evenflow.teleport import Element, SymmetryGroup

Point = Sequence[torch.Tensor]


@dataclass
class GroupCase:
    """A group, a point it acts on (float64), the inputs of the batch, and losses of a point.

    ``unseen`` is the loss on data outside the batch, for groups that promise all data.
    ``composes`` tells whether acting twice from new points gives the same weights, not only the same outputs.
    """

    group: SymmetryGroup
    point: list[torch.Tensor]
    loss: Callable[[Point], torch.Tensor]
    inputs: torch.Tensor | None = None
    unseen: Callable[[Point], torch.Tensor] | None = None
    composes: bool = True
    identity_fixes_point: bool = True


def close(a: Point, b: Point, tolerance: float = 1e-9) -> bool:
    scale = max(float(x.abs().max()) for x in a)
    return all(float((x - y).abs().max()) <= tolerance * max(scale, 1.0) for x, y in zip(a, b, strict=True))


class GroupConformance:
    """Inherit, and define the fixture ``case``."""

    @pytest.fixture
    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(5)

    @pytest.fixture
    def case(self) -> GroupCase:
        raise NotImplementedError

    def draw(self, case: GroupCase, generator: torch.Generator) -> Element:
        return case.group.random(generator, 0.1, case.point[0])

    def test_identity(self, case: GroupCase) -> None:
        image = case.group.orbit(case.point, case.inputs).at(case.group.identity(case.point[0]))
        if case.identity_fixes_point:
            assert close(case.point, image, 1e-12)
        assert torch.allclose(case.loss(image), case.loss(case.point), rtol=1e-10)

    def test_element_inverse(self, case: GroupCase, generator: torch.Generator) -> None:
        g = self.draw(case, generator)
        unit = case.group.identity(case.point[0])
        assert close((g @ g.inverse()).forward, unit.forward, 1e-12)
        assert close((g @ g.inverse()).backward, unit.backward, 1e-12)

    def test_loss_kept(self, case: GroupCase, generator: torch.Generator) -> None:
        before = case.loss(case.point)
        for _ in range(3):
            image = case.group.orbit(case.point, case.inputs).at(self.draw(case, generator))
            assert not close(case.point, image, 1e-6)
            assert torch.allclose(case.loss(image), before, rtol=1e-9)

    def test_composition(self, case: GroupCase, generator: torch.Generator) -> None:
        g, h = self.draw(case, generator), self.draw(case, generator)
        orbit = case.group.orbit(case.point, case.inputs)
        twice = case.group.orbit(orbit.at(h), case.inputs).at(g)
        once = orbit.at(g @ h)
        assert torch.allclose(case.loss(twice), case.loss(once), rtol=1e-9)
        if case.composes:
            assert close(once, twice)

    def test_inverse(self, case: GroupCase, generator: torch.Generator) -> None:
        g = self.draw(case, generator)
        there = case.group.orbit(case.point, case.inputs).at(g)
        back = case.group.orbit(there, case.inputs).at(g.inverse())
        assert torch.allclose(case.loss(back), case.loss(case.point), rtol=1e-9)
        if case.composes:
            assert close(case.point, back)

    def test_derivative_at_an_element(self, case: GroupCase, generator: torch.Generator) -> None:
        """The first-order element has the derivative of exp(T) g, which the search relies on."""
        g = self.draw(case, generator)
        orbit = case.group.orbit(case.point, case.inputs)
        direction = case.group.project([torch.randn(s, generator=generator).double() for s in case.group.shapes])
        T = case.group.zeros(case.point[0])
        weights = [torch.randn(p.shape, generator=generator).double() for p in case.point]
        moved = orbit.at(g.nudged(T))
        total = torch.stack([(p * w).sum() for p, w in zip(moved, weights, strict=True)]).sum()
        found = torch.autograd.grad(total, T)
        slope = sum(float((a * b).sum()) for a, b in zip(found, direction, strict=True))

        def along(step: float) -> float:
            image = orbit.at(Element.exp([step * d for d in direction]) @ g)
            return sum(float((p * w).sum().detach()) for p, w in zip(image, weights, strict=True))

        numeric = (along(1e-5) - along(-1e-5)) / 2e-5
        assert slope == pytest.approx(numeric, rel=1e-5, abs=1e-6)


class ExactGroupConformance(GroupConformance):
    """For groups that keep the loss on all data; the case has ``unseen``."""

    def test_loss_kept_on_unseen_data(self, case: GroupCase, generator: torch.Generator) -> None:
        assert case.unseen is not None
        image = case.group.orbit(case.point, case.inputs).at(self.draw(case, generator))
        assert torch.allclose(case.unseen(image), case.unseen(case.point), rtol=1e-9)
