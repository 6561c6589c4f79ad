"""`python -m bench.convert file=FILE arch=NAME weights.tag=TAG`: a published checkpoint as a weight file of this project.

Reads .pt, .pth, .bin, .ckpt (tensors alone, no code), .safetensors and .npz, and writes `<timm name>.<tag>.safetensors`,
which `weights.tag=TAG weights.dir=DIR` then finds.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis.interrupted import run_command
from bench.command import command
from bench.errors import ConfigError, WeightsError
from bench.paths import in_project
from bench.schema import ConvertConfig

console = Console()
TOLERANCE = 1e-3
"""Largest difference of a feature from the reference's, of their largest magnitude: other kernels round otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Converts; 2 where the command line is wrong, 1 where the file is not of such a network."""
    return command("convert", work, arguments)


def work(jobs: Sequence[ConvertConfig]) -> int:
    """Converts each file."""
    for job in jobs:
        for line in convert(job):
            console.print(line, soft_wrap=True, highlight=False)
    return 0


def convert(settings: ConvertConfig) -> list[str]:
    """Writes the weight file, and says what it was made of, a line each.

    Raises:
        ConfigError: mean without std, or no tag.
        WeightsError: the file cannot be read, is of another network, differs from the reference, or its place is taken.
    """
    import timm
    from safetensors.torch import save_file

    from bench.networks.foreign import match, read_tensors
    from bench.networks.models import normalisation
    from bench.networks.registry import architecture
    from bench.networks.weights import body_header, destination

    if settings.weights.tag is None:
        raise ConfigError("weights.tag=TAG is missing: it names the file that is written, <timm name>.TAG.safetensors")
    if (settings.mean is None) != (settings.std is None):
        raise ConfigError("give mean= and std= together, a number a channel each, or neither of them")
    row = architecture(settings.arch)
    path = destination(row, settings.weights, settings.weights.tag)
    if path.exists():
        raise WeightsError(f"{path} is there: choose another weights.tag, or remove it")
    source = in_project(settings.file)
    network = timm.create_model(row.name, pretrained=False, num_classes=1)
    found = match(read_tensors(source), network, settings.prefix)
    channels = min(value.shape[1] for value in found.tensors.values() if value.ndim == 4 and value.shape[1] in (1, 3))
    usual = normalisation(row, None, channels)
    mean, std = tuple(settings.mean or usual.mean), tuple(settings.std or usual.std)
    proof = _prove(found.tensors, row.name, channels, settings.reference)
    header = body_header(row, 0, mean, std, source=settings.source or source.name, generated=False)
    save_file(found.tensors, path, header | {"seen": ",".join(settings.seen)})
    how = "by name" if found.by_name else "by order and shape"
    below = f" below {found.prefix}" if found.prefix else ""
    unused = f": {', '.join(found.unused)}" if found.unused else ""
    stated = "as typed" if settings.mean else "timm's for this architecture: give mean= and std= if the makers say otherwise"
    return [
        f"{path}: {len(found.tensors)} tensors{below}, {how}; {proof}",
        f"not used: {len(found.unused)} beside them{unused}; {found.elsewhere} elsewhere in the file",
        f"inputs: {channels} channel(s), mean {mean}, std {std} ({stated})",
        f"seen in pretraining: {', '.join(settings.seen) or 'unknown'}",
        f"use it with weights.tag={settings.weights.tag} weights.dir={settings.weights.dir}",
    ]


def _prove(tensors: dict, name: str, channels: int, reference: str | None) -> str:  # type: ignore[type-arg]
    """Compares the network's pooled features with those of the code that the file comes from.

    Raises:
        WeightsError: they differ.
    """
    if reference is None:
        return "not proven: reference=FILE.npz with `image` [n, channels, height, width] and `features` [n, d] would"
    import numpy as np
    import timm
    import torch

    network = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels).eval()
    network.load_state_dict(tensors, strict=False)
    with np.load(in_project(reference), allow_pickle=False) as arrays, torch.no_grad():
        features = network(torch.from_numpy(arrays["image"]).float()).numpy()
        wanted = arrays["features"]
    if features.shape != wanted.shape:
        raise WeightsError(f"{reference}: features {wanted.shape}, and {name} gives {features.shape}")
    apart = float(np.abs(features - wanted).max() / np.abs(wanted).max())
    if not apart <= TOLERANCE:
        raise WeightsError(
            f"{reference}: the features differ by {apart:.2g} of the largest, above {TOLERANCE:g}: the tensors are not "
            "where they belong, or the network computes otherwise (padding, pooling, epsilon)"
        )
    return f"proven on {len(wanted)} image(s): features differ by {apart:.1g} of the largest"


if __name__ == "__main__":
    run_command(main)
