"""Serves whole batches straight from decoded images; nothing here depends on the number of worker processes.

What is drawn (order, crops, flips) follows from (seed, epoch) alone and is drawn in the process that trains; a batch is
then one gather from the cache, in whatever process that happens.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from bench.data.cache import Cache, open_cache
from bench.data.sampling import Draws, EvaluationSampler, StretchSampler, TrainingSampler
from bench.data.sets import Split
from bench.errors import DataError
from bench.paths import in_project
from bench.schedule import Schedule
from bench.schema import DataConfig

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]


class Images(Dataset[Batch]):
    """The images and labels of one split, by `Draws`.

    A batch: `image` [b, 1, crop, crop] uint8; `label` [b, tasks] float32, NaN where undefined; `row` [b] int64; `flip`
    [b] bool, for `flip()` on the device. With `resident`, in place of `image`: `vertical`, `horizontal` [b] float64,
    for `ResidentImages.crops`.

    Args:
        cache: holds every image of the split.
        split: what is served.
        crop: px.
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
        self.cache, self.crop, self.flip, self._resident, self.pinned = cache, crop, flip, resident, pinned
        self.positions = cache.positions(split.frame["path"])
        self._labels = split.labels.astype(np.float32)
        side = int(cache.sizes(self.positions).min(initial=crop))
        if side < crop:
            raise DataError(f"protocol.image.crop={crop} is larger than protocol.image.resize={side}")

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, draws: Draws) -> Batch:
        rows = torch.from_numpy(draws.rows)
        batch = {"label": torch.from_numpy(self._labels[draws.rows]), "row": rows, "flip": torch.from_numpy(draws.flip)}
        if self._resident:
            shares = (draws.vertical, draws.horizontal)
            return batch | dict(zip(("vertical", "horizontal"), map(torch.from_numpy, shares), strict=True))
        image = self._empty((len(rows), 1, self.crop, self.crop))
        positions = self.positions[draws.rows]
        self.cache.crops(positions, draws.vertical, draws.horizontal, self.crop, out=image.numpy())
        return batch | {"image": image}

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        """Bytes to be filled; a worker's lie in memory that it shares with the process that trains, to be sent so."""
        if get_worker_info() is None:
            return torch.empty(shape, dtype=torch.uint8, pin_memory=self.pinned)
        storage = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]  # as torch's collate
        return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


class Batches:
    """The batches of a source, made in the process that trains: a DataLoader without what that adds to each batch.

    Attributes:
        dataset: where they come from.
        sampler: what is drawn.
    """

    def __init__(self, dataset: Images, sampler: Sampler[Draws]) -> None:
        self.dataset, self.sampler = dataset, sampler
        self.batch_sampler = None  # Lightning asks whoever has a sampler

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]  # both samplers here have a length

    def __iter__(self) -> Iterator[Batch]:
        return map(self.dataset.__getitem__, self.sampler)


Loader = Batches | DataLoader[Batch]


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
) -> Loader:
    """Shuffled, randomly cropped batches; with a schedule stretch by stretch (`StretchSampler`), else whole epochs."""
    sampler = TrainingSampler(
        len(source),
        seed=seed,
        batch_size=batch_size,
        micro_batch=micro_batch,
        rank=rank,
        world=world,
        flip=source.flip,
    )
    return _loader(source, StretchSampler(sampler, schedule) if schedule else sampler, workers)


def evaluation_loader(source: Images, *, batch_size: int, workers: int, rank: int = 0, world: int = 1) -> Loader:
    """Every image of this process once, in the order of its row, cut at the centre."""
    return _loader(source, EvaluationSampler(len(source), batch_size=batch_size, rank=rank, world=world), workers)


def _loader(source: Images, sampler: Sampler[Draws], workers: int) -> Loader:
    if workers == 0:
        return Batches(source, sampler)
    return DataLoader(
        source,
        batch_size=None,  # the sampler draws whole batches
        sampler=sampler,
        num_workers=workers,
        collate_fn=_as_it_is,
        persistent_workers=True,
        pin_memory=source.pinned,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def flip(images: Tensor, flags: Tensor) -> Tensor:
    """The images [b, c, h, w] with left and right exchanged where `flags` [b] bool say so; on the images' device."""
    return torch.where(flags.view(-1, 1, 1, 1), images.flip(-1), images)


def open_caches(
    splits: Mapping[str, Split], config: DataConfig, *, shorter_side: int, announce: Callable[[str], None] = logger.info
) -> dict[str, Cache]:
    """The decoded images of each split, by its name; splits below one root share a cache.

    Args:
        splits: by name, external test sets among them.
        config: where decoded images lie, and what becomes of bad ones.
        shorter_side: px, `protocol.image.resize`.
        announce: is told what is waited for.

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
    """The split without the images that cannot be used (`Cache.bad`); the same object where there are none."""
    if not cache.bad:
        return split
    usable = cache.usable(split.frame)
    return dataclasses.replace(split, frame=split.frame[usable].reset_index(drop=True), labels=split.labels[usable])
