"""Grey values of a DICOM file, as a viewer would show them."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing

from bench.data.grey import Grey, contrast, luma, stretch
from bench.errors import DataError

Values = npt.NDArray[Any]
"""[height, width], stored or after the modality LUT."""
Ends = tuple[float, float]
"""The smallest and the largest value that there can be."""

GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
"""Photometric Interpretations of one and of three values a pixel; of the latter pydicom makes red, green and blue."""
EIGHT = 8
"""Bits up to which values are shown as they are."""
FAR = 1e30
"""Beyond every window: what it is mapped to is the end of the window's range."""
FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
RESCALE = ("RescaleSlope", "RescaleIntercept")
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
GROUPED = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
"""Where enhanced objects keep rescale and window. Source: DICOM PS3.3 C.7.6.16."""

BROKEN = (
    InvalidDicomError,
    BytesLengthException,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
"""What pydicom and its decoders raise, beside ValueError and OSError, for a file that lacks an element or its end."""


def read_grey(content: bytes) -> Grey:
    """Return grey values [height, width] uint8: Modality and VOI LUT or window applied, MONOCHROME1 inverted.

    Pixel padding takes no part in the range of values and is black. The window's (or the VOI LUT's) whole range becomes
    0 to 255. Where there is neither, the whole range of up to eight bits does, so that these stay as they are, and of
    more bits what `contrast` shows. Of several windows the first is used, as viewers do. Colours, a palette's too,
    become luma, of their whole range.

    Raises:
        ValueError: the file is no whole picture of one frame, or says what is not understood.
        DataError: what decompresses it is not installed; no fault of the file, so it is not left out as a bad image.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of what changes no pixel, or is refused
            return _shown(pydicom.dcmread(io.BytesIO(content)))
    except BROKEN as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _shown(header: pydicom.Dataset) -> Grey:
    stored = _pixels(header)
    kind = header.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        return _by_palette(header, stored)
    if kind in COLOUR:
        return stretch(luma(stored), 0, 2**header.BitsStored - 1)
    picture = ~_padding(header, stored)
    if not picture.any():
        raise ValueError("every pixel is padding")
    bits, ends = _range(header)
    values = _modality(header, stored)
    if _has_table(header):
        grey = _by_table(header, values)
    elif header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        grey = _by_window(header, values)
    else:
        grey = stretch(values, *ends) if bits <= EIGHT else contrast(values, ends, picture)
    if kind == "MONOCHROME1":
        grey = 255 - grey
    grey = grey.copy()
    grey[~picture] = 0
    return grey


def _pixels(header: pydicom.Dataset) -> Values:
    """Return the stored values, after checking that the header asks for nothing that is not supported.

    Raises:
        ValueError: it does, or there are several frames.
        DataError: what decompresses them is not installed.
    """
    frames = header.get("NumberOfFrames") or 1
    if frames != 1:
        raise ValueError(f"it holds {frames} frames, and one is expected")
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise ValueError("it has no transfer syntax (0002,0010), so how its pixels are written is not known")
    if any(name in header for name in FLOATS):
        raise ValueError("its pixels are floating-point numbers, as of a map of measurements, and no radiograph's")
    if not get_decoder(syntax).is_available:
        raise DataError(f"DICOM files in {syntax.name} need packages that are not installed: pip install -e '.[dicom]'")
    stored: Values = header.pixel_array
    kind, high = header.PhotometricInterpretation, header.get("HighBit")
    if kind not in GREY + COLOUR:
        raise ValueError(f"its Photometric Interpretation is {kind}; read are {', '.join(GREY + COLOUR)}")
    shape = (header.Rows, header.Columns, 3)[: 3 if kind in COLOUR else 2]
    if stored.shape != shape:
        raise ValueError(f"its pixels are {stored.shape}, and one frame of {kind} is {shape}")
    if high is not None and high != header.BitsStored - 1:
        raise ValueError(
            f"HighBit is {high} where {header.BitsStored} bits are stored, and {header.BitsStored - 1} is expected "
            "(DICOM PS3.5 8.1.1): whether the values are shifted is not known"
        )
    if any(name in item for group in GROUPS for item in header.get(group) or () for name in GROUPED):
        raise ValueError("its rescale or window is in functional groups, as of enhanced objects, which are not read")
    return stored


def _padding(header: pydicom.Dataset, stored: Values) -> npt.NDArray[np.bool_]:
    """Return where padding is stored, [h, w]. Source: DICOM PS3.3 C.7.5.1.1.2, value and range limit inclusive."""
    value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    low, high = sorted((int(value), int(value if limit is None else limit)))
    found: npt.NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return found


def _range(header: pydicom.Dataset) -> tuple[int, Ends]:
    """Return the bits and the smallest and largest possible value after the modality LUT."""
    table = header.get("ModalityLUTSequence")
    if table:
        bits = int(table[0].LUTDescriptor[2])
        return bits, (0, 2.0**bits - 1)
    bits = int(header.BitsStored)
    low = -(2 ** (bits - 1)) if header.PixelRepresentation == 1 else 0
    low, high = sorted(_modality(header, np.array([low, low + 2**bits - 1])).tolist())
    return bits, (low, high)


def _modality(header: pydicom.Dataset, stored: Values) -> Values:
    table = header.get("ModalityLUTSequence")
    if table:
        entries, start, _ = table[0].LUTDescriptor
        table[0].LUTDescriptor = [entries, start, 16]  # pydicom 3.0 knows no depth but 8 and 16
        return np.asarray(apply_modality_lut(stored.astype(np.int64), header))
    given = [name for name in RESCALE if name in header]
    for name in given:
        if header[name].value in (None, ""):
            raise ValueError(f"{name} is empty, so its values cannot be rescaled")
    if len(given) == 1:
        raise ValueError(f"it has {given[0]} and not {(set(RESCALE) - set(given)).pop()}, so it cannot be rescaled")
    return np.asarray(apply_modality_lut(stored, header))


def _has_table(header: pydicom.Dataset) -> bool:
    """Return whether the first VOI LUT is complete, as pydicom's `apply_voi_lut` needs it."""
    table = header.get("VOILUTSequence")
    return bool(table) and None not in (table[0].get("LUTDescriptor"), table[0].get("LUTData"))


def _by_window(header: pydicom.Dataset, values: Values) -> Grey:
    """Return the values under the first window (centre, width, function): its lower end is 0, its upper end 255."""
    if not header.get("VOILUTFunction"):
        header.VOILUTFunction = "LINEAR"  # what an empty one means
    with np.errstate(over="ignore"):  # a sigmoid's exponential of FAR
        low, high = apply_windowing(np.array([-FAR, FAR]), header)
        return stretch(apply_windowing(values, header), low, high)


def _by_table(header: pydicom.Dataset, values: Values) -> Grey:
    """Return the values under the first VOI LUT: 0 is 0, the largest value of its depth 255."""
    first = header.VOILUTSequence[0]
    entries, start, depth = first.LUTDescriptor
    first.LUTDescriptor = [entries, start, 16]  # at 8 pydicom 3.0 counts the entries in eight bits, too, and wraps
    return stretch(apply_voi(_within(np.rint(values), start, entries), header), 0, 2**depth - 1)


def _by_palette(header: pydicom.Dataset, stored: Values) -> Grey:
    """Return the luma of the palette's colours of the stored values."""
    entries, start, depth = header.RedPaletteColorLookupTableDescriptor
    colours = apply_color_lut(_within(stored, start, entries), header)
    if colours.dtype == np.uint8 and not 0 < entries <= 2**EIGHT:  # where pydicom 3.0 wraps
        raise ValueError(f"its palette has {entries or 2**16} colours of eight bits, more than 256")
    high = 2**depth - 1
    return stretch(luma(colours), 0, high if colours.max() <= high else np.iinfo(colours.dtype).max)


def _within(values: Values, start: int, entries: int) -> Values:
    """Clip the values to a table's `entries` (0 is 65,536), as pydicom 3.0 wraps those beyond its end."""
    return np.clip(values, start, start + (entries or 2**16) - 1).astype(np.int64)
