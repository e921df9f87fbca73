"""DataMap: a linear map of the inputs that teleports compose and inference keeps."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["DataMap"]


class DataMap(nn.Module):
    """x -> M x on the last axis; M starts as the identity and only teleports change it.

    Put it in front of the first layer, and teleport with ``group="data"``: the group acts on the inputs as well
    as on the weights (Algorithm 3 of [1]_), the maps of all teleports are composed in M, and since M is a buffer
    of the model it is saved with it and applied at inference.

    Parameters
    ----------
    features : int
        Size of the last axis.

    References
    ----------
    .. [1] "Symmetry Teleportation for Accelerated Optimization", NeurIPS 2022, appendix A.2.

    Examples
    --------
    >>> import torch
    >>> DataMap(2)(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2.]])
    """

    matrix: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.eye(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the map; x of shape (..., features)."""
        return x @ self.matrix.T
