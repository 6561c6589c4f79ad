"""Draws which images a training step sees, their crops and flips, from (seed, epoch) and nothing else."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from bench.data.decode import CENTRE
from bench.errors import DataError
from bench.schedule import Schedule


class Draws(NamedTuple):
    """One batch, before its images are looked up.

    Attributes:
        rows: [b] int64, of the split.
        vertical, horizontal: [b] float64, where the crop lies as shares in [0, 1] of the free room.
        flip: [b] bool, whether left and right are exchanged.
    """

    rows: npt.NDArray[np.int64]
    vertical: npt.NDArray[np.float64]
    horizontal: npt.NDArray[np.float64]
    flip: npt.NDArray[np.bool_]


class TrainingSampler(Sampler[Draws]):
    """Every image once an epoch, in an order, with crops and flips that follow from (seed, epoch) alone.

    The last incomplete batch is dropped. One step of all devices takes `batch_size` images: this process takes its
    equal part of them, the `rank`-th, in slices of `micro_batch`.

    Args:
        batch_size: images a step, of all processes together.
        micro_batch: images at once in one process; None is its whole part.

    Raises:
        DataError: parts or slices would not be equal.
    """

    def __init__(
        self,
        images: int,
        *,
        seed: int,
        batch_size: int,
        micro_batch: int | None = None,
        rank: int = 0,
        world: int = 1,
        flip: bool = False,
    ) -> None:
        part = batch_size // world
        micro = part if micro_batch is None else micro_batch
        if part * world != batch_size or micro == 0 or part % micro:
            raise DataError(
                f"protocol.batch_size={batch_size} cannot be shared equally by trainer.devices={world} in slices of "
                f"protocol.micro_batch={micro_batch}"
            )
        self._images, self._seed, self._flip = images, seed, flip
        self._batch, self._part, self._micro, self._rank = batch_size, part, micro, rank
        self._epoch, self._first = 0, 0

    def start(self, epoch: int, batch: int) -> None:
        """Resume in an epoch after `batch` steps; later epochs are whole."""
        self._epoch, self._first = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch; the epoch of `start` stays where it goes on."""
        if epoch != self._epoch:
            self.start(epoch, 0)

    def __len__(self) -> int:
        """Return the number of slices (micro-batches) of a whole epoch."""
        return self._images // self._batch * (self._part // self._micro)

    def __iter__(self) -> Iterator[Draws]:
        rng = np.random.default_rng([self._seed, self._epoch])
        order, shares = rng.permutation(self._images), rng.random((self._images, 2))
        flips = rng.random(self._images) < CENTRE if self._flip else np.zeros(self._images, np.bool_)
        for step in range(self._first, self._images // self._batch):
            begin = step * self._batch + self._rank * self._part
            for at in range(begin, begin + self._part, self._micro):
                cut = slice(at, at + self._micro)
                yield Draws(order[cut], shares[cut, 0].copy(), shares[cut, 1].copy(), flips[cut])


class StretchSampler(Sampler[Draws]):
    """The draws up to the next evaluation; each iteration continues where the last one ended.

    It has no length: the first stretch of a training that goes on is shorter than the others.

    Attributes:
        step: training steps that the next stretch begins after.
    """

    def __init__(self, epochs: TrainingSampler, schedule: Schedule) -> None:
        self._epochs, self._schedule = epochs, schedule
        self.step = 0

    def __iter__(self) -> Iterator[Draws]:
        step, end = self.step, self._schedule.next_evaluation(self.step)
        slices = len(self._epochs) // self._schedule.batches  # of a step
        while step < end:
            epoch, batch = self._schedule.position(step)
            self._epochs.start(epoch, batch)
            stop = min(end, (epoch + 1) * self._schedule.batches)
            yield from islice(self._epochs, (stop - step) * slices)
            step = stop
        self.step = end


class EvaluationSampler(Sampler[Draws]):
    """This process's images, every `world`-th, once, in the order of their rows, cut at the centre and not flipped.

    Args:
        batch_size: images at once in this process; the last batch may be smaller.
    """

    def __init__(self, images: int, *, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self._rows, self._batch = np.arange(rank, images, world), batch_size

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch)

    def __iter__(self) -> Iterator[Draws]:
        for start in range(0, len(self._rows), self._batch):
            rows = self._rows[start : start + self._batch]
            yield Draws(rows, np.full(len(rows), CENTRE), np.full(len(rows), CENTRE), np.zeros(len(rows), np.bool_))
