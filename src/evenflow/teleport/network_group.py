"""NetworkGroup: a group that acts between the linear layers of a chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evenflow.errors import InputError
from evenflow.teleport.chain import Chain
from evenflow.teleport.group import Orbit, SymmetryGroup
from evenflow.teleport.pseudo_inverse import augmented, inspect, require_narrow
from evenflow.teleport.report import LayerCheck

__all__ = ["NetworkGroup"]


class NetworkGroup(SymmetryGroup):
    """Base of the groups that act on the hidden layers of a :class:`~evenflow.teleport.Chain`.

    Parameters
    ----------
    chain : Chain
        The layers; the group acts on the outputs of all but the last.
    update : {"minimal", "paper"}
        Whether weights outside the span of the batch are kept (minimal) or erased (paper).
    rank_check : bool
        Whether a batch larger than a width is refused.

    Raises
    ------
    InputError
        If the chain is too short, an activation does not allow the group, or ``update`` is unknown.
    """

    def __init__(self, chain: Chain, *, update: str = "minimal", rank_check: bool = True) -> None:
        if update not in ("minimal", "paper"):
            raise InputError(f"update = {update!r}, expected 'minimal' or 'paper'")
        self.chain, self.update, self.rank_check = chain, update, rank_check
        self._check_layers()

    def _check_layers(self) -> None:
        if len(self.chain.layers) < 2:
            raise InputError(
                f"group {self.name!r} acts between linear layers and the model has one ({self.chain.layers[0].name!r});"
                ' put a DataMap in front of it and take group="data", or take group="levelset"'
            )
        for layer in self.chain.layers[:-1]:
            advice = self.refuse_activation(layer.activation)
            if advice is not None:
                kind = type(layer.activation).__name__
                raise InputError(f"activation {layer.activation_name!r} ({kind}) of layer {layer.name!r} {advice}")

    def refuse_activation(self, activation: torch.nn.Module) -> str | None:
        """Why the group cannot act before this activation and which group would; None if it can."""
        return None

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The tensors that the group moves, in the order of its points."""
        return self.chain.tensors

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return tuple(layer.linear.out_features for layer in self.chain.layers[:-1])

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """One square matrix for each hidden layer."""
        return tuple((d, d) for d in self.widths)

    def require_inputs(self, inputs: torch.Tensor | None) -> torch.Tensor:
        """The inputs, or an error that says they are missing.

        Raises
        ------
        InputError
            If there are none.
        """
        if inputs is None:
            raise InputError(f"group {self.name!r} depends on the batch: pass inputs=, the input of the first layer")
        return inputs


def as_list(pairs: Sequence[tuple[torch.Tensor, torch.Tensor | None]]) -> list[torch.Tensor]:
    """Flatten (weight, bias) pairs in the order of ``chain.tensors``."""
    return [t for pair in pairs for t in pair if t is not None]


class NetworkOrbit(Orbit):
    """Orbit of the weights of a chain, with the pairs taken apart."""

    def __init__(self, group: NetworkGroup, point: Sequence[torch.Tensor]) -> None:
        self.group = group
        self.pairs = [(W.detach(), None if b is None else b.detach()) for W, b in group.chain.pairs(list(point))]


class BatchOrbit(NetworkOrbit):
    """Orbit that depends on a batch: layers, their old pre-activations z, and the matrices that are inverted.

    Parameters
    ----------
    group : NetworkGroup
    point : sequence of Tensor
        The tensors of ``chain.tensors``.
    """

    def __init__(self, group: NetworkGroup, point: Sequence[torch.Tensor]) -> None:
        super().__init__(group, point)
        self.layers = group.chain.layers
        self.z: list[torch.Tensor] = []
        self._checks: dict[str, LayerCheck] = {}

    def checks(self) -> Mapping[str, LayerCheck]:
        return self._checks

    def _to_invert(self, m: int, h: torch.Tensor) -> torch.Tensor:
        """Inputs of layer m, with ones for a bias: refused where the batch is too large, noted down for the checks."""
        H, name = augmented(h, self.pairs[m][1] is not None), self.layers[m].name
        if self.group.rank_check:
            require_narrow(H, name, self.group.name)
        self._checks[name] = inspect(H)
        return H

    def _base(self, m: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the update of layer m adds to: the layer itself, or zero for ``update="paper"``."""
        W, b = self.pairs[m]
        if self.group.update == "minimal":
            return W, b
        return torch.zeros_like(W), None if b is None else torch.zeros_like(b)

    def _changed(self, m: int, change: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias of layer m plus a change of both, the last column that of the bias."""
        W, b = self._base(m)
        return (W + change, None) if b is None else (W + change[:, :-1], b + change[:, -1])
