"""Serves whole batches straight from decoded images; what is served does not depend on the number of workers.

What is drawn (order, crops, flips) follows from (seed, epoch) alone and is drawn by the thread that trains; a batch is
then one gather from the cache, in that thread or, ahead of it, in others. Threads, not a DataLoader's processes: numpy
gathers without holding the interpreter, and to send a batch from another process takes longer than to make it.
"""

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from bench.data.cache import Cache, open_cache
from bench.data.sampling import Draws, EvaluationSampler, StretchSampler, TrainingSampler
from bench.data.sets import Split
from bench.errors import DataError
from bench.paths import in_project
from bench.schedule import Schedule
from bench.schema import DataConfig

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]

AHEAD = 2
"""Batches in work or ready for each worker, as in torch's DataLoader; more would only take memory."""


class Images:
    """The images and labels of one split, by `Draws`.

    A batch: `image` [b, 1, crop, crop] uint8; `label` [b, tasks] float32, NaN where undefined; `row` [b] int64; `flip`
    [b] bool, for `flip()` on the device. With `resident`, in place of `image`: `vertical`, `horizontal` [b] float64,
    for `ResidentImages.crops`.

    Args:
        flip: whether training flips half of the images.
        resident: whether the pixels are on the device already.
        pinned: whether batches are made in pinned memory, for a GPU to fetch.

    Raises:
        DataError: an image is not in the cache, or smaller than the crop.
    """

    def __init__(
        self,
        cache: Cache,
        split: Split,
        *,
        crop: int,
        flip: bool = False,
        resident: bool = False,
        pinned: bool = False,
    ) -> None:
        self.cache, self.crop, self.flip, self.resident, self._pinned = cache, crop, flip, resident, pinned
        self.positions = cache.positions(split.frame["path"])
        self._labels = split.labels.astype(np.float32)
        side = int(cache.sizes(self.positions).min(initial=crop))
        if side < crop:
            raise DataError(f"protocol.image.crop={crop} is larger than protocol.image.resize={side}")

    def __len__(self) -> int:
        return len(self.positions)

    def room(self, draws: Draws) -> Batch:
        """Return the batch with memory for its pixels, not yet filled."""
        rows = torch.from_numpy(draws.rows)
        batch = {"label": torch.from_numpy(self._labels[draws.rows]), "row": rows, "flip": torch.from_numpy(draws.flip)}
        if self.resident:
            shares = (draws.vertical, draws.horizontal)
            return batch | dict(zip(("vertical", "horizontal"), map(torch.from_numpy, shares), strict=True))
        shape = (len(rows), 1, self.crop, self.crop)
        return batch | {"image": torch.empty(shape, dtype=torch.uint8, pin_memory=self._pinned)}

    def fill(self, batch: Batch, draws: Draws) -> Batch:
        """Fill in the pixels of a batch that `room` made."""
        if not self.resident:
            positions = self.positions[draws.rows]
            self.cache.crops(positions, draws.vertical, draws.horizontal, self.crop, out=batch["image"].numpy())
        return batch

    def __getitem__(self, draws: Draws) -> Batch:
        return self.fill(self.room(draws), draws)


class Batches:
    """The batches of a source, in the order of its draws.

    Attributes:
        dataset: where they come from.
        sampler: what is drawn.

    Args:
        workers: threads that fill batches ahead of their use; 0 fills each when it is asked for, as do images that are
            on the device already.
    """

    def __init__(self, dataset: Images, sampler: Sampler[Draws], workers: int) -> None:
        self.dataset, self.sampler, self._workers = dataset, sampler, workers
        self.batch_sampler = None  # Lightning asks whoever has a sampler

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]  # both samplers here have a length

    def __iter__(self) -> Iterator[Batch]:
        if self._workers == 0 or self.dataset.resident:
            return map(self.dataset.__getitem__, self.sampler)
        return self._ahead(iter(self.sampler))

    def _ahead(self, draws: Iterator[Draws]) -> Iterator[Batch]:
        pool = ThreadPoolExecutor(self._workers, "batches")

        def begin(draw: Draws) -> Future[Batch]:
            # Its memory comes from this thread: one that ends, or belongs to no device, is no place to take it from.
            return pool.submit(self.dataset.fill, self.dataset.room(draw), draw)

        try:
            begun = deque(map(begin, islice(draws, AHEAD * self._workers)))
            while begun:
                batch = begun.popleft().result()
                begun.extend(map(begin, islice(draws, 1)))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def training_loader(
    source: Images,
    *,
    batch_size: int,
    micro_batch: int | None = None,
    seed: int,
    workers: int,
    rank: int = 0,
    world: int = 1,
    schedule: Schedule | None = None,
) -> Batches:
    """Shuffled, randomly cropped batches; with a schedule stretch by stretch (`StretchSampler`), else whole epochs.

    Args:
        source: the training split; whether its images are flipped is its own.
        batch_size: images a step, of all processes together.
        micro_batch: images at once in one process; None is its whole part.
        workers: threads that fill batches ahead of their use; 0 fills each when it is asked for.

    Raises:
        DataError: as `TrainingSampler`.
    """
    sampler = TrainingSampler(
        len(source),
        seed=seed,
        batch_size=batch_size,
        micro_batch=micro_batch,
        rank=rank,
        world=world,
        flip=source.flip,
    )
    return Batches(source, StretchSampler(sampler, schedule) if schedule else sampler, workers)


def evaluation_loader(source: Images, *, batch_size: int, workers: int, rank: int = 0, world: int = 1) -> Batches:
    """Return a loader of every image of this process, once, in row order, cropped at the centre.

    Args:
        source: the split; its images are not flipped here.
        workers: threads that fill batches ahead of their use; 0 fills each when it is asked for.
        rank, world: which process of how many; each serves every `world`-th image.
    """
    return Batches(source, EvaluationSampler(len(source), batch_size=batch_size, rank=rank, world=world), workers)


def flip(images: Tensor, flags: Tensor) -> Tensor:
    """Mirror the images [b, c, h, w] left to right where `flags` [b] bool is set; on the images' device."""
    return torch.where(flags.view(-1, 1, 1, 1), images.flip(-1), images)


def open_caches(
    splits: Mapping[str, Split], config: DataConfig, *, shorter_side: int, announce: Callable[[str], None] = logger.info
) -> dict[str, Cache]:
    """Return the decoded images of each split by name; splits below one root share a cache.

    Args:
        config: where decoded images lie, and what becomes of bad ones.

    Raises:
        DataError: images cannot be used.
        StorageError: the decoded ones cannot be written.
    """
    caches: dict[Path, Cache] = {}
    for root in dict.fromkeys(split.root for split in splits.values()):
        frames = {name: split.frame for name, split in splits.items() if split.root == root}
        caches[root] = open_cache(
            root,
            frames,
            shorter_side=shorter_side,
            folder=in_project(config.cache),
            on_bad=config.on_bad_image,
            announce=announce,
        )
    return {name: caches[split.root] for name, split in splits.items()}


def drop_bad(split: Split, cache: Cache) -> Split:
    """Return the split without its bad images (`Cache.bad`); the same object if there are none."""
    if not cache.bad:
        return split
    usable = cache.usable(split.frame)
    return dataclasses.replace(split, frame=split.frame[usable].reset_index(drop=True), labels=split.labels[usable])
