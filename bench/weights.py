"""Where pretrained weights come from: a folder, the local hub cache, the hub. Never anything else in their place."""

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open

from bench.errors import WeightsError
from bench.paths import in_project
from bench.registry import Architecture
from bench.schema import WeightsConfig

HUB_FILE = "model.safetensors"
HUB_TIMEOUT = 3.0
"""Seconds to wait for the hub's first answer; it is asked once, as its own retries take close to a minute a file."""


@dataclass(frozen=True)
class Weights:
    """A weight file that was found.

    Attributes:
        name: `<timm name>.<tag>`.
        path: a safetensors file.
        sha256: hex digest of the file.
        source: what the file says it was trained on; empty where it says nothing.
        standin: whether the file says that it was trained on generated pictures.
        mean, std: per channel, where the file states them.
    """

    name: str
    path: Path
    sha256: str
    source: str = ""
    standin: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def weights_name(row: Architecture, config: WeightsConfig) -> str:
    """`<timm name>.<tag>` with the tag of the configuration, else the registry's pinned one."""
    return f"{row.name}.{config.tag or row.tag}"


def locate(row: Architecture, config: WeightsConfig) -> Weights:
    """The weight file that the configuration asks for, downloaded where it is in neither folder nor cache.

    Raises:
        WeightsError: it is in none of the three places; the message says where it was looked for and what to do.
    """
    name = weights_name(row, config)
    if config.dir is not None:
        path = in_project(config.dir) / f"{name}.safetensors"
        if path.is_file():
            return describe(path, name)
    cached = huggingface_hub.try_to_load_from_cache(f"timm/{name}", HUB_FILE)
    if isinstance(cached, str):
        return describe(Path(cached), name)
    problem = _hub_problem(name)
    if problem is None:
        return describe(Path(huggingface_hub.hf_hub_download(f"timm/{name}", HUB_FILE)), name)
    where = f"in weights.dir={config.dir}, " if config.dir else ""
    raise WeightsError(
        f"no weights {name}: not {where}in the local hub cache, and {problem}. "
        f"Put {name}.safetensors into a folder and give it as weights.dir=DIR, "
        f"or fetch timm/{name} on a machine with internet and copy its hub cache here"
    )


@functools.cache
def _hub_problem(name: str) -> str | None:
    """Why the hub cannot give these weights, or None where it can; asked once a process."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(f"timm/{name}", HUB_FILE), timeout=HUB_TIMEOUT)
    except HfHubHTTPError as error:
        return f"the hub answers {error.response.status_code} for timm/{name}"
    except Exception as error:  # the hub's client raises its HTTP library's own errors, which it has changed before
        return f"the hub cannot be reached ({error})"
    return None


def describe(path: Path, name: str) -> Weights:
    """What a weight file is: its digest, and what its header says of its making.

    Raises:
        WeightsError: the file is not safetensors.
    """
    stat = path.stat()
    return _describe(path, name, stat.st_mtime_ns, stat.st_size)


@functools.cache  # the digest of a large file takes most of a second; time and size say whether it is still that file
def _describe(path: Path, name: str, _mtime: int, _size: int) -> Weights:
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from None
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    mean, std = (_numbers(header.get(key)) for key in ("mean", "std"))
    return Weights(name, path, digest, header.get("source", ""), header.get("generated") == "true", mean, std)


def _numbers(text: str | None) -> tuple[float, ...] | None:
    return tuple(float(part) for part in text.split(",")) if text else None


def destination(row: Architecture, config: WeightsConfig, tag: str) -> Path:
    """The file that `bench.pretrain` writes, in the form in which `locate` looks for it."""
    folder = in_project(config.dir or "weights")
    os.makedirs(folder, exist_ok=True)
    return folder / f"{row.name}.{tag}.safetensors"
