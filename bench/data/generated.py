"""What the generators of data sets share: random numbers that ignore the order of work, and whole folders or none."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# Umask cannot be read without changing it, so the permissions of a finished data set are said here.
FOLDER_MODE = 0o755


def stream(seed: int, *key: int) -> np.random.Generator:
    """Returns the random numbers that belong to one thing (an image, a patient), whatever was drawn before.

    Args:
        seed: the data set's seed, 0 or more.
        key: names the thing, for example `(patient, study, view)`; different keys give independent numbers.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


@contextmanager
def whole_folder(root: Path) -> Iterator[Path]:
    """Yields an empty folder that takes the place of `root` once the block has ended well.

    The folder is a hidden sibling of `root`, so that the last step is one rename on one file system. A block that fails
    leaves neither the folder nor `root`.

    Args:
        root: where the data set shall be; it may be missing or an empty folder.

    Raises:
        FileExistsError: `root` is a file, or a folder that holds something.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} exists and is not empty: remove it, or name another folder to generate into.")
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", suffix=".partial", dir=root.parent))
    try:
        yield partial
        partial.chmod(FOLDER_MODE)  # mkdtemp's folder is closed to everybody else
        partial.replace(root)
    except BaseException:  # an interrupt, too, must leave nothing behind
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_card(path: Path, card: Mapping[str, object]) -> None:
    """Writes how a data set was made as JSON, with sorted keys: equal cards are equal bytes."""
    path.write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
