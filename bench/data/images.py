"""Reads images and serves them in batches; nothing here depends on the number of worker processes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import DataLoader, Dataset, Sampler

from bench.data.sets import Split
from bench.errors import DataError

Draw = tuple[int, float, float]
"""(row, vertical, horizontal): which image, and where its crop lies as shares in [0, 1] of the free room."""

CENTRE = 0.5


def read_image(path: Path, shorter_side: int) -> npt.NDArray[np.uint8]:
    """A grey image with its shorter side resized (bilinear, antialiased), its aspect kept: [height, width] uint8.

    Raises:
        DataError: no image there, or not one that can be decoded to its end.
    """
    try:
        with Image.open(path) as file:
            grey = file.convert("L")
    except FileNotFoundError:
        raise DataError(f"{path}: no such image; its row is in the CSV file") from None
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: cannot be decoded ({error})") from None
    scale = shorter_side / min(grey.size)
    width, height = (max(shorter_side, round(side * scale)) for side in grey.size)
    return np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))


class ChestXrayDataset(Dataset[dict[str, Any]]):
    """Images and labels of one split, by `Draw`.

    An item: `image` [1, crop, crop] uint8; `label` [tasks] float32, NaN where undefined; `row` int64.
    """

    def __init__(self, root: Path, split: Split, *, resize: int, crop: int) -> None:
        if crop > resize:
            raise DataError(f"protocol.image.crop={crop} is larger than protocol.image.resize={resize}")
        self._paths = [root / path for path in split.frame["path"]]
        self._labels = torch.from_numpy(split.labels.astype(np.float32))
        self._resize, self._crop = resize, crop

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        row, vertical, horizontal = draw
        image = read_image(self._paths[row], self._resize)
        top, left = (
            round(share * (side - self._crop)) for share, side in zip((vertical, horizontal), image.shape, strict=True)
        )
        cut = image[top : top + self._crop, left : left + self._crop]
        return {"image": torch.from_numpy(cut.copy())[None], "label": self._labels[row], "row": row}


class TrainingSampler(Sampler[Draw]):
    """Every image once an epoch, in an order and with crops that follow from (seed, epoch) alone.

    The crop is drawn here and not in the worker that reads the image, so that the number of workers changes nothing.
    """

    def __init__(self, images: int, *, seed: int) -> None:
        self._images, self._seed, self._epoch = images, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._images

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self._seed, self._epoch])
        order, shares = rng.permutation(self._images), rng.random((self._images, 2))
        return iter([(int(row), float(y), float(x)) for row, (y, x) in zip(order, shares, strict=True)])


def training_loader(
    dataset: ChestXrayDataset, *, batch_size: int, seed: int, workers: int
) -> DataLoader[dict[str, Any]]:
    """Shuffled, randomly cropped batches; the incomplete last one is dropped, as one image has no batch statistics."""
    sampler = TrainingSampler(len(dataset), seed=seed)
    return _loader(dataset, sampler, batch_size, workers, drop_last=True)


def evaluation_loader(dataset: ChestXrayDataset, *, batch_size: int, workers: int) -> DataLoader[dict[str, Any]]:
    """Every image once, in the order of its row, cut at the centre."""
    draws = [(row, CENTRE, CENTRE) for row in range(len(dataset))]
    return _loader(dataset, draws, batch_size, workers, drop_last=False)


def _loader(
    dataset: ChestXrayDataset,
    sampler: Sampler[Draw] | Sequence[Draw],
    batch_size: int,
    workers: int,
    *,
    drop_last: bool,
) -> DataLoader[dict[str, Any]]:
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        drop_last=drop_last,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
