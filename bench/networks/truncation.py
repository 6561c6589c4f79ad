"""Cuts the last stages off a timm network: what is kept computes what it computed before, what is dropped is gone."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import Any

import timm
import torch
from torch import Tensor, nn

from bench.errors import ConfigError
from bench.networks.registry import Architecture, check_depth

PROBE = 512
"""Input side in pixels at which strides are read off: large enough that rounding at the borders does not matter."""

UNUSUAL = (RuntimeError, AssertionError, AttributeError, IndexError, NotImplementedError, TypeError, ValueError)
"""What networks of timm's raise where they cannot do what is asked: each family says it in its own way."""


class Truncated(nn.Module):
    """The first stages of a network, then global average pooling and one linear layer.

    Args:
        body: from [batch, channels in, height, width] to a feature map.
    """

    def __init__(self, body: nn.Module, channels: int, outputs: int) -> None:
        super().__init__()
        self.body = body
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        self.head = nn.Linear(channels, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [batch, outputs]."""
        logits: Tensor = self.head(self.pool(self.body(image)))
        return logits


class Tapped(nn.Module):
    """A network of timm's that ends where one of its feature stages does: from images to that stage's map.

    Args:
        network: timm's; changed in place by its own `prune_intermediate_layers`.
    """

    def __init__(self, network: nn.Module, stage: int) -> None:
        super().__init__()
        network.prune_intermediate_layers([stage], prune_norm=True, prune_head=True)  # type: ignore[operator]  # timm's
        self.network = network
        self._stage = stage

    def forward(self, image: Tensor) -> Tensor:
        """The map [batch, channels, height, width]; a transformer's without its class token."""
        maps = self.network.forward_intermediates(  # type: ignore[operator]  # timm's
            image, indices=[self._stage], intermediates_only=True
        )
        last: Tensor = maps[0]
        return last


@dataclass(frozen=True)
class FeatureMap:
    """The last map before pooling.

    Attributes:
        channels: of the map.
        height, width: in cells, at the input size asked for.
        stride: input pixels per cell; of a network that takes images of several sizes the nearest power of two, as
            rounding at the borders changes the cells a little.
    """

    channels: int
    height: int
    width: int
    stride: int


def truncate(network: nn.Module, row: Architecture, depth: int, *, outputs: int, in_chans: int = 3) -> nn.Module:
    """The network without its last `depth` stages; at depth 0 the network itself.

    Args:
        network: timm's, whole; the kept modules are used, not copied.
        outputs: width of the new head, initialised as torch initialises a linear layer.

    Raises:
        ConfigError: the architecture has no such depth, or cannot be cut there.
    """
    check_depth(row, depth)
    if depth == 0:
        return network
    if not row.chain:
        return _tapped(network, row, depth, outputs=outputs, in_chans=in_chans)
    body = _until(network, row.cuts[depth - 1])
    return Truncated(body, _shape(body, in_chans, PROBE)[1], outputs)


def _tapped(network: nn.Module, row: Architecture, depth: int, *, outputs: int, in_chans: int) -> Truncated:
    """The same for any network of timm's, by timm's own means."""
    channels = _channels_behind(row, depth, in_chans)
    return Truncated(Tapped(network, len(row.cuts) - depth), channels, outputs)


@cache
def _channels_behind(row: Architecture, depth: int, in_chans: int) -> int:
    """Channels of the map behind a cut, from shapes alone.

    Raises:
        ConfigError: timm cannot cut the network there, or leaves parameters that do nothing.
    """
    where = f"truncate={depth}: {row.name} cannot be cut behind {row.cuts[depth - 1]}"
    with torch.device("meta"):
        bare: Any = timm.create_model(row.name, pretrained=False, num_classes=1, in_chans=in_chans).eval()
        expected, side = bare.feature_info[-1 - depth]["num_chs"], bare.pretrained_cfg["input_size"][-1]
        try:
            body = Tapped(bare, len(row.cuts) - depth)
            features = body(torch.empty(1, in_chans, side, side))
            learnt = {name: parameter for name, parameter in body.named_parameters() if parameter.requires_grad}
            reached = torch.autograd.grad(features.sum(), list(learnt.values()), allow_unused=True)
        except UNUSUAL as error:
            raise ConfigError(f"{where} ({first_line(error)})") from None
    idle = [name for name, gradient in zip(learnt, reached, strict=True) if gradient is None]
    if idle:
        raise ConfigError(f"{where}: {len(idle)} parameters would be left that do nothing ({idle[0]}, ...)")
    if features.ndim != 4 or features.shape[1] != expected:
        raise ConfigError(f"{where}: what it gives there is no map of one size")
    return int(features.shape[1])


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _until(module: nn.Module, path: str) -> nn.Sequential:
    """The children of a chain up to and with the module at `path`, under their own names.

    The networks of the registry run their children one after the other in the order of definition; that the result
    computes what the whole network computes there is tested for every row and depth.

    Raises:
        ValueError: the chain has no such module.
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


def _shape(body: nn.Module, in_chans: int, side: int) -> torch.Size:
    """The shape of the body's output for one square image, from shapes alone: nothing is computed or changed."""
    values = dict(body.named_parameters()) | dict(body.named_buffers())  # also the buffers that no state dict holds
    training = body.training
    body.eval()  # in training mode BatchNorm would count this image
    with torch.device("meta"), torch.no_grad():
        nothing = {name: torch.empty_like(value, device="meta") for name, value in values.items()}
        shape = torch.func.functional_call(body, nothing, (torch.empty(1, in_chans, side, side),)).shape
    body.train(training)
    return torch.Size(shape)


def feature_map(network: nn.Module, side: int, in_chans: int = 3) -> FeatureMap:
    """The last map before pooling, for square inputs of `side` pixels.

    Args:
        side: of the input, pixels.
    """
    body = network.body if isinstance(network, Truncated) else _Features(network)
    _, channels, height, width = _shape(body, in_chans, side)
    record = getattr(getattr(body, "network", None), "pretrained_cfg", {})
    if record.get("fixed_input_size"):
        return FeatureMap(channels, height, width, side // height)
    probe = record["input_size"][-1] if record else PROBE
    return FeatureMap(channels, height, width, 1 << round(math.log2(probe / _shape(body, in_chans, probe)[2])))


class _Features(nn.Module):
    """A timm network's `forward_features` as a module of its own; tokens and maps with channels last become maps."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        network: Any = self.network  # timm's, whose methods torch does not type
        features: Tensor = network.forward_features(image)
        if features.ndim == 4 and network.num_features not in features.shape[2:]:
            return features
        last: Tensor = network.forward_intermediates(image, indices=1, intermediates_only=True)[-1]
        return last
