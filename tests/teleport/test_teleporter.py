"""Teleporter: in place, exact, restored bit for bit when rejected."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from evenflow.errors import InputError
from evenflow.teleport import AtEpochs, Booth, DataMap, ExtendedTanh, Rosenbrock, Teleporter, TeleportingOptimizer


def regression(
    activation: Callable[[], nn.Module], dtype: torch.dtype = torch.float64, seed: int = 0, samples: int = 6
) -> tuple[nn.Sequential, Callable[[], torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 12), activation(), nn.Linear(12, 10), activation(), nn.Linear(10, 3)).to(dtype)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.4)
    x = torch.randn(samples, 8, generator=generator).to(dtype)
    y = torch.randn(samples, 3, generator=generator).to(dtype)
    return model, lambda: (model(x) - y).square().mean(), x


def gradient_sq(model: nn.Module, closure: Callable[[], torch.Tensor]) -> float:
    found = torch.autograd.grad(closure(), list(model.parameters()))
    return sum(float(g.square().sum()) for g in found)


CASES = [
    ("scale", nn.ReLU),
    ("scale", lambda: nn.LeakyReLU(0.1)),
    ("gl", lambda: nn.LeakyReLU(0.1)),
    ("gl", ExtendedTanh),
    ("gl", nn.Identity),
    ("gl_out", nn.Tanh),
    ("gl_out", nn.GELU),
    ("levelset", nn.Tanh),
    ("levelset", nn.ReLU),
]


@pytest.mark.parametrize(("group", "activation"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_accepted_teleport_keeps_the_loss_and_enlarges_the_gradient(
    group: str, activation: Callable[[], nn.Module], dtype: torch.dtype, tolerance: float
) -> None:
    model, closure, x = regression(activation, dtype)
    identities = [id(p) for p in model.parameters()]
    loss, size, outputs = float(closure().detach()), gradient_sq(model, closure), model(x).detach()
    report = Teleporter(model, group=group).teleport(closure)
    assert report.accepted, report.reason
    assert abs(float(closure().detach()) - loss) <= tolerance * loss
    assert gradient_sq(model, closure) == pytest.approx(report.grad_sq_after, rel=1e-4)
    assert size * 1.05 < report.grad_sq_after <= 10.0 * size * (1 + 1e-6)
    assert [id(p) for p in model.parameters()] == identities
    assert 0.0 < report.displacement <= report.distance * (1 + 1e-4)
    if group in ("gl", "gl_out"):
        assert report.output_error <= 100 * tolerance
        assert float((model(x).detach() - outputs).abs().max()) <= 100 * tolerance * float(outputs.abs().max())
    assert report.as_dict()["gain"] == report.gain


def test_scale_keeps_outputs_on_all_data() -> None:
    model, closure, _ = regression(nn.ReLU)
    unseen = torch.randn(100, 8, generator=torch.Generator().manual_seed(4)).double()
    before = model(unseen).detach()
    assert Teleporter(model, group="scale").teleport(closure).accepted
    assert torch.allclose(model(unseen), before, rtol=1e-10, atol=1e-12)


def test_data_form_keeps_outputs_and_lives_in_the_model() -> None:
    """Algorithm 3: the maps of several teleports are composed and applied at inference."""
    inner, _, x = regression(nn.Tanh)
    model = nn.Sequential(DataMap(8), inner).double()
    y = torch.zeros(6, 3).double()
    before = model(x).detach()
    teleporter = Teleporter(model, group="data")

    def closure() -> torch.Tensor:
        return (model(x) - y).square().mean()

    first, second = teleporter.teleport(closure), teleporter.teleport(closure)
    assert first.accepted
    assert second.grad_sq_after >= first.grad_sq_after * (1 - 1e-9)
    assert not torch.allclose(model[0].matrix, torch.eye(8).double(), atol=1e-3)
    assert torch.allclose(model(x), before, rtol=1e-8, atol=1e-10)
    assert "0.matrix" in model.state_dict()


def test_rejection_restores_bit_for_bit() -> None:
    model, closure, _ = regression(nn.ReLU)
    before = [p.detach().clone() for p in model.parameters()]

    def penalised() -> torch.Tensor:
        return closure() + sum((p.square().sum() for p in model.parameters()), start=torch.zeros(()))

    report = Teleporter(model, group="scale", inner_steps=3).teleport(penalised)
    assert not report.accepted
    assert "larger gradient" in report.reason or "weight penalty" in report.reason
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert report.gain == 1.0


def test_exceptions_restore_bit_for_bit() -> None:
    model, closure, _ = regression(nn.ReLU)
    before = [p.detach().clone() for p in model.parameters()]
    calls = 0

    def failing() -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise RuntimeError("out of memory")
        return closure()

    with pytest.raises(RuntimeError, match="out of memory"):
        Teleporter(model, group="scale").teleport(failing)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_stale_gradients_are_dropped_only_when_the_parameters_moved() -> None:
    model, closure, _ = regression(nn.ReLU)
    closure().backward()
    assert Teleporter(model, group="scale").teleport(closure).accepted
    assert all(p.grad is None for p in model.parameters())


def test_cap_on_the_gain() -> None:
    model, closure, _ = regression(nn.ReLU)
    report = Teleporter(model, group="scale", max_gain=1.5, inner_steps=50).teleport(closure)
    assert report.accepted
    assert report.gain <= 1.5


def test_random_search_is_reproducible_and_never_worse() -> None:
    gains = []
    for _ in range(2):
        model, closure, _ = regression(nn.ReLU)
        generator = torch.Generator().manual_seed(3)
        report = Teleporter(model, group="scale", search="random", step=0.3, generator=generator).teleport(closure)
        assert report.accepted
        gains.append(report.gain)
    assert gains[0] == gains[1] > 1.0


def test_learning_rates_change_the_objective() -> None:
    """Proposition 5.1: with eta the teleport raises the decay rate of the loss, not the plain norm."""
    model, closure, _ = regression(nn.ReLU)
    rates = [torch.full_like(p, 10.0 if p.shape[0] == 3 else 0.01) for p in model.parameters()]
    report = Teleporter(model, group="scale").teleport(closure, learning_rates=rates)
    assert report.accepted
    assert report.rate_after > report.rate_before
    assert report.rate_before != pytest.approx(report.grad_sq_before)
    with pytest.raises(InputError, match="one each"):
        Teleporter(model, group="scale").teleport(closure, learning_rates=[1.0])
    with pytest.raises(InputError, match="groups only"):
        Teleporter(model, group="levelset").teleport(closure, learning_rates=rates)


def test_rank_and_condition_are_checked() -> None:
    model, _, x = regression(lambda: nn.LeakyReLU(0.1))
    repeated = x[:1].repeat(4, 1)
    report = Teleporter(model, group="gl").teleport(lambda: model(repeated).square().mean())
    assert not report.accepted
    assert "rank 1 for 4 samples" in report.reason
    assert report.layers["0"].rank == 1
    large = torch.randn(20, 8).double()
    with pytest.raises(InputError, match=r"layer '0' has 9 columns.*20 samples.*scale"):
        Teleporter(model, group="gl").teleport(lambda: model(large).square().mean())
    unchecked = Teleporter(model, group="gl", rank_check=False).teleport(lambda: model(large).square().mean())
    assert not unchecked.accepted or unchecked.loss_change <= 1e-9


def test_level_set_leaves_running_statistics_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1)).double()
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)).double()
    report = Teleporter(model, group="levelset").teleport(lambda: model(x).square().mean())
    assert report.accepted
    assert torch.equal(model[1].running_mean, torch.zeros(6).double())
    assert int(model[1].num_batches_tracked) == 0


class SmallConvolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4 * 9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.nn.functional.max_pool2d(torch.relu(self.convolution(x)), 2)
        return self.head(h.flatten(1))


class SmallTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, dim_feedforward=32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 11)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(tokens)))


@pytest.mark.parametrize("kind", ["convolutional", "transformer"])
def test_any_architecture_teleports_along_its_level_set(kind: str) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    if kind == "convolutional":
        model: nn.Module = SmallConvolutional()
        x, y = torch.randn(8, 1, 8, 8, generator=generator), torch.randint(3, (8,), generator=generator)

        def closure() -> torch.Tensor:
            return nn.functional.cross_entropy(model(x), y)
    else:
        model = SmallTransformer()
        tokens = torch.randint(11, (4, 6), generator=generator)

        def closure() -> torch.Tensor:
            return nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    report = Teleporter(model, group="levelset").teleport(closure)
    assert report.accepted, report.reason
    assert report.loss_change <= 1e-5
    assert report.gain > 1.5
    with pytest.raises(InputError, match="levelset"):
        Teleporter(model, group="scale")


@pytest.mark.parametrize("kind", ["convolutional", "transformer"])
def test_any_architecture_trains_with_level_set_teleports(kind: str) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model: nn.Module
    if kind == "convolutional":
        model, x = SmallConvolutional(), torch.randn(128, 1, 8, 8, generator=generator)
        y = (8 * x.mean((1, 2, 3))).round().clamp(-1, 1).long() + 1

        def loss_of(part: slice) -> torch.Tensor:
            return nn.functional.cross_entropy(model(x[part]), y[part])
    else:
        model, x = SmallTransformer(), torch.randint(1, 3, (128, 7), generator=generator).cumsum(1) % 11

        def loss_of(part: slice) -> torch.Tensor:
            return nn.functional.cross_entropy(model(x[part, :-1]).flatten(0, 1), x[part, 1:].flatten())

    base = torch.optim.SGD(model.parameters(), lr=0.05)
    optimizer = TeleportingOptimizer(
        base, Teleporter(model, group="levelset"), AtEpochs(frozenset({1}), batches=2), steps_per_epoch=4
    )
    before = float(loss_of(slice(None)).detach())
    for _ in range(3):
        for k in range(4):
            optimizer.step(lambda k=k: loss_of(slice(32 * k, 32 * k + 32)))  # type: ignore[misc]
    assert len(optimizer.reports) == 2
    assert all(r.accepted and r.loss_change <= 1e-5 and r.gain > 1.0 for r in optimizer.reports)
    assert float(loss_of(slice(None)).detach()) < before


def test_layers_given_as_a_list_are_checked_against_the_model() -> None:
    class Mlp(nn.Module):
        def __init__(self, skip: bool) -> None:
            super().__init__()
            self.one, self.two, self.skip = nn.Linear(5, 5), nn.Linear(5, 1), skip

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.one(x))
            return self.two(h + x if self.skip else h)

    x = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    for skip in (False, True):
        net = Mlp(skip)
        teleporter = Teleporter([net.one, nn.ReLU(), net.two], group="scale")
        if skip:
            with pytest.raises(InputError, match=r"'2' is not fed with ReLU of layer '0'"):
                teleporter.teleport(lambda net=net: net(x).square().mean())  # type: ignore[misc]
        else:
            assert teleporter.teleport(lambda net=net: net(x).square().mean()).accepted  # type: ignore[misc]
    other = Teleporter([nn.Linear(5, 5), nn.ReLU(), net.two], group="scale")
    with pytest.raises(InputError, match="never runs layer '0'"):
        other.teleport(lambda: net(x).square().mean())


def test_sequence_inputs_count_every_position_as_a_sample() -> None:
    model = nn.Sequential(nn.Linear(20, 24), nn.LeakyReLU(0.1), nn.Linear(24, 2)).double()
    x = torch.randn(3, 4, 20, generator=torch.Generator().manual_seed(0)).double()
    report = Teleporter(model, group="gl").teleport(lambda: model(x).square().mean())
    assert report.accepted
    assert report.layers["0"].samples == 12


def test_active_dropout_and_random_losses_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 1))
    x = torch.randn(5, 4)
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match=r"closure is random|'2' is active"):
        Teleporter(model, group="scale").teleport(lambda: model(x).square().mean())
    model.eval()
    assert Teleporter(model, group="scale").teleport(lambda: model(x).square().mean()).accepted
    with pytest.raises(InputError, match="closure is random"):
        Teleporter(model, group="scale").teleport(lambda: model(torch.randn(5, 4, generator=generator)).square().mean())


def test_degenerate_losses_are_reported() -> None:
    x = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    booth = Booth()
    assert "gradient is zero" in Teleporter(x, group=booth).teleport(lambda: booth.value(x)).reason
    assert "not finite" in Teleporter(x, group=booth).teleport(lambda: booth.value(x) / 0.0).reason
    y = torch.ones(3, requires_grad=True)
    flat = Teleporter(y, group="levelset").teleport(y.sum)
    assert not flat.accepted
    assert "stationary" in flat.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "banana"}, "'scale'.*'levelset'"),
        ({"search": "banana"}, "search"),
        ({"search": "random"}, "generator"),
        ({"inner_steps": 0}, "inner_steps"),
        ({"step": 0.0}, "step"),
        ({"max_gain": 1.0}, "max_gain"),
        ({"loss_tol": 0.0}, "loss_tol"),
        ({"update": "banana"}, "update"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with pytest.raises(InputError, match=message):
        Teleporter(model, **options)  # type: ignore[arg-type]


def test_bad_targets_and_closures() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(InputError, match="bare tensors"):
        Teleporter(x, group="scale")
    with pytest.raises(InputError, match="mixes"):
        Teleporter([x, nn.Linear(2, 2)], group="levelset")  # type: ignore[list-item]
    with pytest.raises(InputError, match="no trainable"):
        Teleporter(torch.ones(2), group="levelset")
    with pytest.raises(InputError, match="not a leaf"):
        Teleporter(x * 2, group="levelset")
    with pytest.raises(InputError, match="several dtypes"):
        Teleporter([x, torch.ones(2, dtype=torch.float64, requires_grad=True)], group="levelset")
    teleporter = Teleporter(x, group="levelset")
    with pytest.raises(InputError, match="scalar"):
        teleporter.teleport(lambda: x)
    with pytest.raises(InputError, match="no gradient"):
        teleporter.teleport(lambda: x.detach().sum())
    y = torch.ones(2, requires_grad=True)
    with pytest.raises(InputError, match="does not depend"):
        teleporter.teleport(y.sum)


def test_ascent_from_a_random_rotation() -> None:
    group = Rosenbrock(pairs=2)
    for seed in range(5):
        x = torch.tensor([-1.0, -1.0, 0.5, 0.5], dtype=torch.float64, requires_grad=True)
        generator = torch.Generator().manual_seed(seed)
        report = Teleporter(x, group=group, inner_steps=30, step=0.3, generator=generator).teleport(
            lambda x=x: group.value(x)  # type: ignore[misc]
        )
        assert math.isfinite(report.gain)
        assert report.loss_change <= 1e-9
        assert report.accepted == (report.gain > 1.0)
