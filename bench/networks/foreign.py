"""Weights that another code base saved: its tensors, found by name or by order and shape, under timm's names.

Wrappers (`state_dict`, `module.`, `model.`, `encoder_q.`) need no list: nested mappings become dotted names, and the
prefix below which timm's own names are found is the one.
"""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import WeightsError
from bench.networks.models import COUNTERS, RGB, head_names

PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".tar")
SHOWN = 8
"""How many names a message lists."""


@dataclass(frozen=True)
class Match:
    """The body of a network, found in a file.

    Attributes:
        tensors: by timm's names, float32; the classifier and BatchNorm's step counters are not among them.
        prefix: below which the file has them, its final dot included.
        by_name: whether names were equal; otherwise order and shapes were.
        unused: names below the prefix that the body does not have, such as a classifier's.
        elsewhere: how many of the file's tensors lie outside the prefix, such as an optimiser's.
    """

    tensors: dict[str, Tensor]
    prefix: str
    by_name: bool
    unused: tuple[str, ...]
    elsewhere: int


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file, by dotted name, in the file's order; nothing in the file is executed.

    Raises:
        WeightsError: it is of no kind that is read, torn, or holds more than tensors and plain values.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".safetensors":
            return load_file(path)
        if kind == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if kind in PICKLED:
            return dict(_flat(torch.load(path, map_location="cpu", weights_only=True)))
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} holds objects, not only tensors, and loading them would run code of whoever made it: refused. "
            "Load it where you trust it, and save what `model.state_dict()` gives"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    raise WeightsError(f"{path}: read are .safetensors, .npz, {', '.join(PICKLED)}")


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """(dotted name, tensor) of nested mappings; all else in them is passed over."""
    for key, value in node.items() if isinstance(node, Mapping) else ():
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", value
        else:
            yield from _flat(value, f"{prefix}{key}.")


def match(tensors: Mapping[str, Tensor], network: nn.Module, prefix: str | None = None) -> Match:
    """Finds the body of a network among a file's tensors.

    Args:
        tensors: by dotted name, in the file's order.
        network: timm's, whole; nothing of it is changed.
        prefix: the only one to look below; None looks below all.

    Raises:
        WeightsError: no prefix has the whole body, or several have one each.
    """
    dropped = tuple(f"{name}." for name in head_names(network))
    state = network.state_dict()
    body = {k: v for k, v in state.items() if not k.startswith(dropped) and not k.endswith(COUNTERS)}
    places = {prefix} if prefix is not None else {name[:end] for name in tensors for end in _ends(name)}
    for look in (_by_name, _by_order):
        taken = {place: look(_below(tensors, place), body) for place in sorted(places)}
        # Outer prefixes have the same tensors as inner ones: by what was taken, the longest counts.
        found = {tuple(place + name for name in names.values()): place for place, names in taken.items() if names}
        if len(found) > 1:
            there = ", ".join(found.values())
            raise WeightsError(f"the file has several such networks: choose with published.prefix=, one of {there}")
        for place in found.values():
            return _match(tensors, place, taken[place] or {}, by_name=look is _by_name)
    raise WeightsError(_nearest(tensors, places, body))


def _match(tensors: Mapping[str, Tensor], place: str, taken: dict[str, str], *, by_name: bool) -> Match:
    below = _below(tensors, place)
    used = set(taken.values())
    unused = tuple(name for name in below if name not in used and not name.endswith(COUNTERS))
    made = {name: below[own].float().contiguous() for name, own in taken.items()}
    return Match(made, place, by_name, unused, len(tensors) - len(below))


def _ends(name: str) -> list[int]:
    """Where each prefix of a dotted name ends, the empty one first."""
    return [0, *(place + 1 for place, letter in enumerate(name) if letter == ".")]


def _below(tensors: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    return {name.removeprefix(place): value for name, value in tensors.items() if name.startswith(place)}


def _by_name(there: Mapping[str, Tensor], body: Mapping[str, Tensor]) -> dict[str, str] | None:
    """The body's names by themselves; None where one is not there in its shape."""
    fits = all(name in there and _same(there[name], value) for name, value in body.items())
    return {name: name for name in body} if fits else None


def _by_order(there: Mapping[str, Tensor], body: Mapping[str, Tensor]) -> dict[str, str] | None:
    """The file's names by the body's, in the order of both; None where a shape differs on the way.

    What follows the body in the file (a classifier) is left over. For numbered modules: `nn.Sequential(*children)`.
    """
    names = [name for name in there if not name.endswith(COUNTERS)][: len(body)]
    fits = len(names) == len(body) and all(
        _same(there[own], value) for own, value in zip(names, body.values(), strict=True)
    )
    return dict(zip(body, names, strict=True)) if fits else None


def _same(found: Tensor, wanted: Tensor) -> bool:
    """Whether the shapes are equal, or differ as the first layer's do between images of three channels and of one."""
    if found.shape == wanted.shape:
        return True
    one = found.ndim == wanted.ndim == 4 and wanted.shape[1] == RGB and found.shape[1] == 1
    return one and found.shape[0] == wanted.shape[0] and found.shape[2:] == wanted.shape[2:]


def _nearest(tensors: Mapping[str, Tensor], places: set[str], body: Mapping[str, Tensor]) -> str:
    """What is wrong below the prefix that has most of the body's names."""
    counts = {place: sum(name in body for name in _below(tensors, place)) for place in sorted(places)}
    place = max(counts, key=lambda one: counts[one], default="")
    there = _below(tensors, place)
    lacking = [name for name in body if name not in there]
    other = [
        f"{name} {tuple(there[name].shape)}" for name in body if name in there and not _same(there[name], body[name])
    ]
    said = [f"lacks {len(lacking)} of {len(body)} parameters ({', '.join(lacking[:SHOWN])})"] if lacking else []
    said += [f"has {len(other)} in another shape ({', '.join(other[:SHOWN])})"] if other else []
    where = f"below '{place}' " if place else ""
    return (
        f"the file {where}{'; it '.join(said) or 'has no tensors'}: it is of another network, or named in another way"
    )
