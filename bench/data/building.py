"""Decodes images in parallel processes, a chunk at a time, so that no more than a few chunks are in memory."""

import multiprocessing
import os
import signal
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.data.decode import BadImage, decode
from bench.data.store import FIELDS, Chunk, Store
from bench.errors import LostProcessError

CHUNK = 128
"""Images that are decoded and written together: 16 MB at 320 px, so that waiting for the disk costs little."""
ALONE = 50_000_000
"""Bytes of image files up to which they are decoded in this process: a second's work, as long as processes take to
start."""
AHEAD = 2
"""Chunks in work for each process; more would only fill memory where the disk is slower than the decoders."""


@dataclass(frozen=True)
class Decoded:
    """The result of decoding one chunk of paths.

    Attributes:
        chunk: the images that can be used.
        faults: why each of the others cannot be used, by path.
    """

    chunk: Chunk
    faults: dict[str, str]


def decode_chunk(root: Path, paths: Sequence[str], shorter_side: int) -> Decoded:
    """The images of some paths below `root`, in their order, the shorter side of each resized to `shorter_side` px."""
    kept, rows, images, offset = [], [], [], 0
    faults: dict[str, str] = {}
    for path in paths:
        try:
            before = stat(f"{root}/{path}")  # an image that is replaced while it is read must look stale afterwards
            image = np.ascontiguousarray(decode(Path(f"{root}/{path}"), shorter_side))
        except BadImage as error:
            faults[path] = error.reason
            continue
        rows.append((offset, *image.shape, *before, zlib.crc32(image.data)))
        kept.append(path)
        images.append(image)
        offset += image.size
    table = np.array(rows, np.int64).reshape(-1, len(FIELDS))
    return Decoded(Chunk(tuple(kept), table, tuple(images)), faults)


def stat(path: str) -> tuple[int, int]:
    """Return a file's size in bytes and its modification time in ns: they tell whether it changed since it was decoded.

    (-1, -1) where there is none: it is decoding that says why an image cannot be used.
    """
    try:
        found = os.stat(path)  # making a Path takes longer than asking for it
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def stat_all(root: Path, paths: Sequence[str]) -> npt.NDArray[np.int64]:
    """`stat` of every path below `root`, [n, 2] int64."""
    found = [stat(f"{root}/{path}") for path in paths]
    return np.array(found, np.int64).reshape(-1, 2)


def decode_all(root: Path, paths: Sequence[str], shorter_side: int, *, size: int, processes: int) -> Iterator[Decoded]:
    """Yield the image of every path, in chunks, in the order in which they are ready.

    Args:
        root: what the paths are relative to.
        size: bytes of the image files together.
        processes: to decode in; few images are decoded in this one.

    Raises:
        LostProcessError: a process was killed, for want of memory for example.
    """
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    if processes == 1 or size <= ALONE:
        yield from (decode_chunk(root, chunk, shorter_side) for chunk in chunks)
        return
    # Not forked: this process may have threads and a CUDA context, which do not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start) as pool:
        running: set[Future[Decoded]] = set()
        try:
            for chunk in chunks:
                running.add(pool.submit(decode_chunk, root, chunk, shorter_side))
                if len(running) >= AHEAD * processes:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in running)
        except BrokenProcessPool:
            raise LostProcessError(
                f"{root}: a process that decoded its images was killed, for want of memory perhaps; what was decoded "
                "before is kept: start the same command again"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def build(
    store: Store,
    root: Path,
    paths: Sequence[str],
    *,
    shorter_side: int,
    size: int,
    processes: int,
    title: str,
    progress: bool,
) -> dict[str, str]:
    """Decode images into the store; return the reason of each that cannot be used, by path.

    Args:
        size, processes: as `decode_all`.
    """
    faults: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not progress) as bar, ThreadPoolExecutor(1, "writer") as writer:
        task, written = bar.add_task(title, total=len(paths)), None
        for decoded in decode_all(root, paths, shorter_side, size=size, processes=processes):
            if written:
                written.result()  # the disk is waited for while the next images are decoded, and no longer
            written = writer.submit(store.append, decoded.chunk)
            faults |= decoded.faults
            bar.advance(task, len(decoded.chunk.paths) + len(decoded.faults))
        if written:
            written.result()
    return faults


def _start() -> None:
    """Leave interrupts to the parent, and end with it: if it is killed, nothing else would end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
        os._exit(1)
