"""Files that are written whole or not at all, among them the states that a killed training resumes from.

A state is written beside the older ones and renamed into place; its digest is in its name, so that a torn file is known
and the one before it is taken.
"""

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.errors import StorageError

KEPT = 2
"""States that stay on disk: the newest, and the one to fall back on where it is torn."""
DIGITS = 16
"""Hexadecimal digits of the SHA-256 in a file's name."""

logger = logging.getLogger(__name__)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all, whenever the process or the machine stops.

    Raises:
        StorageError: the disk is full or the folder cannot be written to; what was there before is unchanged.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise StorageError(
            f"{path}: cannot be written ({error.strerror}); free some room and start the same command again: it goes "
            "on from the last saved state. With another folder, outputs=DIR, it begins anew"
        ) from None


def on_host(value: Any) -> Any:
    """Copy a tensor, or a container with tensors anywhere in it, to the CPU, where the training cannot change it."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: on_host(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [on_host(part) for part in value]
    return value


def save_state(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the state after `step` steps, and remove all but KEPT: this one and the newest of those before it.

    A state of a later step, or another one of this step, is torn: the training resumed from an earlier one.

    Args:
        state: tensors, numbers, texts and containers of them: what `torch.load` reads without pickled code.

    Raises:
        StorageError: as `write_whole`.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    path = folder / f"state-{step:09d}-{hashlib.sha256(content).hexdigest()[:DIGITS]}.pt"
    write_whole(path, content)
    earlier = [old for old in _newest_first(folder) if old.name < f"state-{step:09d}"]
    for old in {*_newest_first(folder)} - {path, *earlier[: KEPT - 1]}:
        old.unlink(missing_ok=True)
    return path


def save_broken(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a state for inspection, which nothing resumes from.

    Args:
        state: as `save_state`.

    Raises:
        StorageError: as `write_whole`.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path = folder / f"broken-{step:09d}.pt"
    write_whole(path, buffer.getbuffer())
    return path


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return the newest state that is not torn, on the CPU; None where there is none."""
    for path in _newest_first(folder):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:DIGITS] == path.stem.rpartition("-")[2]:
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            return state
        logger.warning("%s is torn: it is passed over for the state before it", path)
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("state-*.pt"), reverse=True)
