"""Writes the images of a generated set in the other forms that radiographs come in, and spoils some as disks do.

The grey values stay what they were, so that what is read from any form can be compared with them.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

Grey = npt.NDArray[np.uint8]

DICOM_BLACK = 1000
DICOM_STEP = 8
"""Stored value of grey 0 in a DICOM file and of each grey level more: 12 bits, far from filling them."""
PADDING = 6
"""px of padding at the left edge of a DICOM file."""
PADDING_VALUE = 0


def _pillow(kind: str, mode: str) -> Callable[[Path, Grey], None]:
    def write(path: Path, grey: Grey) -> None:
        Image.fromarray(grey).convert(mode).save(path, kind, quality=95)

    return write


def _png16(path: Path, grey: Grey) -> None:
    Image.fromarray(grey.astype(np.uint16) * 257).save(path, "PNG")


def write_dicom(
    path: Path, grey: Grey, *, inverted: bool = False, window: bool = True, padding: bool = False, scaled: bool = False
) -> None:
    """Writes a DICOM file of 12 bits whose window shows exactly the grey values [height, width].

    Args:
        path: of the file.
        grey: what a viewer shall show.
        inverted: stored as MONOCHROME1, the brightest value black.
        window: whether it says how it is to be shown.
        padding: whether PADDING columns at the left are padding.
        scaled: stored at half the values, with a rescale slope of 2.
    """
    stored = (DICOM_BLACK + DICOM_STEP * (255 - grey.astype(int) if inverted else grey.astype(int))).astype(np.uint16)
    header = _header(stored.shape, "MONOCHROME1" if inverted else "MONOCHROME2")
    if window:  # linear between the stored values of grey 0 and 255
        header.VOILUTFunction = "LINEAR_EXACT"
        header.WindowCenter, header.WindowWidth = DICOM_BLACK + DICOM_STEP * 255 / 2, DICOM_STEP * 255
    if scaled:
        stored //= 2
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 2, 0, "US"
    if padding:
        stored[:, :PADDING] = PADDING_VALUE
        header.PixelPaddingValue = PADDING_VALUE
    header.PixelData = stored.tobytes()
    header.save_as(path, enforce_file_format=True)


def _header(shape: tuple[int, ...], photometric: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    header = FileDataset(io.BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    header.Modality, header.PhotometricInterpretation = "DX", photometric
    header.Rows, header.Columns = shape
    header.SamplesPerPixel, header.PixelRepresentation = 1, 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    return header


FORMS: dict[str, tuple[str, Callable[[Path, Grey], None]]] = {
    "jpeg": (".jpg", _pillow("JPEG", "L")),
    "jpeg-rgb": (".jpg", _pillow("JPEG", "RGB")),
    "png": (".png", _pillow("PNG", "L")),
    "png-rgb": (".png", _pillow("PNG", "RGB")),
    "png-rgba": (".png", _pillow("PNG", "RGBA")),
    "png16": (".png", _png16),
    "dicom": (".dcm", write_dicom),
    "dicom-inverted": (".dcm", lambda path, grey: write_dicom(path, grey, inverted=True, padding=True)),
}
"""Suffix of the file name, and what writes the file."""


def rewrite(root: Path, form: str) -> None:
    """Writes every image of a set in CheXpert's layout in another form, and its new name into the CSV files."""
    suffix, write = FORMS[form]
    for path in sorted(root.rglob("*.jpg")):
        grey = np.asarray(Image.open(path).convert("L"))
        path.unlink()
        write(path.with_suffix(suffix), grey)
    for csv in (root / "train.csv", root / "valid.csv"):
        table = pd.read_csv(csv)
        table["Path"] = table["Path"].str.removesuffix(".jpg") + suffix
        table.to_csv(csv, index=False, lineterminator="\n")


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _jpeg_of(height: int, width: int, *, drawn: bool = True) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        grey = np.add.outer(np.arange(height), np.arange(width)) % 256 * int(drawn)
        Image.fromarray(grey.astype(np.uint8)).save(path, "JPEG")

    return spoil


def _as_png(path: Path) -> None:
    grey = Image.open(path).copy()
    grey.save(path, "PNG")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "no such image"),
    "truncated": (_truncate, "cannot be decoded: Premature end of JPEG file"),
    "empty": (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
    "text": (lambda path: path.write_text("<html>404"), "its content is neither JPEG, PNG nor DICOM"),
    "misnamed": (_as_png, "is named as JPEG, but its content is PNG"),
    "icon": (_jpeg_of(16, 16), "wrong size, 16 x 16 px"),
    "strip": (_jpeg_of(64, 400), "wrong size, 64 x 400 px"),
    "black": (_jpeg_of(320, 390, drawn=False), "shows nothing: its pixels are 0 to 0"),
}
"""What spoils a JPEG file, and what must then be said of it."""
