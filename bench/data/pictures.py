"""Grey values of JPEG and PNG files, upright."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image

from bench.data.grey import Grey, contrast, luma, upright

Decoded = tuple[Grey, tuple[int, int]]
"""Grey values, and the (height, width) of the file's image: the former may be smaller."""

MARKER, SCAN, APP1 = 0xFF, 0xDA, 0xE1
"""What begins each of JPEG's markers; that of the pixels, and of what a camera says (EXIF, XMP). Source: ITU-T T.81."""
PRINTED = ("CMYK", "YCCK")
"""JPEG's colours for print, which libjpeg-turbo takes to be inverted, and Pillow where Adobe wrote them."""
ORIENTATION = ExifTags.Base.Orientation
DEEP = 16
"""Bits a channel of PNG's largest depth."""
LARGEST = 2.0**DEEP - 1


def decode_jpeg(content: bytes, shorter_side: int) -> Decoded:
    """Decode a JPEG, halved by the decoder itself as often as it stays above the size asked for.

    The pixels left out are never made.

    Raises:
        ValueError, OSError: it is no whole image.
    """
    height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    if colours in PRINTED:
        with _opened(content, "JPEG") as file:
            return upright(np.asarray(file.convert("L")), (height, width), file.getexif().get(ORIENTATION))
    factor = 1
    while factor < 8 and min(height, width) > 2 * factor * shorter_side:  # JPEG's blocks are 8 px
        factor *= 2
    least = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
    grey = simplejpeg.decode_jpeg(content, "GRAY", **least)[:, :, 0]
    return upright(grey, (height, width), _orientation(content))


def decode_png(content: bytes, _: int) -> Decoded:
    """Decode a PNG; transparency is ignored.

    Raises:
        ValueError: it is no whole image, or several; Pillow's OSError, SyntaxError or DecompressionBombError as well.
    """
    with _opened(content, "PNG") as file:
        frames = getattr(file, "n_frames", 1)
        if frames > 1:
            raise ValueError(f"it holds {frames} frames, and one is expected")
        file.load()
        orientation = file.getexif().get(ORIENTATION)  # may be written behind the pixels
        deep, colour = content[24] == DEEP, file.mode in ("RGB", "RGBA", "LA")  # the header's bit depth
        values = _deep_luma(content) if deep and colour else np.asarray(file if deep else file.convert("L"))
    grey = contrast(values, (0.0, LARGEST)) if deep else values.astype(np.uint8, copy=False)
    return upright(grey, (values.shape[0], values.shape[1]), orientation)


def _deep_luma(content: bytes) -> npt.NDArray[Any]:
    """Return the luma of a PNG with 16 bits a channel, of which Pillow reads the upper eight only."""
    how = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    found = cv2.imdecode(np.frombuffer(content, np.uint8), how)
    if found is None:
        raise ValueError("OpenCV cannot decode its 16 bits of colour")
    return luma(np.asarray(found))


def _orientation(content: bytes) -> object:
    """Return EXIF's Orientation of a JPEG, None if there is none.

    Pillow is asked where a camera may have said something; the headers of all others are passed in microseconds.
    """
    place, end = 2, len(content) - 3
    while place < end and content[place] == MARKER and content[place + 1] not in (APP1, MARKER):
        if content[place + 1] == SCAN:
            return None
        place += 2 + (content[place + 2] << 8 | content[place + 3])
    with _opened(content, "JPEG") as file:
        return file.getexif().get(ORIENTATION)


@contextmanager
def _opened(content: bytes, kind: str) -> Iterator[Image.Image]:
    """Open a file with Pillow; its warnings about broken EXIF are ignored."""
    quiet = warnings.catch_warnings(action="ignore", category=UserWarning)
    with quiet, Image.open(io.BytesIO(content), formats=[kind]) as file:
        yield file
