"""Speed of the image path beside the plain way, on the same images in one run: `python -m tests.perf.data`.

One line a figure: `name  ours  peer  ratio`, in images per second; a ratio of 2 is twice as fast. The images are the
real X-rays beside the project where they are there, and generated ones elsewhere.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from bench.data import building
from bench.data.cache import Cache, open_cache
from bench.data.decode import decode
from bench.data.generated import phantom
from bench.data.images import Images, training_loader
from bench.data.sets import Split
from tests.perf.said import say

REAL = Path(__file__).resolve().parents[3] / "shared/data/nih-chexpert-small"
BATCH = 16
DECODED = 200
"""Images of a round of decoding."""


class PillowDataset(Dataset[torch.Tensor]):
    """The plain way: an image at a time, opened, converted and resized by Pillow."""

    def __init__(self, paths: list[Path], side: int) -> None:
        self._paths, self._side = paths, side

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.from_numpy(pillow(self._paths[row], self._side)[None, : self._side, : self._side].copy())


def pillow(path: Path, side: int) -> np.ndarray:
    """Open, convert, antialiased resize of the shorter side."""
    with Image.open(path) as file:
        grey = file.convert("L")
    scale = side / min(grey.size)
    shape = [max(side, round(length * scale)) for length in grey.size]
    return np.asarray(grey.resize(shape, Image.Resampling.BILINEAR))


def main() -> None:
    """Prints every figure."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"{os.cpu_count()} cores, load before {load}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")
    say(f"{'name (images/s)':72} {'ours':>10} {'peer':>10} {'ratio':>8}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = REAL if REAL.is_dir() else generated(folder / "phantom")
        paths = sorted(root.rglob("*.jpg"))
        large = enlarged(paths[:40], folder / "large")
        for side in (160, 224, 320):
            decoding_line(f"decode and resize to {side} px", paths[:DECODED], side)
        for side in (160, 224, 320):
            decoding_line(f"decode 1024 px and resize to {side} px", large, side)
        for side in (160, 224):
            building_line(f"build the cache at {side} px", root, paths, side, folder)
        building_line("build the cache from 1024 px at 320 px", folder / "large", large, 320, folder)
        for side in (224, 320):
            cache = built(root, frame_of(root, paths), side, folder / "cache")
            for workers in (0, 2):
                loader_line(cache, root, paths, side, workers)
            gather_line(cache, root, paths, side)


def decoding_line(name: str, paths: list[Path], side: int) -> None:
    """The decoder against Pillow, one core, files in memory."""
    ours, peer = alternate(
        lambda: [decode(path, side) for path in paths], lambda: [pillow(path, side) for path in paths], rounds=5
    )
    line(f"{name} (Pillow, one core)", len(paths), ours, peer)


def building_line(name: str, root: Path, paths: list[Path], side: int, folder: Path) -> None:
    """The whole build, checksums and disk included, against a loop of Pillow that writes nothing; one core each."""
    building.ALONE = sys.maxsize  # in this process
    count, frame = iter(range(1000)), frame_of(root, paths)

    def plain() -> None:
        for path in paths:
            pillow(path, side)

    ours, peer = alternate(
        lambda: built(root, frame, side, folder / f"build-{root.name}-{side}-{next(count)}"), plain, rounds=4
    )
    line(f"{name} (Pillow loop that writes nothing, one core)", len(paths), ours, peer)


def loader_line(cache: Cache, root: Path, paths: list[Path], side: int, workers: int) -> None:
    """An epoch of training batches against the same loader over a Pillow dataset."""
    loader = training_loader(images_of(cache, root, paths, side), batch_size=BATCH, seed=0, workers=workers)
    plain = DataLoader(
        PillowDataset(paths, side),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    for warm in (loader, plain):
        list(warm)
    ours, peer = alternate(lambda: [len(batch["row"]) for batch in loader], lambda: list(plain), rounds=4)
    line(f"training batches of {BATCH} at {side} px, {workers} workers (Pillow dataset)", len(paths), ours, peer)


def gather_line(cache: Cache, root: Path, paths: list[Path], side: int) -> None:
    """An epoch of training batches against nothing but a fancy index into a memmap of equal squares."""
    images = images_of(cache, root, paths, side)
    loader = training_loader(images, batch_size=BATCH, seed=0, workers=0)
    file = cache.folder / "images.u8"
    if (cache.sizes(images.positions) != side).any():
        say(f"bare gather at {side} px: not compared, as these images are no squares")
        return
    bare = np.memmap(file, np.uint8, "r", shape=(len(paths), side, side))
    rng = np.random.default_rng(0)

    def gather() -> None:
        order = rng.permutation(len(paths))
        for start in range(0, len(paths) - BATCH + 1, BATCH):
            np.asarray(bare[order[start : start + BATCH]])

    ours, peer = alternate(lambda: [len(batch["row"]) for batch in loader], gather, rounds=20)
    line(f"training batches of {BATCH} at {side} px (bare NumPy gather, same file)", len(paths), ours, peer)


def images_of(cache: Cache, root: Path, paths: list[Path], side: int) -> Images:
    """All images as one split, labels of nothing."""
    return Images(cache, Split(root=root, frame=frame_of(root, paths), labels=np.zeros((len(paths), 14))), crop=side)


def frame_of(root: Path, paths: list[Path]) -> pd.DataFrame:
    """What the cache asks of an index."""
    names = [path.relative_to(root).as_posix() for path in paths]
    return pd.DataFrame({"path": names, "csv": "train.csv", "row": range(len(paths))})


def built(root: Path, frame: pd.DataFrame, side: int, folder: Path) -> Cache:
    """The cache of some images."""
    return open_cache(root, {"train": frame}, shorter_side=side, folder=folder, on_bad="raise", progress=False)


def generated(root: Path) -> Path:
    """A phantom set, where there are no real X-rays."""
    phantom.generate(root, phantom.PhantomSpec(train_patients=120, test_patients=20))
    return root


def enlarged(paths: list[Path], folder: Path) -> list[Path]:
    """Copies as large as the full release's images, shorter side 1024 px."""
    folder.mkdir()
    for path in paths:
        with Image.open(path) as file:
            scale = 1024 / min(file.size)
            shape = [round(length * scale) for length in file.size]
            file.resize(shape, Image.Resampling.BICUBIC).save(folder / f"{len(list(folder.iterdir()))}.jpg", quality=90)
    return sorted(folder.iterdir())


def alternate(first: Callable[[], object], second: Callable[[], object], *, rounds: int) -> tuple[float, float]:
    """Best seconds of each, taken in turns so that a busy machine is busy for both."""
    best = [float("inf")] * 2
    for _ in range(rounds):
        for i, work in enumerate((first, second)):
            start = time.perf_counter()
            work()
            best[i] = min(best[i], time.perf_counter() - start)
    return best[0], best[1]


def line(name: str, images: int, ours: float, peer: float) -> None:
    """One figure; images per second from seconds."""
    say(f"{name:72} {images / ours:10.0f} {images / peer:10.0f} {peer / ours:7.2f}x")


if __name__ == "__main__":
    main()
