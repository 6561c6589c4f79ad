"""Where pretrained weights come from: a file or run that is named, else a folder, the local hub cache, the hub.

Never anything else in their place.
"""

import functools
import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError, safe_open

from bench.errors import ConfigError, TornWeightsError, TrackingError, WeightsError
from bench.networks import hub
from bench.networks.registry import Architecture
from bench.paths import in_project
from bench.schema import WeightsConfig

RUN = "run:"
CHECKPOINTS = "checkpoints"
"""The folder of a run's artifacts that holds its networks' states."""
AUROC = "valid/auroc"
"""Header key: validation AUROC of a state that a run stored."""


class Runs(Protocol):
    """What a tracking store gives of its runs."""

    def __hash__(self) -> int:
        """A store is itself, for what is kept of it."""

    def artifacts(self, run_id: str, folder: str) -> list[str]:
        """Paths of the files in a folder of the run's artifacts."""

    def download(self, run_id: str, path: str) -> Path:
        """A local copy of one of them."""


@dataclass(frozen=True)
class Weights:
    """A weight file that was found.

    Attributes:
        name: `<timm name>.<tag>`, `run:<id>` or `file:<name of the file>`.
        path: a safetensors file.
        sha256: hex digest of the file.
        source: what the file says it was trained on; empty where it says nothing.
        standin: whether the file says that it was trained on generated pictures.
        mean, std: per channel, where the file states them.
        arch: the architecture that the file says it is of; empty where it says nothing.
        depth: how many final stages the file says its network is short of.
    """

    name: str
    path: Path
    sha256: str
    source: str = ""
    standin: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    arch: str = ""
    depth: int = 0


def weights_name(row: Architecture, config: WeightsConfig) -> str:
    """`<timm name>.<tag>` with the tag of the configuration, else the pinned one; of a source `run:` or `file:`."""
    if config.source is None:
        return f"{row.name}.{config.tag or row.tag}"
    return config.source if config.source.startswith(RUN) else f"file:{Path(config.source).stem}"


def check_source(config: WeightsConfig) -> None:
    """Refuses two answers to the question which weights.

    Raises:
        ConfigError: both `weights.source` and `weights.tag`.
    """
    if config.source is not None and config.tag is not None:
        raise ConfigError(
            f"weights.source={config.source} and weights.tag={config.tag} both say which weights: give one of them"
        )


def locate(row: Architecture, config: WeightsConfig, runs: Runs | None = None) -> Weights:
    """The weight file that the configuration asks for, downloaded where it is not on this machine.

    Args:
        config: which weights.
        runs: the tracking store; needed for `weights.source=run:<id>` alone.

    Raises:
        WeightsError: it cannot be had; the message says where it was looked for and what to do.
    """
    here = find_here(row, config, runs)
    if here is not None:
        return here
    name = weights_name(row, config)
    problem = hub.problem(name)
    if problem is None:
        return describe(hub.download(name), name)
    raise WeightsError(_nowhere(row, config, problem))


def look(row: Architecture, config: WeightsConfig, runs: Runs | None = None) -> Weights:
    """As `locate`, but nothing is downloaded: of weights that are on the hub alone only name and digest are told.

    Raises:
        WeightsError: neither this machine nor the hub can tell.
    """
    here = find_here(row, config, runs)
    if here is not None:
        return here
    name = weights_name(row, config)
    if digest := hub.digest(name):
        return Weights(name, Path(), digest)
    raise WeightsError(_nowhere(row, config, hub.problem(name) or "the hub states no SHA-256"))


def _nowhere(row: Architecture, config: WeightsConfig, problem: str) -> str:
    name = weights_name(row, config)
    where = f"in weights.dir={config.dir}, " if config.dir else ""
    return (
        f"no weights {name}: not {where}in the local hub cache, and {problem}. "
        f"Run `python -m bench.prefetch {_command(row, config)}` where there is internet and copy its hub cache here, "
        f"or put {name}.safetensors into a folder and give it as weights.dir=DIR"
    )


def _command(row: Architecture, config: WeightsConfig) -> str:
    arch = f"arch=timm arch.name={row.name}.{row.tag}" if not row.chain else f"arch={row.name}"
    return f"{arch} weights.tag={config.tag}" if config.tag else arch


def find_here(row: Architecture, config: WeightsConfig, runs: Runs | None = None) -> Weights | None:
    """The weight file where it can be had without the hub; None where it cannot.

    Args:
        runs: the tracking store; needed for `weights.source=run:<id>` alone.

    Raises:
        WeightsError: the file or run that `weights.source` names cannot be had.
        TornWeightsError: the file in the local hub cache is not whole.
    """
    name = weights_name(row, config)
    if config.source is not None:
        if not config.source.startswith(RUN):
            return _file(config.source, name)
        if runs is None:
            raise WeightsError(f"weights.source={config.source}: this command reads no runs")
        return best_state(runs, config.source.removeprefix(RUN))
    if config.dir is not None:
        path = in_project(config.dir) / f"{name}.safetensors"
        if path.is_file():
            return describe(path, name)
    path_in_cache = hub.cached(name)
    if path_in_cache is None:
        return None
    try:
        return describe(path_in_cache, name)
    except WeightsError as error:
        raise TornWeightsError(
            f"{error}. Run `python -m bench.prefetch {_command(row, config)}` where there is internet, to fetch it "
            f"again, or delete {path_in_cache.resolve()}"
        ) from None


def _file(source: str, name: str) -> Weights:
    path = in_project(source)
    if not path.is_file():
        raise WeightsError(f"weights.source={source}: no file {path}")
    return describe(path, name)


@functools.cache  # a sweep's cells and its closing table ask for the same run's
def best_state(runs: Runs, run_id: str) -> Weights:
    """The state of an earlier run's network with the highest validation AUROC.

    Raises:
        WeightsError: no such run, or it has stored none, or one that does not say what it is of.
    """
    source = f"{RUN}{run_id}"
    try:
        files = [path for path in runs.artifacts(run_id, CHECKPOINTS) if path.endswith(".safetensors")]
        states = {path: runs.download(run_id, path) for path in files}
    except TrackingError as error:
        raise WeightsError(f"weights.source={source}: {error}") from None
    if not files:
        raise WeightsError(
            f"weights.source={source}: the run has no {CHECKPOINTS}/*.safetensors; it was not finished, or ran with "
            "tracking.checkpoints=none"
        )
    unnamed = [path for path, file in states.items() if not {AUROC, "arch", "truncate"} <= header(file).keys()]
    if unnamed:
        raise WeightsError(f"weights.source={source}: {unnamed[0]} does not say of which network it is; run it again")
    aurocs = {path: float(header(file)[AUROC]) for path, file in states.items()}
    best = max(files, key=lambda path: (not math.isnan(aurocs[path]), aurocs[path], path))
    return describe(states[best], source)


def body_header(
    row: Architecture, depth: int, mean: tuple[float, ...], std: tuple[float, ...], *, source: str, generated: bool
) -> dict[str, str]:
    """What a weight file says of itself in its header, in the form in which `describe` reads it."""
    numbers = {key: ",".join(map(repr, values)) for key, values in (("mean", mean), ("std", std))}
    words = {"arch": row.name, "truncate": str(depth), "source": source, "generated": str(generated).lower()}
    return words | numbers


def header(path: Path) -> Mapping[str, str]:
    """What a weight file says of itself.

    Raises:
        WeightsError: the file is not safetensors.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from None


def describe(path: Path, name: str) -> Weights:
    """What a weight file is: its digest, and what its header says of its making.

    Raises:
        WeightsError: the file is not safetensors.
    """
    stat = path.stat()
    return _describe(path, name, stat.st_mtime_ns, stat.st_size)


@functools.cache  # the digest of a large file takes most of a second; time and size say whether it is still that file
def _describe(path: Path, name: str, _mtime: int, _size: int) -> Weights:
    said = header(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Weights(
        name,
        path,
        digest,
        source=said.get("source", ""),
        standin=said.get("generated") == "true",
        mean=_numbers(said.get("mean")),
        std=_numbers(said.get("std")),
        arch=said.get("arch", ""),
        depth=int(said.get("truncate", 0)),
    )


def _numbers(text: str | None) -> tuple[float, ...] | None:
    return tuple(float(part) for part in text.split(",")) if text else None


def destination(row: Architecture, config: WeightsConfig, tag: str) -> Path:
    """The file that `bench.pretrain` writes, in the form in which `locate` looks for it; its folder is made.

    Args:
        config: of these, `weights.dir`; None is the project's `weights/`.
    """
    folder = in_project(config.dir or "weights")
    os.makedirs(folder, exist_ok=True)
    return folder / f"{row.name}.{tag}.safetensors"
