"""`python -m bench.convert file=FILE arch=NAME tag=TAG`: a published checkpoint as a weight file of this project.

Reads .pt, .pth, .bin, .ckpt (tensors alone, no code), .safetensors and .npz; writes `<timm name>.<tag>.safetensors`,
which `weights.tag=TAG weights.dir=DIR` then finds.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from analysis.interrupted import run_command
from bench.command import command
from bench.errors import ConfigError, WeightsError
from bench.paths import in_project
from bench.schema import ConvertConfig

console = Console()
SHORT = {"source": "published", "tag": "weights.tag", "out": "weights.dir"}
"""Keys of this command as they are typed; conf/source/ holds what `bench.pretrain` learns from."""
TOLERANCE = 1e-3
"""Largest difference of a feature from the reference's, as a share of the largest: other kernels round otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Converts; 2 where the command line is wrong, 1 where the file is not of such a network."""
    return command("convert", work, respelt(sys.argv[1:] if arguments is None else arguments))


def respelt(arguments: Sequence[str]) -> list[str]:
    """The words with every key of SHORT written out."""
    keys = (word.partition("=") for word in arguments)
    return ["".join((SHORT.get(key, key), *rest)) for key, *rest in keys]


def work(jobs: Sequence[ConvertConfig]) -> int:
    """Converts each file."""
    for job in jobs:
        for line in convert(job):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    return 0


def convert(settings: ConvertConfig) -> list[str]:
    """Writes the weight file, and says what it was made of, a line each.

    Raises:
        ConfigError: no tag, mean without std, or an architecture that the source does not have.
        WeightsError: the file cannot be read, is of another network, differs from the reference, or its place is taken.
    """
    from safetensors.torch import save

    from bench.networks.foreign import match, read_tensors
    from bench.networks.models import normalisation
    from bench.networks.registry import architecture
    from bench.networks.weights import body_header, destination
    from bench.training.states import write_whole

    _check(settings)
    known, row = settings.published, architecture(settings.arch)
    path = destination(row, settings.weights, str(settings.weights.tag))
    if path.exists():
        raise WeightsError(f"{path} is there already: choose another tag, or remove it")
    file = in_project(settings.file)
    found = match(read_tensors(file), _network(row.name), known.prefix)
    channels = next(value.shape[1] for value in found.tensors.values() if value.ndim == 4)
    usual = normalisation(row, None, channels)
    mean, std = tuple(known.mean or usual.mean), tuple(known.std or usual.std)
    if len(mean) != channels or len(std) != channels:
        raise ConfigError(f"mean {mean} and std {std} are not of the file's {channels} channel(s)")
    proof = _prove(found.tensors, row.name, channels, settings.reference)
    source = file.name if known.name == "other" else known.name
    header = body_header(row, 0, mean, std, source=source, generated=False) | {"seen": ",".join(known.seen)}
    write_whole(path, save(found.tensors, header))
    below = f" below {found.prefix}" if found.prefix else ""
    unused = f" ({', '.join(found.unused)})" if found.unused else ""
    return [
        f"{path}: {len(found.tensors)} tensors{below}, {'by name' if found.by_name else 'by order and shape'}",
        f"left out: {len(found.unused)} beside them{unused}, {found.elsewhere} elsewhere in the file",
        f"inputs: {channels} channel(s), mean {mean}, std {std}{'' if known.mean else ': assumed, timm has them so'}",
        f"data sets seen: {', '.join(known.seen) or 'unknown'}; licence: {known.licence or 'not stated here'}",
        proof,
    ]


def _check(settings: ConvertConfig) -> None:
    known = settings.published
    if settings.weights.tag is None:
        raise ConfigError("tag=TAG is missing: it names the file that is written, <timm name>.TAG.safetensors")
    if (known.mean is None) != (known.std is None):
        raise ConfigError("give published.mean and published.std together, a number a channel each, or neither")
    if known.archs and settings.arch.name not in known.archs:
        raise ConfigError(f"arch={settings.arch.name}: source={known.name} has {', '.join(known.archs)}")


def _network(name: str, in_chans: int = 3) -> Any:
    """timm's network without a classifier's outputs of its own."""
    import timm

    return timm.create_model(name, pretrained=False, num_classes=1, in_chans=in_chans).eval()


def _prove(tensors: Mapping[str, Any], name: str, channels: int, reference: str | None) -> str:
    """Compares the network's pooled features with those of the code that the file comes from; says the outcome.

    Raises:
        WeightsError: they differ, or there are none.
    """
    if reference is None:
        return "not proven by a forward pass: reference=FILE.npz would (conf/convert.yaml)"
    import numpy as np
    import torch

    network = _network(name, channels)
    network.load_state_dict(tensors, strict=False)
    try:
        with np.load(in_project(reference), allow_pickle=False) as arrays:
            image, wanted = torch.from_numpy(arrays["image"]).float(), arrays["features"]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"reference={reference} has no arrays image and features: {error}") from error
    with torch.no_grad():
        features = network.forward_head(network.forward_features(image), pre_logits=True).numpy()
    if features.shape != wanted.shape:
        raise WeightsError(f"reference={reference}: features {wanted.shape}, and {name} gives {features.shape}")
    apart = float(np.abs(features - wanted).max() / np.abs(wanted).max())
    if not apart <= TOLERANCE:
        raise WeightsError(
            f"reference={reference}: features differ by {apart:.2g} of the largest, above {TOLERANCE:g}: tensors are "
            "not where they belong, or the network computes otherwise (padding, pooling, epsilon)"
        )
    return f"proven by a forward pass: features of {len(wanted)} image(s) differ by {apart:.1g} of the largest at most"


if __name__ == "__main__":
    run_command(main)
