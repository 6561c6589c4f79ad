"""Decoded images on disk: one flat file of pixels that only grows, and a journal of what lies where in it.

A chunk of images is written behind the last one, synchronised to disk, and only then journaled: whatever is killed at
any point leaves pixels that no line speaks of, or half a line, and both are cut off before the next chunk is written.
"""

import errno
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import StorageError

Pixels = npt.NDArray[np.uint8]

FIELDS = ("offset", "height", "width", "size", "mtime_ns", "checksum")
"""Of an entry, all int64: first pixel in the file; px; bytes and time of the image file; CRC-32 of the pixels."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a full quota, a file larger than is allowed."""


@dataclass(frozen=True)
class Chunk:
    """Decoded images.

    Attributes:
        paths: n of them, relative to the set's root.
        rows: [n, FIELDS] int64; `offset` counts from the chunk's own start.
        images: n of [height, width] uint8 in C order, as they lie one behind the other in the file.
    """

    paths: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    images: tuple[Pixels, ...]


class Store:
    """The pixel file and the journal of one folder. Only a process that holds the folder's lock may `append`.

    Attributes:
        folder: where they lie.
        pixels: the file of pixels.
        bytes: of it that were written and journaled.

    Raises:
        StorageError: the file of pixels is shorter than the journal says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pixels, self._journal = folder / "images.u8", folder / "journal.jsonl"
        self._paths, self._rows, self._journal_bytes = _read_journal(self._journal)
        self.bytes = max((int(_ends(rows).max()) for rows in self._rows), default=0)
        there = self.pixels.stat().st_size if self.pixels.exists() else 0
        if there < self.bytes:
            raise StorageError(
                f"{self.pixels} holds {there} of the {self.bytes} bytes that were written: it was cut short; remove "
                f"the folder {folder}, and the images are decoded anew"
            )

    def entries(self) -> pd.DataFrame:
        """Return a row per image by path, with the columns of FIELDS; of two entries of a path the later one counts."""
        rows = np.concatenate([np.empty((0, len(FIELDS)), np.int64), *self._rows])
        frame = pd.DataFrame(rows, columns=list(FIELDS), index=pd.Index(self._paths, dtype="str"))
        return frame[~frame.index.duplicated(keep="last")]

    def append(self, chunk: Chunk) -> None:
        """Write a chunk: first its pixels, synchronised to disk, then its line; a lost line costs decoding it again.

        Raises:
            StorageError: there is no room; what was there before is untouched.
            OSError: writing failed for another reason.
        """
        if not chunk.paths:  # none of them could be used
            return
        rows = chunk.rows.copy()
        rows[:, FIELDS.index("offset")] += self.bytes
        line = json.dumps({"path": chunk.paths} | dict(zip(FIELDS, rows.T.tolist(), strict=True))).encode() + b"\n"
        try:
            _write_at(self.pixels, self.bytes, [image.data.cast("B") for image in chunk.images], lasting=True)
            _write_at(self._journal, self._journal_bytes, [memoryview(line)], lasting=False)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise StorageError(
                f"{self.folder}: {error.strerror}; the {self.bytes / 1e9:.2f} GB of decoded images written so far are "
                "kept: make room, or name a larger disk with data.cache=DIR, and start the same command again"
            ) from None
        self._journal_bytes += len(line)
        self.bytes += sum(image.size for image in chunk.images)
        self._paths.extend(chunk.paths)
        self._rows.append(rows)

    def damaged(self) -> list[str]:
        """Return the paths of the images whose checksums no longer fit."""
        entries, pixels = self.entries(), open_pixels(self.pixels, self.bytes)
        ends = _ends(entries.to_numpy())
        starts, checksums = entries["offset"].to_numpy(), entries["checksum"].to_numpy()
        return [
            path
            for path, start, end, checksum in zip(entries.index, starts, ends, checksums, strict=True)
            if zlib.crc32(pixels[start:end].data) != checksum
        ]


def open_pixels(path: Path, size: int) -> Pixels:
    """Return the first `size` bytes of the pixel file, memory-mapped."""
    if size == 0:
        return np.zeros(0, np.uint8)
    # A plain view of the file: each slice of numpy's own memmap class costs several times as much.
    return np.asarray(np.memmap(path, np.uint8, "r", shape=(size,)))


def _ends(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the end of each entry of `rows` [n, FIELDS] in the pixel file, bytes."""
    offset, height, width = (rows[:, FIELDS.index(name)] for name in ("offset", "height", "width"))
    ends: npt.NDArray[np.int64] = offset + height * width
    return ends


def _read_journal(path: Path) -> tuple[list[str], list[npt.NDArray[np.int64]], int]:
    """Return the paths and rows of all whole lines, and their bytes; whatever follows a broken line is ignored."""
    paths: list[str] = []
    rows, end = [], 0
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        paths.extend(record["path"])
        rows.append(np.array([record[name] for name in FIELDS], np.int64).T)
        end += len(line)
    return paths, rows, end


def _write_at(path: Path, offset: int, pieces: Iterable[memoryview], *, lasting: bool) -> None:
    """Truncate the file at `offset` and write the pieces there; if `lasting`, wait until they are on disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.ftruncate(descriptor, offset)
        for piece in pieces:
            done = 0
            while done < len(piece):
                done += os.pwrite(descriptor, piece[done:], offset + done)
            offset += done
        if lasting:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
