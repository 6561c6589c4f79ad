"""Any network of timm's as a row of the registry: cut where timm's `feature_info` says that a stage ends."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import timm
import torch
from torch import nn

from bench.errors import ConfigError
from bench.networks.registry import Architecture
from bench.networks.truncation import UNUSUAL, feature_map, first_line, truncate

FAMILY = re.compile(r"(?:tf_)?([a-z]+?(?:v\d+)?)(?=[^a-z]|$)")
"""The first word of a name, with its version: `convnextv2` of `convnextv2_tiny`, `vgg` of `vgg11_bn`."""

SHOWN = 8
"""How many names an error message lists."""


def timm_row(name: str, tag: str, *, known: Mapping[str, Architecture]) -> Architecture:
    """The row of a network that the registry does not have, or has with another weight tag.

    Its depths are the stages of timm's `feature_info`: truncate = 1 ends with the last but one, and so on. Its weights
    are those of `tag`, without one those that timm itself would pick, whose tag then stands in the row.

    Args:
        name: timm's, without a tag.
        tag: one of timm's weight tags, or empty.

    Raises:
        ConfigError: timm has no such network or tag, or the network's features cannot be had as a map.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, [*known, *timm.list_models()], n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(f"arch={name}: {hint}It is not one of {', '.join(known)}, nor another network of timm's")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    if tag and tag not in tags:
        raise ConfigError(
            f"arch.name={name}.{tag}: timm's weights of {name} are {', '.join(tags[:SHOWN]) or 'none'}"
            f"{', ...' if len(tags) > SHOWN else ''}; weights of your own are named by weights.tag or weights.source"
        )
    return replace(known[name], tag=tag) if name in known else _row(name, tag)


@cache
def _row(name: str, tag: str) -> Architecture:
    with torch.device("meta"):
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=1)
    info = getattr(network, "feature_info", None)
    record = timm.get_pretrained_cfg(f"{name}.{tag}" if tag else name)
    if not info or record is None:
        raise ConfigError(f"arch.name={name}: timm states no feature_info for it, so that it cannot be cut or measured")
    family = FAMILY.match(name)
    return Architecture(
        name=name,
        family=family[1] if family else name,
        label=name,
        tag=record.tag or "",
        cuts=tuple(stage["module"] for stage in reversed(info[:-1])),
        side=record.input_size[1] if record.fixed_input_size else None,
        paper=False,
        chain=False,
    )


@cache
def try_size(row: Architecture, depth: int, crop: int) -> None:
    """Sends an image through the network's shapes, at that depth and size, without any numbers.

    Args:
        crop: side of the image, pixels.

    Raises:
        ConfigError: the network cannot be cut there, or cannot take such an image.
    """
    with torch.device("meta"):
        network: nn.Module = timm.create_model(row.name, pretrained=False, num_classes=1)
        cut = truncate(network, row, depth, outputs=1)
    try:
        last = feature_map(cut, crop)
    except UNUSUAL as error:
        reason = first_line(error)
        raise ConfigError(
            f"protocol.image.crop={crop}: {row.name} makes no feature map of such images ({reason})"
        ) from None
    if 0 in (last.height, last.width):
        raise ConfigError(f"protocol.image.crop={crop}: nothing is left of it in the last feature map of {row.name}")
