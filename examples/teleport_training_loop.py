"""Add teleportation to an ordinary PyTorch training loop: two lines.

A student network learns a teacher's function from mini-batches, once plainly and once with teleports at the start of
the second epoch. Run it: ``python examples/teleport_training_loop.py``
"""

from __future__ import annotations

import torch
from torch import nn

from evenflow.teleport import AtEpochs, Teleporter, TeleportingOptimizer

BATCH, EPOCHS = 20, 6


def network(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(30, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3))


def train(teleport: bool) -> list[float]:
    torch.manual_seed(0)
    teacher, model = network(16), network(48)
    x = torch.randn(2000, 30)
    y = teacher(x).detach()
    loss_fn = nn.MSELoss()

    optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    if teleport:
        # line 1: wrap the optimizer. "scale" is exact on all data for ReLU networks; epoch 1 is the second one.
        optimizer = TeleportingOptimizer(
            optimizer,
            Teleporter(model, group="scale"),
            AtEpochs({1}, batches=4),
            steps_per_epoch=len(x) // BATCH,
        )

    losses = []
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            if isinstance(optimizer, TeleportingOptimizer):
                # line 2: offer the loss of this batch; it teleports only where the schedule says so.
                optimizer.teleport(lambda batch=batch: loss_fn(model(x[batch]), y[batch]))
            optimizer.zero_grad()
            loss = loss_fn(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
        losses.append(float(loss_fn(model(x), y).detach()))

    if isinstance(optimizer, TeleportingOptimizer):
        for report in optimizer.reports:
            print(
                f"teleport: |grad|^2 x {report.gain:.2f}, loss changed by {report.loss_change:.0e} relative, "
                f"{1e3 * report.seconds:.0f} ms; {report.reason}"
            )
    return losses


def main() -> None:
    plain, teleported = train(teleport=False), train(teleport=True)
    print("epoch  plain    with teleports")
    for epoch, (a, b) in enumerate(zip(plain, teleported, strict=True), start=1):
        print(f"{epoch:5d}  {a:.5f}  {b:.5f}")


if __name__ == "__main__":
    main()
