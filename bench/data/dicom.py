"""Grey values of a DICOM file, as a viewer would show them."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from bench.data.decode import Grey, luma, stretch
from bench.errors import DataError

Values = npt.NDArray[Any]
"""[height, width], stored or after the modality LUT."""

COLOUR = 3
"""Dimensions of a colour picture; pydicom has made red, green and blue of it."""
FAR = 1e30
"""Beyond every window: what it is mapped to is the end of the window's range."""

BROKEN = (InvalidDicomError, AttributeError, KeyError, NotImplementedError, RuntimeError, EOFError, TypeError)
"""What pydicom and its decoders raise, beside ValueError and OSError, for a file that lacks an element or its end."""


def read_grey(content: bytes) -> Grey:
    """Grey values [height, width] uint8 at full size: Modality and VOI LUT or window applied, MONOCHROME1 inverted.

    Pixel padding takes no part in the range of values and is black. The window's (or the VOI LUT's) whole range becomes
    0 to 255; where there is neither, eight bits stay as they are and more are mapped from the darkest and brightest
    value. Of several windows the first is used, as viewers do.

    Raises:
        ValueError: the file is no whole picture of one frame.
        DataError: what decompresses it is not installed; no fault of the file, so it is not left out as a bad image.
    """
    try:
        header = pydicom.dcmread(io.BytesIO(content))
        return _shown(header)
    except BROKEN as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _shown(header: pydicom.Dataset) -> Grey:
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ValueError(f"it holds {header.NumberOfFrames} frames, and one is expected")
    syntax = header.file_meta.TransferSyntaxUID
    if not get_decoder(syntax).is_available:
        raise DataError(f"DICOM files in {syntax.name} need packages that are not installed: pip install -e '.[dicom]'")
    stored = header.pixel_array
    if stored.ndim == COLOUR:
        return _eight_bits(luma(stored), np.ones(stored.shape[:2], np.bool_))
    picture = ~_padding(header, stored)
    if not picture.any():
        raise ValueError("every pixel is padding")
    values = apply_modality_lut(stored, header)
    if header.get("VOILUTSequence"):
        grey = _by_table(header, values)
    elif header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        grey = _by_window(header, values)
    else:
        grey = _eight_bits(values, picture)
    if header.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    grey = grey.copy()
    grey[~picture] = 0
    return grey


def _padding(header: pydicom.Dataset, stored: Values) -> npt.NDArray[np.bool_]:
    """Where the stored values are padding, [h, w]. Source: DICOM PS3.3 C.7.5.1.1.2, value and range limit inclusive."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    low, high = sorted((int(value), int(header.get("PixelPaddingRangeLimit", value))))
    found: npt.NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return found


def _by_window(header: pydicom.Dataset, values: Values) -> Grey:
    """The first window (centre, width and its function), from its lower end at 0 to its upper end at 255."""
    with np.errstate(over="ignore"):  # a sigmoid's exponential of FAR
        low, high = apply_windowing(np.array([-FAR, FAR]), header)
        return stretch(apply_windowing(values, header), low, high)


def _by_table(header: pydicom.Dataset, values: Values) -> Grey:
    """The first VOI LUT, from 0 to the largest value of its depth."""
    first = header.VOILUTSequence[0]
    entries, start, depth = first.LUTDescriptor
    first.LUTDescriptor = [entries, start, 16]  # at 8 pydicom 3.0 counts the entries in eight bits, too, and wraps
    return stretch(apply_voi(np.rint(values).astype(np.int64), header), 0, 2**depth - 1)


def _eight_bits(values: Values, picture: npt.NDArray[np.bool_]) -> Grey:
    if values.dtype == np.uint8:
        return values.astype(np.uint8)
    return stretch(values, float(values[picture].min()), float(values[picture].max()))
