"""All decoded images of a split in a device's own memory, and the gather that cuts batches out of them there."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.data.cache import Cache
from bench.errors import DataError


class ResidentImages:
    """All decoded images of one split in the memory of a device.

    Args:
        positions: [n] of the split's images in the cache, in the order of its rows: `Images.positions`.

    Raises:
        DataError: the device has no room for them.
    """

    def __init__(self, cache: Cache, positions: npt.NDArray[np.int64], device: torch.device) -> None:
        sizes = cache.sizes(positions)
        ends = np.cumsum(sizes.prod(axis=1))
        total = int(ends[-1]) if len(ends) else 0
        try:
            self._pixels = torch.empty(total, dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError:
            raise DataError(
                f"data.resident=device needs {total / 1e9:.1f} GB for {len(positions)} images, and {device} has no "
                "room for them: use data.resident=host"
            ) from None
        starts = ends - sizes.prod(axis=1)
        for position, start, end in zip(positions.tolist(), starts.tolist(), ends.tolist(), strict=True):
            self._pixels[start:end] = torch.from_numpy(cache.pixels(position).ravel().copy())
        self._starts = torch.from_numpy(starts).to(device)
        self._sizes = torch.from_numpy(sizes).to(device)

    def crops(self, rows: Tensor, vertical: Tensor, horizontal: Tensor, flip: Tensor, crop: int) -> Tensor:
        """Return square crops, flipped where asked for, [b, 1, crop, crop] uint8; all arrays are on the device.

        Args:
            rows: [b] int64, of the split.
            vertical, horizontal: [b] float64, where each cut lies, as shares in [0, 1] of the free room.
            flip: [b] bool, which cuts to mirror, left to right.
        """
        sizes = self._sizes[rows]
        corners = torch.round(torch.stack([vertical, horizontal], 1) * (sizes - crop)).to(torch.int64)
        side = torch.arange(crop, device=rows.device)
        columns = torch.where(flip[:, None], crop - 1 - side, side) + corners[:, 1:]
        lines = (side + corners[:, :1]) * sizes[:, 1:] + self._starts[rows][:, None]
        return self._pixels[lines[:, :, None] + columns[:, None, :]][:, None]
