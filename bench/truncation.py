"""Cuts the last stages off a timm network: what is kept computes what it computed before, what is dropped is gone."""

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.registry import Architecture, check_depth

PROBE = 512
"""Input side in pixels at which strides are read off: large enough that rounding at the borders does not matter."""


class Truncated(nn.Module):
    """The first stages of a network, then global average pooling and one linear layer.

    Args:
        body: from [batch, channels in, height, width] to a feature map.
        channels: of that map.
        outputs: width of the head.
    """

    def __init__(self, body: nn.Sequential, channels: int, outputs: int) -> None:
        super().__init__()
        self.body = body
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        self.head = nn.Linear(channels, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [batch, outputs]."""
        logits: Tensor = self.head(self.pool(self.body(image)))
        return logits


@dataclass(frozen=True)
class FeatureMap:
    """The last map before pooling.

    Attributes:
        channels: of the map.
        height, width: in cells, at the input size asked for.
        stride: input pixels per cell, a power of two.
    """

    channels: int
    height: int
    width: int
    stride: int


def truncate(network: nn.Module, row: Architecture, depth: int, *, outputs: int) -> nn.Module:
    """The network without its last `depth` stages; at depth 0 the network itself.

    Args:
        network: timm's, whole; the kept modules are used, not copied.
        row: its row of the registry.
        depth: how many stages to remove.
        outputs: width of the new head, initialised as torch initialises a linear layer.

    Raises:
        ConfigError: the architecture has no such depth.
    """
    check_depth(row, depth)
    if depth == 0:
        return network
    body = _until(network, row.cuts[depth - 1])
    return Truncated(body, _shape(body, PROBE)[1], outputs)


def _until(module: nn.Module, path: str) -> nn.Sequential:
    """The children of a chain up to and with the module at `path`, under their own names.

    All networks of the registry run their children one after the other in the order of definition; that the result
    computes what the whole network computes there is tested for every row and depth.
    """
    name, _, rest = path.partition(".")
    kept: OrderedDict[str, nn.Module] = OrderedDict()
    for child_name, child in module.named_children():
        if child_name != name:
            kept[child_name] = child
            continue
        kept[name] = _until(child, rest) if rest else child
        return nn.Sequential(kept)
    raise ValueError(f"{type(module).__name__} has no {path}")


def _shape(body: nn.Module, side: int) -> torch.Size:
    """The shape of the body's output for one square image, from shapes alone: nothing is computed or changed."""
    with torch.device("meta"), torch.no_grad():
        parameters = {name: torch.empty_like(value, device="meta") for name, value in body.state_dict().items()}
        training = body.training
        body.eval()  # in training mode BatchNorm would count this image
        shape = torch.func.functional_call(body, parameters, (torch.empty(1, 3, side, side),)).shape
        body.train(training)
    return torch.Size(shape)


def feature_map(network: nn.Module, side: int) -> FeatureMap:
    """The last map before pooling, for square inputs of `side` pixels.

    Args:
        network: timm's whole network, or a truncated one.
        side: of the input, pixels.
    """
    body = network.body if isinstance(network, Truncated) else _Features(network)
    _, channels, height, width = _shape(body, side)
    probe = _shape(body, PROBE)[2]
    return FeatureMap(channels, height, width, stride=1 << round(math.log2(PROBE / probe)))


class _Features(nn.Module):
    """A timm network's `forward_features` as a module of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(image)  # type: ignore[operator]  # every timm network has it
        return features
