"""Every file that pydicom brings is read as pydicom's own functions read it, or refused with the reason."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from bench.data.decode import BadImage, decode_content
from bench.data.dicom import read_grey

ROOT = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of files that are odd on purpose

LUMA = np.array([0.299, 0.587, 0.114])
REFUSED = {
    "JPEG-lossy.dcm": "12-bit precision",  # the last plugin's reason
    "JPEG2000-embedded-sequence-delimiter.dcm": "pillow:",
    "MR_truncated.dcm": "less than expected (8130 vs 8192 bytes)",
    "badVR.dcm": "it holds 1A frames, and one is expected",
    "meta_missing_tsyntax.dcm": "it has no transfer syntax (0002,0010)",
    "nested_priv_SQ.dcm": "Missing required element: (0028,0100) 'Bits Allocated'",
    "zipMR.gz": "its content is packed (gzip or ZIP): unpack it",
    "ExplVR_BigEndNoMeta.dcm": "looks like DICOM without the preamble",
    "ExplVR_LitEndNoMeta.dcm": "looks like DICOM without the preamble",
    "rtstruct.dcm": "looks like DICOM without the preamble",
}
"""What cannot be read, beside files without a picture and with several frames; no_meta.dcm lacks its first byte."""


def expected(header):
    """[h, w] float64 of 0 to 255, by pydicom."""
    stored = header.pixel_array
    if header.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
    if stored.ndim == 3:
        return stored[..., :3] @ LUMA * 255 / np.iinfo(stored.dtype).max
    smallest = -(2 ** (header.BitsStored - 1)) if header.PixelRepresentation else 0
    ends = np.array([smallest, smallest + 2**header.BitsStored - 1])
    low, high = apply_modality_lut(ends, header)  # what windows of pydicom fill
    values = apply_voi_lut(apply_modality_lut(stored, header), header)
    padding = stored == header.get("PixelPaddingValue", np.nan)
    if "WindowWidth" not in header and header.BitsStored > 8:
        low, high = np.percentile(values[(values > low) & (values < high) & ~padding], (0.5, 99.5))
    grey = np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255
    if header.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    return np.where(padding, 0, grey)


def reason(name, content):
    """What must be said of a file, None where it must be read."""
    if Path(name).name in REFUSED:
        return REFUSED[Path(name).name]
    if content[128:132] != b"DICM":
        return "its content is neither JPEG, PNG nor DICOM"
    header = pydicom.dcmread(ROOT / name)
    if "PixelData" not in header:
        return "no pixel data to decode"
    frames = header.get("NumberOfFrames", 1)
    return f"it holds {frames} frames, and one is expected" if frames > 1 else None


@pytest.mark.parametrize("name", FILES)
def test_pydicoms_own_files_are_read_as_pydicom_reads_them_or_refused(name):
    content = (ROOT / name).read_bytes()
    sentence = reason(name, content)
    if sentence is None:
        np.testing.assert_allclose(read_grey(content), expected(pydicom.dcmread(ROOT / name)), atol=1.01)
    else:
        with pytest.raises(BadImage) as caught:
            decode_content(content, Path("image"), 64)
        assert sentence in caught.value.reason


def test_most_of_them_are_read():
    read = [name for name in FILES if reason(name, (ROOT / name).read_bytes()) is None]
    assert len(read) >= 60
    assert {"examples_palette.dcm", "SC_ybr_full_422_uncompressed.dcm", "liver_1frame.dcm", "image_dfl.dcm"} <= set(
        read
    )
