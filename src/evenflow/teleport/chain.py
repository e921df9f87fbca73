"""Chain: the sequence of linear layers and activations between which a group can act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from evenflow.errors import InputError
from evenflow.teleport.data_map import DataMap

__all__ = ["Chain", "Layer"]

Closure = Callable[[], torch.Tensor]

PASSIVE = (nn.Flatten, nn.Dropout)
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
LEVELSET = 'group="levelset" serves every architecture'


@dataclass(frozen=True)
class Layer:
    """One linear layer and the activation that follows it.

    Parameters
    ----------
    name : str
        Where it is in the model.
    linear : nn.Linear
        The layer.
    activation : nn.Module
        What follows; ``nn.Identity`` if nothing does.
    activation_name : str
        Where the activation is.
    """

    name: str
    linear: nn.Linear
    activation: nn.Module
    activation_name: str


class Chain:
    """Linear layers in a row, h_m = sigma_m(W_m h_{m-1} + b_m), found in a model or given as a list.

    Parameters
    ----------
    layers : list of Layer
        At least one.
    data_map : DataMap, optional
        The map of the inputs in front of them.
    dropouts : list of (str, nn.Dropout)
        Found in between; they must be inactive whenever the model is teleported.

    Raises
    ------
    InputError
        If layers share a parameter, or one is frozen.

    Examples
    --------
    >>> chain = Chain.of(nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    >>> [(layer.name, type(layer.activation).__name__) for layer in chain.layers]
    [('1', 'ReLU'), ('3', 'Identity')]
    """

    def __init__(
        self,
        layers: list[Layer],
        data_map: DataMap | None = None,
        dropouts: Sequence[tuple[str, nn.Dropout]] = (),
    ) -> None:
        self.layers, self.data_map, self.dropouts = layers, data_map, list(dropouts)
        owners: dict[int, str] = {}
        for layer in layers:
            for kind, p in layer.linear.named_parameters(recurse=False):
                if id(p) in owners:
                    raise InputError(
                        f"layers {owners[id(p)]!r} and {layer.name!r} share {kind}: a group would move both at "
                        f"once and change the loss; {LEVELSET}"
                    )
                if not p.requires_grad:
                    raise InputError(
                        f"{kind} of layer {layer.name!r} is frozen (requires_grad=False) and a group would change it; "
                        f"pass the list of trainable layers instead of the model, or {LEVELSET}"
                    )
                owners[id(p)] = layer.name

    @classmethod
    def of(cls, target: nn.Module | Iterable[nn.Module]) -> Chain:
        """Read the chain of an ``nn.Sequential`` (nested or not) or of a list of modules in forward order.

        Raises
        ------
        InputError
            If a module is neither linear, an elementwise activation, ``nn.Flatten`` nor ``nn.Dropout``; the message
            names it and the group that would serve.
        """
        if isinstance(target, nn.Module) and not isinstance(target, nn.Sequential):
            raise InputError(
                f"the model is a {type(target).__name__}, whose order of layers cannot be seen; pass the layers as a "
                f"list in forward order, such as [net.fc1, nn.ReLU(), net.fc2], or {LEVELSET}"
            )
        named = _flatten(_children(target) if isinstance(target, nn.Module) else _number(target))
        return cls._read(list(named))

    @classmethod
    def _read(cls, modules: list[tuple[str, nn.Module]]) -> Chain:
        layers: list[Layer] = []
        data_map: DataMap | None = None
        dropouts: list[tuple[str, nn.Dropout]] = []
        for name, module in modules:
            if isinstance(module, nn.Linear):
                layers.append(Layer(name, module, nn.Identity(), name))
            elif isinstance(module, nn.Dropout):
                dropouts.append((name, module))
            elif isinstance(module, PASSIVE):
                continue
            elif isinstance(module, DataMap) and not layers and data_map is None:
                data_map = module
            elif _elementwise(module) and layers and isinstance(layers[-1].activation, nn.Identity):
                layers[-1] = Layer(layers[-1].name, layers[-1].linear, module, name)
            else:
                raise InputError(_refusal(name, module, bool(layers)))
        if not layers:
            raise InputError(f"the model has no nn.Linear layer, so no group acts on it; {LEVELSET}")
        return cls(layers, data_map, dropouts)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """Weights and biases in order: W_1, b_1, W_2, ..., a missing bias left out."""
        found: list[torch.Tensor] = []
        for layer in self.layers:
            found.append(layer.linear.weight)
            if layer.linear.bias is not None:
                found.append(layer.linear.bias)
        return found

    def pairs(self, tensors: Sequence[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        """Group a flat list, ordered as :attr:`tensors`, into (weight, bias or None)."""
        queue = iter(tensors)
        return [(next(queue), None if layer.linear.bias is None else next(queue)) for layer in self.layers]

    def hidden(self, inputs: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Pre-activations z_m and activations h_m, each (n, d_m), of all layers for inputs (n, d_0)."""
        zs: list[torch.Tensor] = []
        hs: list[torch.Tensor] = []
        h = inputs
        with torch.no_grad():
            for layer in self.layers:
                z = layer.linear(h)
                h = layer.activation(z)
                zs.append(z)
                hs.append(h)
        return zs, hs

    def capture(self, closure: Closure) -> torch.Tensor:
        """Input of the first layer, (n, d_0), as the closure feeds it; several forward passes are stacked.

        Also makes sure that the layers really form a chain in the model.

        Raises
        ------
        InputError
            If dropout is active, a layer is not used, or a layer is fed with something else than its predecessor.
        """
        self.check_dropout()
        seen: list[list[torch.Tensor]] = [[] for _ in self.layers]

        def listener(place: int) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
            def listen(_: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
                seen[place].append(args[0].detach().reshape(-1, args[0].shape[-1]))

            return listen

        hooks = [layer.linear.register_forward_pre_hook(listener(m)) for m, layer in enumerate(self.layers)]
        try:
            with torch.no_grad():
                closure()
        finally:
            for hook in hooks:
                hook.remove()
        for layer, got in zip(self.layers, seen, strict=True):
            if not got:
                raise InputError(f"the closure never runs layer {layer.name!r}; pass the model that it evaluates")
        inputs = torch.cat(seen[0])
        self._check_order(inputs, seen)
        return inputs

    def check_dropout(self) -> None:
        """Refuse active dropout.

        Raises
        ------
        InputError
            Naming the layer.
        """
        for name, module in self.dropouts:
            if module.training and module.p > 0.0:
                raise InputError(
                    f"dropout layer {name!r} is active, so the loss is random and no symmetry keeps it; call "
                    "model.eval() before the teleport and model.train() after it"
                )

    def _check_order(self, inputs: torch.Tensor, seen: list[list[torch.Tensor]]) -> None:
        _, hs = self.hidden(inputs)
        for m, layer in enumerate(self.layers[1:], start=1):
            fed, before = torch.cat(seen[m]), self.layers[m - 1]
            tolerance = 1e3 * torch.finfo(fed.dtype).eps
            scale = max(float(fed.abs().max()), 1e-30)
            if fed.shape != hs[m - 1].shape or float((fed - hs[m - 1]).abs().max()) > tolerance * scale:
                raise InputError(
                    f"layer {layer.name!r} is not fed with {type(before.activation).__name__} of layer "
                    f"{before.name!r}: the layers do not form a chain in this model (a skip connection, another "
                    f"activation, a layer left out?); pass them in forward order with their activations, or {LEVELSET}"
                )


def _number(modules: Iterable[nn.Module]) -> list[tuple[str, nn.Module]]:
    return [(str(i), module) for i, module in enumerate(modules)]


def _children(module: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Children by name; ``named_children`` would leave out a module that is used a second time."""
    return [(name, child) for name, child in module._modules.items() if child is not None]


def _flatten(modules: Iterable[tuple[str, nn.Module]]) -> Iterable[tuple[str, nn.Module]]:
    for name, module in modules:
        if isinstance(module, nn.Sequential):
            yield from _flatten((f"{name}.{inner}", child) for inner, child in _children(module))
        else:
            yield name, module


def _elementwise(module: nn.Module) -> bool:
    """Whether a module is an activation that sees each entry alone."""
    torch_activation = type(module).__module__ == "torch.nn.modules.activation"
    whole = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Softmin, nn.GLU, nn.MultiheadAttention)
    own = callable(getattr(module, "inverse", None)) or getattr(module, "homogeneous", False) is True
    return isinstance(module, nn.Identity) or own or (torch_activation and not isinstance(module, whole))


def _refusal(name: str, module: nn.Module, after_linear: bool) -> str:
    kind = type(module).__name__
    if isinstance(module, NORMS):
        return f"layer {name!r} ({kind}) normalises its input, so the groups of linear layers do not act; {LEVELSET}"
    if _elementwise(module):
        where = "follows another activation" if after_linear else "stands before the first linear layer"
        return f"layer {name!r} ({kind}) {where}; join them in one module, or {LEVELSET}"
    return f"layer {name!r} ({kind}) is not served by the groups of linear layers; {LEVELSET}"
