"""What both generators share: random numbers that ignore the order of work, and folders that are whole or missing."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

FOLDER_MODE = 0o755
JPEG_QUALITY = 90  # 1 to 100


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random numbers of one thing (an image, a patient), whatever was drawn before.

    Args:
        seed: the data set's seed, 0 or more.
        key: names the thing, for example `(patient, study, view)`; different keys give independent numbers.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def digest(card: Mapping[str, object]) -> str:
    """Return 8 hex digits of a card, for the folder's name: another version or another spec is another folder."""
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()[:8]


def once(root: Path, write: Callable[[Path], None]) -> Path:
    """Return `root`, written first if it is missing; processes that start together write it once.

    Args:
        root: the data set's folder.
        write: writes the set into the folder that it is given, which is missing or empty.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if not root.exists():
            write(root)
    return root


@contextmanager
def whole_folder(root: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `root` when the block ends without an error.

    The folder is a hidden sibling of `root`, so that the last step is one rename on one file system. A block that fails
    leaves neither.

    Args:
        root: where the data set shall be; missing, or an empty folder.

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


def write_image(path: Path, grey: NDArray[np.uint8]) -> None:
    """Write grey values `[height, width]` as a grey JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path, quality=JPEG_QUALITY)


def write_card(path: Path, card: Mapping[str, object]) -> None:
    """Write how a data set was made as JSON, with sorted keys: equal cards are equal bytes."""
    path.write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
