"""Left inverses of hidden activations, with their rank and condition."""

from __future__ import annotations

import torch

from evenflow.errors import InputError
from evenflow.teleport.report import LayerCheck

__all__ = ["augmented", "inspect", "left_inverse", "require_narrow"]


def augmented(h: torch.Tensor, bias: bool) -> torch.Tensor:
    """The activations (n, d), with a column of ones if the layer has a bias.

    Examples
    --------
    >>> import torch
    >>> augmented(torch.zeros(2, 3), bias=True).shape
    torch.Size([2, 4])
    """
    return torch.cat([h, h.new_ones(h.shape[0], 1)], dim=1) if bias else h


def left_inverse(h: torch.Tensor) -> torch.Tensor:
    """P (n, d) with P h^T = I_n for activations h (n, d) of full row rank, n <= d.

    By a thin QR factorisation h^T = Q R, P = R^{-1} Q^T: cost 2 d n^2, differentiable.

    Examples
    --------
    >>> import torch
    >>> h = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    >>> bool(torch.allclose(left_inverse(h) @ h.T, torch.eye(2), atol=1e-6))
    True
    """
    if h.shape[0] > h.shape[1]:  # no left inverse exists: least squares, for those who switch the check off
        return torch.linalg.pinv(h.T)
    Q, R = torch.linalg.qr(h.T)
    return torch.linalg.solve_triangular(R, Q.T, upper=True)


def require_narrow(h: torch.Tensor, layer: str, group: str) -> None:
    """Refuse a batch that is larger than the width of a layer's input.

    Raises
    ------
    InputError
        Naming the layer, both sizes, and what would serve.

    Examples
    --------
    >>> import torch
    >>> require_narrow(torch.zeros(2, 3), "0", "gl")
    """
    if h.shape[0] > h.shape[1]:
        raise InputError(
            f"group {group!r} keeps the outputs of a batch only if the batch is no larger than every width, but the "
            f"input of layer {layer!r} has {h.shape[1]} columns (with the bias) for {h.shape[0]} samples; teleport "
            f'on a smaller batch, or take group="scale", which is exact on all data, or group="levelset"'
        )


def inspect(h: torch.Tensor) -> LayerCheck:
    """Rank and condition number of activations (n, d).

    Examples
    --------
    >>> import torch
    >>> inspect(torch.eye(2, 3)).rank
    2
    """
    sigma = torch.linalg.svdvals(h)
    top, eps = float(sigma[0]), torch.finfo(h.dtype).eps
    rank = int((sigma > top * eps * max(h.shape)).sum())
    low = float(sigma[-1])
    return LayerCheck(h.shape[0], h.shape[1], rank, top / low if low > 0.0 else float("inf"))
