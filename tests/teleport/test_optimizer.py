"""TeleportingOptimizer: schedules, state policies, checkpoints, reference values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from evenflow.errors import InputError
from evenflow.teleport import (
    AtEpochs,
    AtSteps,
    Booth,
    Every,
    Moment,
    Rosenbrock,
    Teleporter,
    TeleportingOptimizer,
)
from evenflow.teleport.schedule import as_schedule

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.001),
    "adam": lambda p: torch.optim.Adam(p, lr=0.001),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.001, amsgrad=True),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=2),
}


def setup(seed: int = 0) -> tuple[nn.Sequential, Callable[[], torch.Tensor]]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    x, y = torch.randn(16, 5), torch.randn(16, 2)
    return model, lambda: (model(x) - y).square().mean()


def wrap(name: str, model: nn.Module, schedule: Any = (2, 5), **options: Any) -> TeleportingOptimizer:
    return TeleportingOptimizer(
        OPTIMIZERS[name](model.parameters()), Teleporter(model, group="scale"), schedule, **options
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("state", ["auto", "keep", "reset"])
def test_every_optimizer_descends_with_every_policy(name: str, state: str) -> None:
    model, closure = setup()
    optimizer = wrap(name, model, state=state)
    losses = []
    for _ in range(10):
        loss = optimizer.step(closure)
        assert loss is not None
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    assert [r.accepted for r in optimizer.reports] == [True, True]


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam"])
def test_nothing_scheduled_is_the_bare_optimizer(name: str) -> None:
    model, closure = setup()
    bare, bare_closure = setup()
    optimizer, base = wrap(name, model, ()), OPTIMIZERS[name](bare.parameters())
    for _ in range(5):
        optimizer.step(closure)
        base.zero_grad()
        bare_closure().backward()
        base.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), bare.parameters(), strict=True))


def test_ordinary_loop_with_two_extra_lines_equals_the_closure_form() -> None:
    first, loss_first = setup()
    second, loss_second = setup()
    a, b = wrap("momentum", first), wrap("momentum", second)
    for _ in range(8):
        a.step(loss_first)
        b.teleport(loss_second)
        b.zero_grad()
        loss_second().backward()
        b.step()
    assert len(a.reports) == len(b.reports) == 2
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))


def test_a_forgotten_closure_is_an_error() -> None:
    model, closure = setup()
    optimizer = wrap("sgd", model, {0})
    closure().backward()
    with pytest.raises(InputError, match=r"due before step 0.*optimizer\.teleport"):
        optimizer.step()


def test_auto_zeroes_directions_and_keeps_sizes() -> None:
    model, closure = setup()
    for name, gone, kept in (("momentum", "momentum_buffer", None), ("adam", "exp_avg", "exp_avg_sq")):
        optimizer = wrap(name, model, {3})
        for _ in range(3):
            optimizer.step(closure)
        weight = next(model.parameters())
        before = {k: v.clone() for k, v in optimizer.state[weight].items() if isinstance(v, torch.Tensor)}
        assert optimizer.teleport(closure) is not None
        assert not optimizer.state[weight][gone].any()
        assert before[gone].any()
        if kept:
            assert torch.equal(optimizer.state[weight][kept], before[kept])


def test_unknown_state_asks_for_a_policy() -> None:
    class Odd(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            found = super().step(closure)
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["mystery"] = 1
            return found

    model, closure = setup()
    optimizer = TeleportingOptimizer(Odd(model.parameters(), lr=0.01), Teleporter(model), {1})
    optimizer.step(closure)
    with pytest.raises(InputError, match="Odd keeps 'mystery'"):
        optimizer.step(closure)


@pytest.mark.parametrize("name", ["momentum", "adagrad", "adam"])
def test_state_dict_round_trip_resumes_bit_for_bit(name: str) -> None:
    model, closure = setup()
    straight = wrap(name, model, {2, 5}, steps_per_epoch=4)
    for _ in range(4):
        straight.step(closure)
    saved = copy.deepcopy((model.state_dict(), straight.state_dict()))
    for _ in range(4):
        straight.step(closure)
    other, other_closure = setup()
    resumed = wrap(name, other, {2, 5}, steps_per_epoch=4)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert resumed.moment == Moment(4, 1, 0)
    assert resumed.param_groups is resumed.base.param_groups  # type: ignore[union-attr]
    for _ in range(4):
        resumed.step(other_closure)
    assert len(resumed.reports) == 1
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_checkpoint_between_teleport_and_step_does_not_teleport_twice() -> None:
    model, closure = setup()
    optimizer = wrap("sgd", model, {0})
    optimizer.teleport(closure)
    resumed = wrap("sgd", model, {0})
    resumed.load_state_dict(optimizer.state_dict())
    assert not resumed.due
    with pytest.raises(InputError, match="no 'teleport' entry"):
        resumed.load_state_dict(torch.optim.SGD(model.parameters(), lr=0.1).state_dict())


def test_generator_travels_in_the_checkpoint() -> None:
    x = torch.tensor([0.5, 0.5], dtype=torch.float64, requires_grad=True)
    group = Rosenbrock()
    generator = torch.Generator().manual_seed(1)
    teleporter = Teleporter(x, group=group, search="random", generator=generator)
    optimizer = TeleportingOptimizer(torch.optim.SGD([x], lr=1e-4), teleporter, {0, 2})
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer.step(lambda: group.value(x))
    first = generator.get_state()
    optimizer.load_state_dict(saved)
    assert not torch.equal(generator.get_state(), first)


def test_learning_rate_scheduler_and_param_groups_are_shared() -> None:
    model, closure = setup()
    optimizer = wrap("sgd", model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step(closure)
    scheduler.step()
    assert optimizer.base is not None
    assert optimizer.base.param_groups[0]["lr"] == 0.005
    extra = nn.Parameter(torch.zeros(2))
    optimizer.add_param_group({"params": [extra], "lr": 1.0})
    assert optimizer.base.param_groups[1]["params"] == [extra]
    assert optimizer.param_groups is optimizer.base.param_groups


def test_schedules() -> None:
    moments = [Moment(4 * e + b, e, b) for e in range(3) for b in range(4)]
    assert [m.step for m in moments if AtEpochs(frozenset({1}), 2)(m)] == [4, 5]
    assert [m.step for m in moments if AtSteps(frozenset({1, 9}), 2)(m)] == [1, 2, 9, 10]
    assert [m.step for m in moments if Every(3, start=1, times=2)(m)] == [1, 4]
    assert [m.step for m in moments if as_schedule(lambda m: m.step % 7 == 6)(m)] == [6]
    assert [m.step for m in moments if as_schedule([3], batches=2)(m)] == [3, 4]
    with pytest.raises(InputError, match="batches= goes"):
        as_schedule(Every(2), batches=2)
    with pytest.raises(InputError, match="batches = 0"):
        as_schedule([1], batches=0)
    with pytest.raises(InputError, match="interval"):
        Every(0)
    with pytest.raises(InputError, match="step numbers"):
        as_schedule([-1])


def test_epochs_by_hand_and_by_count() -> None:
    model, closure = setup()
    optimizer = wrap("sgd", model, AtEpochs(frozenset({1}), batches=2))
    for _ in range(2):
        for _ in range(3):
            optimizer.step(closure)
        optimizer.next_epoch()
    assert len(optimizer.reports) == 2
    counted = wrap("sgd", model, AtEpochs(frozenset({1}), batches=2), steps_per_epoch=3)
    for _ in range(6):
        counted.step(closure)
    assert len(counted.reports) == 2
    with pytest.raises(InputError, match="count themselves"):
        counted.next_epoch()


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rmsprop", "adam"])
def test_decay_rate_objective_uses_the_optimizers_own_learning_rates(name: str) -> None:
    model, closure = setup()
    optimizer = wrap(name, model, {1, 3}, objective="decay_rate")
    for _ in range(5):
        optimizer.step(closure)
    assert all(r.accepted and r.rate_after > r.rate_before for r in optimizer.reports)


def test_decay_rate_objective_refuses_what_it_does_not_know() -> None:
    model, closure = setup()
    with pytest.raises(InputError, match="LBFGS"):
        wrap("lbfgs", model, {0}, objective="decay_rate").step(closure)
    stranger, _ = setup()
    odd = TeleportingOptimizer(OPTIMIZERS["sgd"](stranger.parameters()), Teleporter(model), {0}, objective="decay_rate")
    with pytest.raises(InputError, match="does not hold"):
        odd.step(closure)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"state": "x"}, "state"), ({"objective": "x"}, "objective"), ({"steps_per_epoch": 0}, "steps_per_epoch")],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    model, _ = setup()
    with pytest.raises(InputError, match=message):
        wrap("sgd", model, **options)


def test_booth_reference_values() -> None:
    """Plain gradient descent ends at 2.2025; one teleport before step 4 brings 17.95 * 0.1936**6 = 9.45e-4."""
    finals = []
    for schedule in ((), {4}):
        booth = Booth()
        x = torch.tensor([5.0, -5.0], dtype=torch.float64, requires_grad=True)
        optimizer = TeleportingOptimizer(torch.optim.SGD([x], lr=0.08), Teleporter(x, group=booth), schedule)
        losses = [float(optimizer.step(lambda x=x, booth=booth: booth.value(x)) or 0.0) for _ in range(10)]  # type: ignore[misc]
        finals.append(float(booth.value(x).detach()))
        assert losses[:4] == pytest.approx([144.0, 64.74, 38.55, 25.82], rel=1e-3)
    assert finals[0] == pytest.approx(2.2025, rel=1e-4)
    assert finals[1] == pytest.approx(9.45e-4, rel=1e-3)


def test_rosenbrock_reference_values() -> None:
    """Plain gradient descent: 0.11134 at (0.66671, 0.44290) after 1 000 steps; teleports reach the minimum."""
    for schedule, target in (((), 0.11134), (Every(100, start=99), 0.0)):
        group = Rosenbrock()
        x = torch.tensor([-1.0, -1.0], dtype=torch.float64, requires_grad=True)
        optimizer = TeleportingOptimizer(torch.optim.SGD([x], lr=1e-3), Teleporter(x, group=group), schedule)
        for _ in range(1000):
            optimizer.step(lambda x=x, group=group: group.value(x))  # type: ignore[misc]
        final = float(group.value(x).detach())
        assert final == pytest.approx(target, abs=5e-6)
        if not schedule:
            assert x.detach().tolist() == pytest.approx([0.66671, 0.44290], abs=1e-5)
        else:
            assert final < 1e-12


@pytest.mark.parametrize("group", ["scale", "levelset"])
def test_stability_keeps_a_series_of_teleports_from_blowing_up(group: str) -> None:
    """Thirty teleports, each allowed to multiply |grad|^2 by ten: without the check on curvature training diverges."""
    finals = {}
    for stability in (1.0, None):
        model, closure = setup()
        base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        teleporter = Teleporter(model, group=group, step=0.5)
        optimizer = TeleportingOptimizer(base, teleporter, Every(1, times=30), stability=stability)
        for _ in range(60):
            loss = optimizer.step(closure)
        assert loss is not None
        finals[stability] = float(loss)
    assert finals[1.0] < 0.5
    assert not finals[None] < 10 * finals[1.0]


def test_curvature_limit_in_random_search_and_bad_stability() -> None:
    model, closure = setup()
    generator = torch.Generator().manual_seed(0)
    teleporter = Teleporter(model, group="scale", search="random", step=0.3, generator=generator)
    assert not teleporter.teleport(closure, max_curvature=1e-9).gain > 10.0
    assert teleporter.teleport(closure, max_curvature=1e9).accepted
    with pytest.raises(InputError, match="stability"):
        wrap("sgd", model, stability=0.0)
