"""Decoded images, ready to be cut into batches: built where they are missing or stale, and never read when stale.

A cache is one folder below `data.cache` for each set (the real path of its root), image size and version of the
decoder; the splits of a set, and cells that use a part of it, share it and decode only what they need.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock, Timeout

from bench.data.building import build, stat_all
from bench.data.decode import DECODER_VERSION, crop_corners
from bench.data.store import Pixels, Store, open_pixels
from bench.errors import DataError, StorageError

logger = logging.getLogger(__name__)

SHOWN = 5
"""How many bad images an error message names; a file lists them all."""
MISSING = -2
"""Size and time of an entry that is not there: no file has them."""

Rows = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bad:
    """An image that cannot be used: its split, its CSV file and row, and the reason."""

    split: str
    path: str
    csv: str
    row: int
    reason: str


class Cache:
    """The decoded images that were asked for, read from disk as they are used.

    Attributes:
        folder: where they lie, with the set's others.
        bytes: of all of them.
        bad: the images asked for that cannot be used; empty unless `on_bad` was `skip`.

    Args:
        store: holds every image that was asked for and is not bad.
    """

    def __init__(self, store: Store, paths: Sequence[str], bad: Sequence[Bad] = ()) -> None:
        self.folder, self.bytes, self.bad = store.folder, store.bytes, tuple(bad)
        refused = {item.path for item in bad}  # decoded once, it may be, and no longer what it was
        entries = store.entries().loc[[path for path in paths if path not in refused]]
        self._paths: pd.Index[Any] = entries.index
        self._places: Rows = entries[["offset", "height", "width"]].to_numpy(np.int64).T.copy()
        self._checksums: Rows = entries["checksum"].to_numpy(np.int64)
        self._pixels = open_pixels(store.pixels, self.bytes)
        self._side = _square(self._places)
        area = self._side**2
        self._grid = self._pixels[: self.bytes - self.bytes % area].reshape(-1, self._side, self._side)
        self._cells = self._places[0] // area

    def __len__(self) -> int:
        return len(self._places[0])

    def positions(self, paths: "Sequence[str] | pd.Series[Any]") -> Rows:
        """Return the positions of images in the cache, [n] int64.

        Raises:
            DataError: one of them is not there, as it was not asked for when the cache was opened, or is bad.
        """
        found: Rows = self._paths.get_indexer(pd.Index(paths)).astype(np.int64)
        missing = int((found < 0).sum())
        if missing:
            first = list(paths)[int(np.argmax(found < 0))]
            raise DataError(f"{self.folder} does not hold {missing} of {len(found)} images, {first} for one")
        return found

    def sizes(self, positions: Rows) -> Rows:
        """Return the (height, width) of images, [n, 2] int64 px."""
        sizes: Rows = self._places[1:, positions].T
        return sizes

    def checksums(self, positions: Rows) -> Rows:
        """Return the CRC-32 of the pixels of images, [n] int64."""
        return self._checksums[positions]

    def pixels(self, position: int) -> Pixels:
        """One whole image, [height, width] uint8."""
        offset, height, width = self._places[:, position].tolist()
        return self._pixels[offset : offset + height * width].reshape(height, width)

    def crops(
        self, positions: Rows, vertical: Shares, horizontal: Shares, crop: int, out: Pixels | None = None
    ) -> Pixels:
        """Square cuts, [n, 1, crop, crop] uint8.

        Args:
            positions: [n] of `positions()`.
            vertical, horizontal: [n] where each cut lies, as shares in [0, 1] of the free room.
            out: written to and returned, where given; in C order.
        """
        cuts = np.empty((len(positions), 1, crop, crop), np.uint8) if out is None else out
        if crop == self._side:  # nothing to cut: one gather
            self._grid.take(self._cells[positions], axis=0, out=cuts[:, 0], mode="clip")
            return cuts
        offsets, heights, widths = self._places[:, positions]
        tops, lefts = crop_corners(np.stack([heights, widths], 1), vertical, horizontal, crop).T
        starts = offsets + tops * widths
        for i, (start, left, width) in enumerate(zip(starts.tolist(), lefts.tolist(), widths.tolist(), strict=True)):
            strip = self._pixels[start : start + crop * width].reshape(crop, width)
            cuts[i, 0] = strip[:, left : left + crop]
        return cuts

    def verify(self) -> None:
        """Reads every image and compares its checksum.

        Raises:
            StorageError: an image is not what was written.
        """
        damaged = Store(self.folder).damaged()
        if damaged:
            raise StorageError(
                f"{self.folder}: the decoded pixels of {len(damaged)} images, {damaged[0]} for one, are not those that "
                "were written; remove the folder, and prepare the set again"
            )

    def usable(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which rows of a frame have an image that can be used, [n]."""
        bad = {item.path for item in self.bad}
        return np.array([path not in bad for path in frame["path"]], np.bool_)


def _square(places: Rows) -> int:
    """Return the side in px if all images are squares of one size, one behind the other in the file; else 1."""
    offsets, heights, widths = places
    side = int(heights.max(initial=1))
    return side if ((heights == side) & (widths == side) & (offsets % side**2 == 0)).all() else 1


def cache_folder(root: Path, shorter_side: int, folder: Path) -> Path:
    """Return the folder below `folder` for a set's decoded images: one for each set, size and decoder.

    Args:
        root: of the set; its real path counts.
    """
    real = root.resolve()
    digest = hashlib.sha256(json.dumps([str(real), shorter_side, DECODER_VERSION]).encode()).hexdigest()
    return folder / f"{real.name}-{shorter_side}px-{digest[:8]}"


def open_cache(
    root: Path,
    frames: Mapping[str, pd.DataFrame],
    *,
    shorter_side: int,
    folder: Path,
    on_bad: str,
    processes: int | None = None,
    announce: Callable[[str], None] = logger.info,
    progress: bool = True,
) -> Cache:
    """Return the decoded images of frames; images that are missing, or whose file has changed, are decoded first.

    One process builds at a time; another waits, and finds what is done. What was decoded before an interruption, or
    before the disk was full, is kept.

    Args:
        frames: by the split's name: `path`, `csv` and `row` of every image that is needed.
        on_bad: `raise`, or `skip` to return what cannot be used as `Cache.bad`.
        processes: that decode; None is one a core.

    Raises:
        DataError: images cannot be used; all are listed in a file, the first of them in the message.
        StorageError: the cache cannot be written.
    """
    place = _made(cache_folder(root, shorter_side, folder))
    wanted = pd.concat([frame[["path", "csv", "row"]].assign(split=name) for name, frame in frames.items()])
    paths, faults = wanted["path"].drop_duplicates().tolist(), dict[str, str]()
    store = Store(place)
    if stale(store, root, paths)[0]:
        with _alone(place, announce):
            store = Store(place)
            names, size = stale(store, root, paths)
            work = {"shorter_side": shorter_side, "size": size, "processes": processes or os.cpu_count() or 1}
            faults = build(store, root, names, title=f"decoding {root.name}", progress=progress, **work)
    rows = wanted[wanted["path"].isin(faults)]
    bad = [Bad(split, path, csv, int(row), faults[path]) for path, csv, row, split in rows.itertuples(index=False)]
    if bad:
        announce(_report(bad, root, place, len(wanted), on_bad))
    return Cache(store, paths, bad)


def stale(store: Store, root: Path, paths: Sequence[str]) -> tuple[list[str], int]:
    """Return which `paths` the store lacks, or holds from a file that has changed since, and their files' sizes."""
    found = stat_all(root, paths)
    known = store.entries()[["size", "mtime_ns"]].reindex(list(paths), fill_value=MISSING).to_numpy(np.int64)
    names = [path for path, same in zip(paths, (found == known).all(axis=1), strict=True) if not same]
    return names, int(found[(found != known).any(axis=1), 0].clip(min=0).sum())


def _made(place: Path) -> Path:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"data.cache={place.parent}: {error.strerror}; name another folder") from None
    return place


@contextmanager
def _alone(place: Path, announce: Callable[[str], None]) -> Iterator[None]:
    lock = FileLock(place / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        announce(f"{place}: another process decodes into it; waiting for that")
        lock.acquire()
    with lock:
        lock.release()  # the context holds it as well
        yield


def _report(bad: Sequence[Bad], root: Path, place: Path, images: int, on_bad: str) -> str:
    """Say in a sentence what is left out; list the bad images in a file, and refuse them if that is asked for."""
    listed = place / "bad_images.csv"
    pd.DataFrame([asdict(item) for item in bad]).to_csv(listed, index=False)
    if on_bad == "skip":
        return f"{len(bad)} of {images} images of {root} cannot be used and are left out; all of them: {listed}"
    first = "; ".join(f"{item.path} (row {item.row} of {item.csv}) {item.reason}" for item in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    raise DataError(
        f"{len(bad)} of {images} images of {root} cannot be used: {first}{more}. All of them: {listed}. Mend them, or "
        "leave them out with data.on_bad_image=skip"
    )
