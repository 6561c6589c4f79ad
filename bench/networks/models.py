"""Builds exactly the network that a cell names: timm's, with these weights or none, and this head."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from bench.errors import WeightsError
from bench.networks.registry import Architecture
from bench.networks.truncation import Truncated, truncate
from bench.networks.weights import Weights

SHOWN = 20
"""How many parameter names of a kind an error message lists; more of them are another network's."""

RGB = 3
"""Channels that ImageNet weights were trained with."""

COUNTERS = "num_batches_tracked"
"""BatchNorm's step counters, absent from weight files of PyTorch 0.2; they are not used while momentum is set."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel that a network's inputs in [0, 1] are normalised with."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def normalisation(row: Architecture, weights: Weights | None, in_chans: int = 3) -> Normalisation:
    """The normalisation of the weights in use.

    What the weight file states comes first, then timm's record of that tag, then timm's record of the row's pinned tag:
    the last also serves from-scratch training, so that both arms of a comparison see the same inputs.

    For images of one channel mean and std are the means over the channels. Source: ours, as timm states none. It is
    exactly what three channels would see where the weights have one mean and std for all three.

    Args:
        weights: None from scratch.
        in_chans: channels of the images, 1 or 3.
    """
    mean, std = _stated(row, weights)
    if in_chans == 1:
        mean, std = (fmean(mean),), (fmean(std),)
    return Normalisation(mean, std)


def _stated(row: Architecture, weights: Weights | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if weights is not None and weights.mean is not None and weights.std is not None:
        return weights.mean, weights.std
    name = f"{row.name}.{row.tag}"
    if weights is not None and weights.name in timm.list_pretrained(f"{row.name}.*"):
        name = weights.name
    record = timm.get_pretrained_cfg(name)
    assert record is not None  # for the type checker: every row's pinned tag is timm's, which a test shows
    return tuple(record.mean), tuple(record.std)


def build_model(
    row: Architecture, *, outputs: int, weights: Weights | None, seed: int, depth: int = 0, in_chans: int = 3
) -> nn.Module:
    """timm's network with a new linear head, its body from `weights` or from timm's random initialisation.

    Args:
        weights: the weight file of the body; None trains from scratch.
        seed: of the random initialisation; the global random state is left as it was.
        in_chans: channels of an image; for 1 the weights of the first layer are summed over theirs, as timm does.

    Returns:
        A network from [batch, in_chans, height, width] float32 to [batch, outputs] logits, on the CPU.

    Raises:
        WeightsError: the file lacks a parameter of the body, has one that the network has not, or in another shape, or
            says that it is of another architecture or depth.
        ConfigError: the architecture has no such depth.
    """
    check_fit(row, weights, depth)
    with torch.random.fork_rng([]):  # the CPU's alone: initial values are drawn there
        torch.default_generator.manual_seed(seed)
        network: nn.Module = timm.create_model(row.name, pretrained=False, num_classes=outputs, in_chans=in_chans)
        if weights is not None and weights.depth == 0:  # the whole body: one that does not fit is refused at any depth
            load_body(network, weights.path, auxiliary=row.auxiliary, in_chans=in_chans)
        built = truncate(network, row, depth, outputs=outputs, in_chans=in_chans)
        if weights is not None and weights.depth != 0:
            load_body(built, weights.path, in_chans=in_chans)
        return built


def check_fit(row: Architecture, weights: Weights | None, depth: int) -> None:
    """Refuses weights that say that they are of another architecture, or cut otherwise than the network asked for.

    Weights of a whole network serve every depth, those of a truncated one their own alone.

    Args:
        weights: None, from scratch, fits everything.

    Raises:
        WeightsError: naming both.
    """
    if weights is None:
        return
    if weights.arch not in ("", row.name):
        raise WeightsError(f"weights {weights.name} are of {weights.arch}, not of arch={row.name}")
    if weights.depth not in (0, depth):
        raise WeightsError(
            f"weights {weights.name} are of a network at truncate={weights.depth}, which serves truncate="
            f"{weights.depth} alone, not truncate={depth}; those of a whole network serve every depth"
        )


def load_body(network: nn.Module, path: Path, *, auxiliary: tuple[str, ...] = (), in_chans: int = 3) -> None:
    """Fills every parameter but the head's from a safetensors file.

    Args:
        network: a timm network or a truncated one; changed in place.
        auxiliary: prefixes of parameters that the file may hold and that are left out beside the head.
        in_chans: of the network; where it is 1 and the file's first layer takes three channels, their sum is taken.

    Raises:
        WeightsError: listing what is missing, unexpected or of another shape; the network is then unchanged.
    """
    dropped = (*(f"{name}." for name in head_names(network)), *auxiliary)
    body = {key: value for key, value in network.state_dict().items() if not key.startswith(dropped)}
    loaded = {key: value for key, value in load_file(path).items() if not key.startswith(dropped)}
    if in_chans == 1:
        for key in body.keys() & loaded.keys():
            loaded[key] = _one_channel(loaded[key], body[key].shape)
    shapes = [key for key in body.keys() & loaded.keys() if body[key].shape != loaded[key].shape]
    problems = [
        f"{what} {len(keys)} parameters ({', '.join(sorted(keys)[:SHOWN])}{', ...' if len(keys) > SHOWN else ''})"
        for what, keys in (
            ("lacks", [key for key in body.keys() - loaded.keys() if not key.endswith(COUNTERS)]),
            ("has, beyond the network's,", list(loaded.keys() - body.keys())),
            ("has in another shape", shapes),
        )
        if keys
    ]
    if problems:
        raise WeightsError(f"{path} does not fit {type(network).__name__}: it " + "; it ".join(problems))
    network.load_state_dict(loaded, strict=False)


def _one_channel(weight: Tensor, wanted: torch.Size) -> Tensor:
    """The first layer's weight, the only one that depends on the image's channels, in the shape that one needs."""
    if weight.ndim == 4 and weight.shape[1] == RGB * wanted[1]:
        return adapt_input_conv(1, weight)
    return weight


def head_names(network: nn.Module) -> tuple[str, ...]:
    """The names of the classifier's modules, as timm records them; a truncated network's is ours."""
    if isinstance(network, Truncated):
        return ("head",)
    record: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]  # timm sets it on every network
    classifier = record["classifier"]
    return (classifier,) if isinstance(classifier, str) else tuple(classifier)


def count_parameters(network: nn.Module) -> int:
    """Trainable numbers of the network as built, its head included."""
    return sum(parameter.numel() for parameter in network.parameters())
