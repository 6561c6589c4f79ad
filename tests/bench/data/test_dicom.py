import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from bench.data.dicom import read_grey
from bench.data.phantom.files import DICOM_BLACK, DICOM_STEP, PADDING, write_dicom
from bench.errors import DataError

COMPRESSED = (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    RLELossless,
)
"""What archives send radiographs in; VinDr-CXR among others is JPEG 2000, and most archives keep JPEG Lossless."""

GREY = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)


@pytest.fixture
def written(tmp_path):
    def make(change=lambda _: None, grey=GREY, **options):
        path = tmp_path / "image.dcm"
        write_dicom(path, grey, **options)
        header = pydicom.dcmread(path)
        change(header)
        content = io.BytesIO()
        header.save_as(content, enforce_file_format=True)
        return content.getvalue()

    return make


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_the_window_shows_the_grey_values_whatever_is_stored(written, inverted, scaled):
    np.testing.assert_allclose(read_grey(written(inverted=inverted, scaled=scaled)).astype(int), GREY, atol=1)


def test_without_a_window_the_images_own_range_is_shown(written):
    grey = (100 + GREY // 4).astype(np.uint8)
    expected = np.rint((grey - 100.0) * 255 / 63)
    np.testing.assert_allclose(read_grey(written(grey=grey, window=False)), expected, atol=1)
    np.testing.assert_allclose(read_grey(written(grey=grey, window=False, inverted=True)), expected, atol=1)


@pytest.mark.parametrize("inverted", [False, True])
def test_padding_is_black_and_takes_no_part_in_the_range(written, inverted):
    grey = (100 + GREY // 4).astype(np.uint8)
    read = read_grey(written(grey=grey, window=False, inverted=inverted, padding=True))
    assert (read[:, :PADDING] == 0).all()
    picture = grey[:, PADDING:].astype(float)
    expected = np.rint((picture - picture.min()) * 255 / np.ptp(picture))
    np.testing.assert_allclose(read[:, PADDING:], expected, atol=1)


def test_a_range_of_padding_is_left_out_whole(written):
    def pad(header):
        stored = header.pixel_array.copy()
        stored[:, :10], stored[:, 10:20] = 3, 5
        header.PixelData = stored.tobytes()
        header.add_new("PixelPaddingValue", "US", 5)
        header.add_new("PixelPaddingRangeLimit", "US", 2)

    read = read_grey(written(pad, window=False))
    assert (read[:, :20] == 0).all()
    assert read[:, 20:].max() == 255


def test_all_padding_is_refused(written):
    def pad(header):
        header.PixelData = bytes(len(header.PixelData))
        header.add_new("PixelPaddingValue", "US", 0)

    content = written(pad)
    with pytest.raises(ValueError, match="every pixel is padding"):
        read_grey(content)


def test_a_narrow_window_cuts_off_what_lies_outside(written):
    def narrow(header):
        header.WindowCenter, header.WindowWidth = DICOM_BLACK + DICOM_STEP * 100, DICOM_STEP * 50

    expected = np.clip(np.rint((GREY - 75.0) * 255 / 50), 0, 255)
    np.testing.assert_allclose(read_grey(written(narrow)), expected, atol=1)


def test_of_several_windows_the_first_is_used(written):
    def several(header):
        header.WindowCenter = [header.WindowCenter, 5]
        header.WindowWidth = [header.WindowWidth, 9]

    np.testing.assert_allclose(read_grey(written(several)).astype(int), GREY, atol=1)


def test_a_sigmoid_window_is_a_sigmoid(written):
    def sigmoid(header):
        header.VOILUTFunction = "SIGMOID"

    stored = DICOM_BLACK + DICOM_STEP * GREY.astype(float)
    centre, width = DICOM_BLACK + DICOM_STEP * 127.5, DICOM_STEP * 255
    expected = 255 / (1 + np.exp(-4 * (stored - centre) / width))
    np.testing.assert_allclose(read_grey(written(sigmoid)), np.rint(expected), atol=1)


@pytest.mark.parametrize("depth", [8, 12])
def test_a_table_is_looked_up_at_every_depth(written, depth):
    top = 2**depth - 1

    def table(header):
        item = Dataset()
        item.LUTDescriptor = [4096, 0, depth]
        item.add_new("LUTData", "US", [round(top * (entry / 4095) ** 2) for entry in range(4096)])
        header.VOILUTSequence = [item]

    stored = DICOM_BLACK + DICOM_STEP * GREY.astype(float)
    np.testing.assert_allclose(read_grey(written(table)), np.rint(255 * (stored / 4095) ** 2), atol=1)


def test_a_negative_slope_turns_the_picture(written):
    def negative(header):
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = -1, 4095, "US"
        header.WindowCenter = 4095 - header.WindowCenter

    np.testing.assert_allclose(read_grey(written(negative)).astype(int), 255 - GREY.astype(int), atol=1)


def test_eight_bits_without_a_window_stay_as_they_are(written):
    grey = (100 + GREY // 4).astype(np.uint8)

    def eight(header):
        header.BitsAllocated = header.BitsStored = 8
        header.HighBit = 7
        header.PixelData = grey.tobytes()

    np.testing.assert_array_equal(read_grey(written(eight, window=False)), grey)


def test_colour_becomes_luma(written):
    def colour(header):
        header.PhotometricInterpretation, header.SamplesPerPixel, header.PlanarConfiguration = "RGB", 3, 0
        header.BitsAllocated = header.BitsStored = 8
        header.HighBit = 7
        header.PixelData = np.stack([GREY, 0 * GREY, 0 * GREY], -1).tobytes()

    np.testing.assert_allclose(read_grey(written(colour, window=False)), np.rint(0.299 * GREY), atol=1)


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.name)
def test_the_installed_packages_decompress_every_usual_form(syntax):
    decoder = get_decoder(syntax)
    assert decoder.is_available, decoder.missing_dependencies


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless], ids=lambda syntax: syntax.name)
def test_compressed_files_are_read(written, syntax):
    def compress(header):
        header.compress(syntax)

    np.testing.assert_allclose(read_grey(written(compress)).astype(int), GREY, atol=1)


def test_a_form_that_nothing_installed_decompresses_is_no_fault_of_the_file(written, monkeypatch):
    content = written(lambda header: header.compress(JPEG2000Lossless))
    monkeypatch.setattr(get_decoder(JPEG2000Lossless), "_available", {})  # as where the plugins are not installed
    with pytest.raises(DataError, match=r"DICOM files in JPEG 2000 .* not installed: pip install -e '.\[dicom\]'"):
        read_grey(content)


def test_a_video_is_refused(written):
    def film(header):
        header.file_meta.TransferSyntaxUID, header.PixelData = MPEG2MPML, encapsulate([header.PixelData])

    content = written(film)
    with pytest.raises(ValueError, match=MPEG2MPML.name):
        read_grey(content)


def test_several_frames_are_refused(written):
    def frames(header):
        header.NumberOfFrames = 2
        header.PixelData = header.PixelData * 2

    content = written(frames)
    with pytest.raises(ValueError, match="it holds 2 frames"):
        read_grey(content)


@pytest.mark.parametrize("words", ["Pixel Data", "Rows", "Bits Allocated", "Photometric Interpretation"])
def test_a_missing_element_is_refused(written, words):
    content = written(lambda header: delattr(header, words.replace(" ", "")))
    with pytest.raises(ValueError, match=words):
        read_grey(content)
