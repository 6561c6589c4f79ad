"""Grey values of eight bits: from colour, from more bits, and turned upright."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
"""[height, width], 0 black."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue. Source: ITU-R BT.601, as JPEG and Pillow."""

TAILS = (0.5, 99.5)
"""Percentiles that are shown black and white. Source: Ma et al., Nature Communications 15, 654 (2024), for all images
without a window; there (github.com/bowang-lab/MedSAM, pre_CT_MR.py), too, black pixels take no part in them."""

SAMPLED = 2**19
"""Pixels, on a grid over the image, that percentiles are taken of at least, where there are so many: of so many drawn
at random the 0.5th percentile is, by four standard errors, from the 0.46th to the 0.54th."""

UPRIGHT = {
    2: lambda grey: grey[:, ::-1],
    3: lambda grey: grey[::-1, ::-1],
    4: lambda grey: grey[::-1],
    5: lambda grey: grey.T,
    6: lambda grey: grey.T[:, ::-1],
    7: lambda grey: grey[::-1, ::-1].T,
    8: lambda grey: grey.T[::-1],
}
"""What turns an image upright, by EXIF's Orientation; 1 is upright. Source: EXIF 2.32 (CIPA DC-008), 4.6.4."""
ON_ITS_SIDE = 5
"""The first Orientation whose rows are the image's columns."""


def stretch(values: npt.NDArray[Any], low: float, high: float) -> Grey:
    """Map `values` linearly so that low is 0 and high 255, clipped; all 0 if the range is empty."""
    if high == low:
        return np.zeros(values.shape, np.uint8)
    near = max(abs(low), abs(high)) <= 2**10 * abs(high - low)  # of a float32's 24 bits, 14 are left for the range
    exact = np.dtype(np.float32 if near else np.float64)
    share = (values.astype(exact) - exact.type(low)) / exact.type(high - low)
    grey: Grey = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    return grey


def contrast(values: npt.NDArray[Any], ends: tuple[float, float], picture: npt.NDArray[np.bool_] | None = None) -> Grey:
    """Map `values` linearly so that their 0.5th percentile is 0 and their 99.5th 255, clipped.

    Pixels at either end of the range that values can have take no part: black borders, and markers that were burnt in
    at the largest value, of whatever size.

    Args:
        values: [h, w] of more than eight bits.
        picture: [h, w] what is no padding; None is all of it.
    """
    step = max(1, math.isqrt(values.size // SAMPLED))
    sample = values[::step, ::step]
    inside = (sample > ends[0]) & (sample < ends[1])
    if picture is not None:
        inside &= picture[::step, ::step]
    low, high = np.percentile(sample[inside], TAILS) if inside.any() else (0.0, 0.0)
    if low == high:  # nothing, or one value, lies between the ends
        shown = values if picture is None else values[picture]
        low, high = shown.min(), shown.max()
    return stretch(values, float(low), float(high))


def luma(colour: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the brightness [h, w] of red, green and blue [h, w, 3], in the type and range of the input."""
    grey: npt.NDArray[Any] = np.rint(colour[..., :3] @ np.array(LUMA)).astype(colour.dtype)
    return grey


def upright(grey: Grey, size: tuple[int, int], orientation: object) -> tuple[Grey, tuple[int, int]]:
    """Turn an image, and the (height, width) of its file, as EXIF's Orientation asks.

    Args:
        grey: as it is stored; may be smaller than the file's.
        size: (height, width) as stored, px.
        orientation: 2 to 8; all else is upright.
    """
    if not isinstance(orientation, int) or orientation not in UPRIGHT:
        return grey, size
    return np.ascontiguousarray(UPRIGHT[orientation](grey)), size[::-1] if orientation >= ON_ITS_SIDE else size
