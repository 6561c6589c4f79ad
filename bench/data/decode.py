"""Decodes an image file (JPEG, PNG, DICOM) to grey values at the training size, or says why it cannot be used.

JPEG goes through libjpeg-turbo (simplejpeg, strict: a file that is cut short is an error, not a grey half), PNG through
Pillow, DICOM through pydicom; one resizer serves all three.
"""

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.data.grey import Grey
from bench.data.pictures import Decoded, decode_jpeg, decode_png
from bench.errors import DataError

DECODER_VERSION = 2
"""Raised whenever the same file gives other pixels: decoded images are kept under this number, and cells are others."""

SMALLEST_SIDE = 32
"""px; the smallest `protocol.image.resize` there is. A picture below it is an icon, and no radiograph."""
LARGEST_ASPECT = 4.0
"""Longer over shorter side; the square crop of a longer strip would show less than a quarter of it."""
FLAT = 2
"""Grey levels between the darkest and the brightest pixel up to which an image shows nothing: one grey, as JPEG rounds
it."""
CENTRE = 0.5
"""Share of the free room above and to the left of a cut at the centre."""

SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".dcm": "DICOM", ".dicom": "DICOM"}
"""What a file name promises; a name that ends otherwise (DICOM files are often named by their UID) promises nothing."""

OTHERS = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
"""First bytes of pictures that are not read, by which the message names them."""
PACKED = (b"\x1f\x8b", b"PK\3\4")
"""First bytes of gzip and ZIP."""
BARE = (2, 8)
"""Groups that a DICOM file without preamble begins with: file meta information, or the data set itself."""

UNREADABLE = (ValueError, OSError, SyntaxError, Image.DecompressionBombError)
"""What the decoders raise for a file that is no whole image: Pillow all of them, the others ValueError."""
LONGEST = 400
"""Characters of what a library says; some list what was tried."""

cv2.setNumThreads(1)  # images are decoded in parallel already, a process each


class BadImage(DataError):  # noqa: N818  # a fact about an image
    """An image that cannot be used; `reason` is the sentence without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def decode(path: Path, shorter_side: int) -> Grey:
    """Return the image of a file, as `decode_content` does.

    Raises:
        BadImage: the file is missing, or `decode_content` refuses it.
    """
    return decode_content(_read(path), path, shorter_side)


def decode_content(content: bytes, path: Path, shorter_side: int) -> Grey:
    """Return the image with its shorter side resized (bilinear, antialiased), aspect kept, [height, width] uint8.

    Upright, where EXIF says how. Colour becomes luma, transparency is ignored. Eight bits stay as they are; more, where
    no window says how they are to be shown, are mapped linearly from their 0.5th and 99.5th percentile to 0 and 255.

    Args:
        path: its name, which may promise a kind; named where it cannot be used.

    Raises:
        BadImage: empty, cut short, of another kind than its name says, of a size that is no radiograph's, or of one
            grey throughout.
    """
    if not content:
        raise BadImage(path, "is empty (0 bytes)")
    kind = _kind(path, content)
    try:
        grey, (height, width) = _DECODERS[kind](content, shorter_side)
    except UNREADABLE as error:
        raise BadImage(path, f"cannot be decoded: {_short(error)}") from None
    if min(height, width) < SMALLEST_SIDE or max(height, width) > LARGEST_ASPECT * min(height, width):
        raise BadImage(
            path,
            f"wrong size, {height} x {width} px: sides must be {SMALLEST_SIDE} px or more, and none longer than "
            f"{LARGEST_ASPECT:g} times the other",
        )
    darkest, brightest, _, _ = cv2.minMaxLoc(grey)
    if brightest - darkest <= FLAT:
        raise BadImage(path, f"shows nothing: its pixels are {darkest:.0f} to {brightest:.0f}")
    return resize(grey, resized_shape(height, width, shorter_side))


def resized_shape(height: int, width: int, shorter_side: int) -> tuple[int, int]:
    """Return (height, width) with the shorter side `shorter_side` and the aspect kept to the nearest pixel."""
    scale = shorter_side / min(height, width)
    return max(shorter_side, round(height * scale)), max(shorter_side, round(width * scale))


def resize(grey: Grey, shape: tuple[int, int]) -> Grey:
    """Return the image at another size, antialiased.

    Halved until less than half remains to be taken away; then smoothed by (a, 1 - 2a, a) along both sides and
    interpolated linearly. With a = (k^2 - 1) / 12 at a reduction by k the two together have the variance of the
    triangle of half width k, the weights of Pillow's antialiased bilinear filter; at k = 2 they are that filter. It
    takes a quarter of Pillow's time.
    """
    while min(grey.shape) > 2 * min(shape):
        half = (-(-grey.shape[1] // 2), -(-grey.shape[0] // 2))
        grey = cv2.resize(grey, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if grey.shape == shape:
        return grey
    weight = ((min(grey.shape) / min(shape)) ** 2 - 1) / 12
    if weight > 0:
        sigma = 1 / math.sqrt(2 * math.log((1 - 2 * weight) / weight))  # of the Gaussian whose three weights these are
        grey = cv2.GaussianBlur(grey, (3, 3), sigma, borderType=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
    resized: Grey = cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    return resized


def crop_corners(
    sizes: npt.NDArray[np.int64], vertical: npt.NDArray[np.float64], horizontal: npt.NDArray[np.float64], crop: int
) -> npt.NDArray[np.int64]:
    """Return the (top, left) corners of square crops, [n, 2] int64 px.

    Args:
        sizes: [n, 2] (height, width) of the images, px.
        vertical, horizontal: [n] where each cut lies, as shares in [0, 1] of the free room.
        crop: px of a cut's side; no image may be smaller.
    """
    corners: npt.NDArray[np.int64] = np.rint(np.stack([vertical, horizontal], 1) * (sizes - crop)).astype(np.int64)
    return corners


def centre(grey: Grey, crop: int) -> Grey:
    """Return the centre crop of an image, as every evaluation sees it, [crop, crop]."""
    middle = np.array([CENTRE])
    ((top, left),) = crop_corners(np.array([grey.shape]), middle, middle, crop).tolist()
    return grey[top : top + crop, left : left + crop]


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # Path.read_bytes takes twice as long for these
            return file.read()
    except FileNotFoundError:
        raise BadImage(path, "no such image") from None
    except OSError as error:
        raise BadImage(path, f"cannot be read: {error.strerror}") from None


def _kind(path: Path, content: bytes) -> str:
    if content.startswith(b"\xff\xd8\xff"):
        kind = "JPEG"
    elif content.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "PNG"
    elif content[128:132] == b"DICM":
        kind = "DICOM"
    else:
        raise BadImage(path, f"cannot be decoded: {_unknown(content)}")
    promised = SUFFIXES.get(path.suffix.lower(), kind)
    if promised != kind:
        raise BadImage(path, f"is named as {promised}, but its content is {kind}")
    return kind


def _decode_dicom(content: bytes, _: int) -> Decoded:
    try:
        from bench.data.dicom import read_grey  # pydicom takes a while to import, and few sets need it
    except ModuleNotFoundError as error:
        raise DataError(f"DICOM files need {error.name}, which is not installed: pip install -e '.[dicom]'") from None
    grey = read_grey(content)
    return grey, (grey.shape[0], grey.shape[1])


def _unknown(content: bytes) -> str:
    """Return what an unsupported file is, and what to do with it."""
    other = next((name for start, name in OTHERS.items() if content.startswith(start)), None)
    if other or content[4:8] == b"ftyp":  # as phones write
        return f"its content is {other or 'HEIF'}, which is not read: write it as PNG, which keeps 16 bits"
    if content.startswith(PACKED):
        return "its content is packed (gzip or ZIP): unpack it"
    little, big = content[1:4:2] == b"\0\0" and content[0] in BARE, content[:3:2] == b"\0\0" and content[1] in BARE
    if little or big:
        return (
            "its content looks like DICOM without the preamble and the letters DICM, so how it is written is not "
            "known: write it as a DICOM file (in pydicom, dcmread with force=True, then save_as with its transfer "
            "syntax and enforce_file_format=True)"
        )
    return "its content is neither JPEG, PNG nor DICOM"


def _short(error: BaseException) -> str:
    """Return a library's error message in one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return (said if len(said) <= LONGEST else f"{said[:LONGEST]} ...").rstrip(".")


_DECODERS = {"JPEG": decode_jpeg, "PNG": decode_png, "DICOM": _decode_dicom}
