"""The groups that act between the layers of networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn
from torch.func import functional_call

from conformance.group import ExactGroupConformance, GroupCase, GroupConformance
from evenflow.errors import InputError
from evenflow.teleport import (
    Chain,
    DataLinear,
    DataMap,
    ExtendedSigmoid,
    ExtendedTanh,
    GeneralLinear,
    OutgoingLinear,
    PositiveScaling,
)
from evenflow.teleport.network_group import NetworkGroup


def network(activation: Callable[[], nn.Module], widths: Sequence[int], bias: bool, seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for m, (a, b) in enumerate(itertools.pairwise(widths)):
        linear = nn.Linear(a, b, bias=bias).double()
        for p in linear.parameters():
            with torch.no_grad():
                p.copy_(torch.randn(p.shape, generator=generator).double() / a**0.5)
        layers.append(linear)
        if m < len(widths) - 2:
            layers.append(activation())
    return nn.Sequential(*layers)


def case_of(
    kind: type[NetworkGroup],
    activation: Callable[[], nn.Module],
    *,
    widths: Sequence[int] = (6, 7, 8, 5),
    samples: int = 4,
    bias: bool = True,
    composes: bool = True,
    update: str = "minimal",
    everywhere: bool = False,
) -> GroupCase:
    model = network(activation, widths, bias)
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(samples, widths[0], generator=generator).double()
    new = torch.randn(30, widths[0], generator=generator).double()
    weight = torch.randn(widths[-1], generator=generator).double()
    group = kind(Chain.of(model), update=update)
    names = [name for name, _ in model.named_parameters()]

    def outputs(point: Sequence[torch.Tensor], data: torch.Tensor) -> torch.Tensor:
        out = functional_call(model, dict(zip(names, point, strict=True)), (data,))
        return (out * weight).reshape(-1) + 3.0

    return GroupCase(
        group,
        [t.detach().clone() for t in group.tensors],
        lambda point: outputs(point, x).detach(),
        inputs=x,
        unseen=(lambda point: outputs(point, new).detach()) if everywhere else None,
        composes=composes,
        identity_fixes_point=update == "minimal",
    )


class TestScalingOfReLU(ExactGroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(PositiveScaling, nn.ReLU, everywhere=True)


class TestScalingWithoutBias(ExactGroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(PositiveScaling, lambda: nn.LeakyReLU(0.1), bias=False, everywhere=True)


class TestScalingOfPReLU(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        def loss(point: Sequence[torch.Tensor]) -> torch.Tensor:
            W1, b1, W2, b2 = point
            return torch.nn.functional.prelu(x @ W1.T + b1, torch.tensor([0.25]).double()) @ W2.T + b2 + 9.0

        model = nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 2)).double()
        x = torch.randn(10, 3, generator=torch.Generator().manual_seed(1)).double()
        group = PositiveScaling(Chain.of(model))
        return GroupCase(group, [t.detach().clone() for t in group.tensors], lambda p: loss(p).detach())


class TestGeneralLinearLeaky(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(GeneralLinear, lambda: nn.LeakyReLU(0.1), composes=False)


class TestGeneralLinearSquare(GroupConformance):
    """Batch as large as the widths, no bias: the case of the paper's proposition, where weights compose too."""

    @pytest.fixture
    def case(self) -> GroupCase:
        widths = (5, 5, 5, 3)
        return case_of(GeneralLinear, ExtendedTanh, widths=widths, samples=5, bias=False)


class TestGeneralLinearPaper(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(GeneralLinear, lambda: nn.LeakyReLU(0.1), composes=False, update="paper")


class TestGeneralLinearTanh(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(GeneralLinear, ExtendedTanh, composes=False, bias=False)


class TestGeneralLinearSigmoid(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(GeneralLinear, ExtendedSigmoid, composes=False)


class TestGeneralLinearOfLinearNetwork(ExactGroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(GeneralLinear, nn.Identity, everywhere=True)


class TestOutgoingTanh(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(OutgoingLinear, nn.Tanh, composes=False)


class TestOutgoingGeluWithoutBias(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(OutgoingLinear, nn.GELU, composes=False, bias=False)


class TestOutgoingPaper(GroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        return case_of(OutgoingLinear, nn.Tanh, composes=False, update="paper")


class TestDataMap(ExactGroupConformance):
    @pytest.fixture
    def case(self) -> GroupCase:
        model = nn.Sequential(DataMap(3), nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        x = torch.randn(10, 3, generator=torch.Generator().manual_seed(1)).double()
        group = DataLinear(Chain.of(model))

        def loss(point: Sequence[torch.Tensor]) -> torch.Tensor:
            state = {"0.matrix": point[0], "1.weight": point[1]}
            return functional_call(model, state, (x,)).detach() + 3.0

        return GroupCase(group, [t.detach().clone() for t in group.tensors], loss, unseen=loss)


def test_paper_update_erases_what_the_batch_does_not_span_and_minimal_does_not() -> None:
    """The identity defect: with g = 1 the printed formula changes outputs on unseen data by tens of percent."""
    changes = {}
    for update in ("paper", "minimal"):
        model = network(lambda: nn.LeakyReLU(0.1), (40, 30, 10), bias=False)
        group = GeneralLinear(Chain.of(model), update=update)
        generator = torch.Generator().manual_seed(3)
        batch = torch.randn(8, 40, generator=generator).double()
        unseen = torch.randn(100, 40, generator=generator).double()
        before = model(unseen).detach()
        image = group.orbit(group.tensors, batch).at(group.identity(batch))
        names = [name for name, _ in model.named_parameters()]
        after = functional_call(model, dict(zip(names, image, strict=True)), (unseen,)).detach()
        changes[update] = float((after - before).norm() / before.norm())
    assert changes["paper"] > 0.3
    assert changes["minimal"] < 1e-12


def test_released_approximation_of_the_inverse_does_not_keep_the_loss() -> None:
    """1 + T with 1 - T for its inverse, as released, leaves an error of order T^2; exp(T) and exp(-T) none."""
    case = case_of(GeneralLinear, nn.Identity)
    T = [0.1 * torch.randn(s, generator=torch.Generator().manual_seed(2)).double() for s in case.group.shapes]
    orbit = case.group.orbit(case.point, case.inputs)
    rough = orbit.at(case.group.identity(case.point[0]).nudged(T))
    before = case.loss(case.point)
    assert float((case.loss(rough) - before).abs().max()) > 1e-3


@pytest.mark.parametrize("activation", [ExtendedTanh(1.5), ExtendedSigmoid(3.0)])
def test_extended_activations_are_continuous_bijections(activation: ExtendedTanh | ExtendedSigmoid) -> None:
    z = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    h = activation(z)
    assert torch.all(h[1:] > h[:-1])
    assert torch.allclose(activation.inverse(h), z, atol=1e-9)
    edge = torch.tensor([activation.x0, -activation.x0], dtype=torch.float64).requires_grad_()
    inside = torch.autograd.grad(activation(edge).sum(), edge)[0]
    outside = torch.autograd.grad(activation(edge * (1 + 1e-9)).sum(), edge)[0]
    assert torch.allclose(inside, outside, rtol=1e-6)


def test_extended_activation_has_finite_gradients_far_outside() -> None:
    z = torch.tensor([-50.0, 50.0], requires_grad=True)
    act = ExtendedTanh()
    assert torch.isfinite(torch.autograd.grad(act.inverse(act(z)).sum(), z)[0]).all()
    assert "x0=2.0" in repr(act)
    with pytest.raises(InputError, match="x0"):
        ExtendedTanh(0.0)


@pytest.mark.parametrize(
    ("group", "layers", "message"),
    [
        (GeneralLinear, [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)], r"'1' \(ReLU\).*group=\"scale\""),
        (GeneralLinear, [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)], r"'1' \(Tanh\).*ExtendedTanh"),
        (GeneralLinear, [nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 1)], r"'1' \(GELU\).*gl_out"),
        (PositiveScaling, [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)], r"'1' \(Tanh\).*gl_out"),
        (PositiveScaling, [nn.Linear(3, 4)], "levelset"),
        (DataLinear, [nn.Linear(3, 4)], r"DataMap\(3\)"),
        (DataLinear, [DataMap(2), nn.Linear(3, 4)], "must agree"),
        (PositiveScaling, [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(4, 1)], r"'0' \(Conv2d\).*levelset"),
        (PositiveScaling, [nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1)], r"'1' \(LayerNorm\).*levelset"),
        (PositiveScaling, [nn.ReLU(), nn.Linear(3, 1)], r"'0' \(ReLU\) stands before"),
        (PositiveScaling, [nn.Linear(3, 3), nn.ReLU(), nn.ReLU(), nn.Linear(3, 1)], r"'2' \(ReLU\) follows another"),
        (PositiveScaling, [nn.Linear(3, 3), nn.Softmax(dim=1), nn.Linear(3, 1)], r"'1' \(Softmax\).*levelset"),
        (PositiveScaling, [nn.ReLU()], "'0'"),
        (PositiveScaling, [nn.Flatten()], r"no nn.Linear"),
    ],
)
def test_refusals_name_the_layer_and_the_group_that_serves(
    group: type[NetworkGroup], layers: list[nn.Module], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        group(Chain.of(layers))


def test_more_refusals() -> None:
    shared = nn.Linear(4, 4)
    with pytest.raises(InputError, match=r"'0' and '2' share weight.*levelset"):
        Chain.of(nn.Sequential(shared, nn.ReLU(), shared))
    frozen = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    frozen[0].weight.requires_grad_(False)
    with pytest.raises(InputError, match="frozen"):
        Chain.of(frozen)
    with pytest.raises(InputError, match=r"Linear.*list in forward order"):
        Chain.of(nn.Linear(3, 4))
    chain = Chain.of(nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(), nn.Linear(4, 1)))
    with pytest.raises(InputError, match="update"):
        GeneralLinear(chain, update="other")
    group = GeneralLinear(chain)
    with pytest.raises(InputError, match="inputs"):
        group.orbit(group.tensors)
    with pytest.raises(InputError, match=r"layer '0' has 4 columns \(with the bias\) for 5 samples"):
        group.orbit(group.tensors, torch.randn(5, 3))


def test_nested_models_and_user_activations() -> None:
    class Cube(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return z**3

        def inverse(self, h: torch.Tensor) -> torch.Tensor:
            return h.sign() * h.abs() ** (1 / 3)

    inner = nn.Sequential(nn.Linear(4, 5), Cube())
    chain = Chain.of(nn.Sequential(nn.Flatten(), inner, nn.Sequential(nn.Linear(5, 1))))
    assert [layer.name for layer in chain.layers] == ["1.0", "2.0"]
    assert GeneralLinear(chain).shapes == ((5, 5),)
