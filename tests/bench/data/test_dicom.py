import contextlib
import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space, get_decoder
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
from bench.data.grey import contrast
from bench.errors import DataError
from tests.bench.data.files import DICOM_BLACK, DICOM_STEP, PADDING, write_dicom

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


def stores(header, stored, *, bits, signed=False):
    """Pixels of one sample, of so many bits, in the bytes of their type."""
    header.BitsAllocated, header.BitsStored, header.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    header.PixelRepresentation, header.PixelData = int(signed), stored.tobytes()


@pytest.mark.parametrize("kept", [np.uint8, np.uint16])
@pytest.mark.parametrize("slope", [None, 1, 3, -1])
def test_eight_bits_stay_as_they_are_however_stored_and_rescaled(written, kept, slope):
    grey = (60 + GREY // 2).astype(np.uint8)

    def eight(header):
        stores(header, grey.astype(kept), bits=8)
        if slope is not None:
            header.RescaleSlope, header.RescaleIntercept = slope, 0

    expected = 255 - grey if slope == -1 else grey
    np.testing.assert_array_equal(read_grey(written(eight, window=False)), expected)


@pytest.mark.parametrize("kept", [np.int8, np.int16])
def test_eight_signed_bits_begin_at_their_smallest_value(written, kept):
    signed = (GREY.astype(int) - 128).astype(kept)
    read = read_grey(written(lambda header: stores(header, signed, bits=8, signed=True), window=False))
    np.testing.assert_array_equal(read, GREY)


@pytest.mark.parametrize("bits", [1, 4, 6])
def test_fewer_bits_span_the_whole_range(written, bits):
    few = GREY >> (8 - bits)
    packed = np.frombuffer(np.packbits(few, bitorder="little").tobytes(), np.uint8) if bits == 1 else few

    def store(header):
        stores(header, packed, bits=bits)
        header.BitsAllocated = 1 if bits == 1 else 8

    expected = np.rint(few.astype(int) * 255 / (2**bits - 1))
    np.testing.assert_array_equal(read_grey(written(store, window=False)), expected)


def test_what_lies_above_the_bits_stored_is_no_part_of_a_value(written):
    """An overlay of old files, in the bits that no value needs."""
    stored = (1000 + 8 * GREY.astype(np.uint16)) | 0x8000
    plain = read_grey(written(lambda header: stores(header, stored & 0xFFF, bits=12), window=False))
    np.testing.assert_array_equal(
        read_grey(written(lambda header: stores(header, stored, bits=12), window=False)), plain
    )


def test_thirty_two_bits_keep_fine_steps_far_from_zero(written):
    stored = (4_000_000_000 + GREY.astype(np.uint32)).astype(np.uint32)
    read = read_grey(written(lambda header: stores(header, stored, bits=32), window=False))
    np.testing.assert_allclose(read, np.clip((GREY - 1.0) * 255 / 253, 0, 255), atol=2)


def test_a_burnt_in_marker_without_a_window_leaves_the_tissue_as_it_was(written):
    def mark(header):
        stored = header.pixel_array.copy()
        stored[:10, :10] = 4095
        header.PixelData = stored.tobytes()

    plain, marked = read_grey(written(window=False)), read_grey(written(mark, window=False))
    np.testing.assert_array_equal(marked[10:], plain[10:])
    assert (marked[:10, :10] == 255).all()


def test_shifted_values_are_refused(written):
    def shift(header):
        header.HighBit, header.PixelData = 15, (header.pixel_array << 4).astype(np.uint16).tobytes()

    content = written(shift)
    with pytest.raises(ValueError, match="HighBit is 15 where 12 bits are stored, and 11 is expected"):
        read_grey(content)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_palettes_colours_become_luma(written, depth):
    shown = np.random.default_rng(1).permutation(256)[GREY]  # indices say nothing of brightness

    def palette(header):
        stores(header, GREY, bits=8)
        header.PhotometricInterpretation = "PALETTE COLOR"
        colours = np.zeros((3, 256), np.uint8 if depth == 8 else np.uint16)
        colours[0, GREY], colours[1, GREY] = shown * (1 if depth == 8 else 257), 0
        for name, entries in zip(("Red", "Green", "Blue"), colours, strict=True):
            header.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, depth])
            header.add_new(f"{name}PaletteColorLookupTableData", "OW", entries.tobytes())

    np.testing.assert_allclose(read_grey(written(palette, window=False)), 0.299 * shown, atol=0.51)


def test_a_large_palette_of_eight_bits_is_refused(written):
    def palette(header):
        header.PhotometricInterpretation = "PALETTE COLOR"
        for name in ("Red", "Green", "Blue"):
            header.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [4096, 0, 8])
            header.add_new(f"{name}PaletteColorLookupTableData", "OW", bytes(4096))

    content = written(palette, window=False)
    with pytest.raises(ValueError, match="its palette has 4096 colours of eight bits"):
        read_grey(content)


@pytest.mark.parametrize("depth", [8, 12, 16])
def test_a_modality_table_is_looked_up_at_every_depth(written, depth):
    top = 2**depth - 1

    def table(header):
        item = Dataset()
        item.LUTDescriptor = [4096, 0, depth]
        item.add_new("LUTData", "US", [round(top * entry / 4095) for entry in range(4096)])
        header.ModalityLUTSequence = [item]
        centre, width = header.WindowCenter, header.WindowWidth
        header.WindowCenter, header.WindowWidth = centre * top / 4095, width * top / 4095

    np.testing.assert_allclose(
        read_grey(written(table)).astype(int), GREY, atol=2 + 255 * 4095 / (DICOM_STEP * 255 * top) / 2
    )


@pytest.mark.parametrize("slope", [1, 100])
def test_what_lies_beyond_a_table_is_its_last_entry(written, slope):
    """Of 16 bits and more, too, where pydicom begins anew at 65,536."""

    def table(header):
        item = Dataset()
        item.LUTDescriptor = [256, 1000, 8]
        item.add_new("LUTData", "US", list(range(256)))
        header.VOILUTSequence = [item]
        stores(header, (1000 + 2 * GREY.astype(np.uint16)), bits=16)
        header.RescaleSlope, header.RescaleIntercept = slope, 0

    stored = (1000 + 2 * GREY.astype(int)) * slope
    np.testing.assert_array_equal(read_grey(written(table)), np.clip(stored - 1000, 0, 255))


def test_what_lies_beyond_a_palette_is_its_last_colour(written):
    def palette(header):
        stores(header, GREY.astype(np.uint16) * 10, bits=16)
        header.PhotometricInterpretation = "PALETTE COLOR"
        for name in ("Red", "Green", "Blue"):
            header.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 8])
            header.add_new(f"{name}PaletteColorLookupTableData", "OW", bytes(range(256)))

    read = read_grey(written(palette, window=False))
    np.testing.assert_array_equal(read, np.clip(GREY.astype(int) * 10, 0, 255))


def test_a_table_without_its_data_gives_way_to_the_window(written):
    def hollow(header):
        header.VOILUTSequence = [Dataset()]

    np.testing.assert_allclose(read_grey(written(hollow)).astype(int), GREY, atol=1)


def test_an_empty_window_function_is_linear(written):
    def empty(header):
        header.VOILUTFunction = ""

    np.testing.assert_allclose(read_grey(written(empty)).astype(int), GREY, atol=1)


def _enhanced(header):
    group = Dataset()
    group.FrameVOILUTSequence = [Dataset()]
    header.SharedFunctionalGroupsSequence = [group]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda header: setattr(header, "RescaleSlope", None), "RescaleSlope is empty"),
        (lambda header: setattr(header, "RescaleIntercept", 5), "it has RescaleIntercept and not RescaleSlope"),
        (lambda header: setattr(header, "PhotometricInterpretation", "HSV"), "Photometric Interpretation is HSV"),
        (lambda header: header.add_new("FloatPixelData", "OF", bytes(8)), "its pixels are floating-point numbers"),
        (lambda header: setattr(header, "PixelData", 2 * header.PixelData), "one frame of MONOCHROME2 is"),
        (_enhanced, "its rescale or window is in functional groups"),
    ],
)
def test_what_would_give_other_pixels_is_refused_in_a_sentence(written, change, sentence):
    content = written(change)
    with pytest.raises(ValueError, match=sentence):
        read_grey(content)


def test_no_transfer_syntax_is_refused_in_a_sentence(written):
    content = written()
    syntax = content.index(b"\x02\x00\x10\x00UI")
    length = 8 + int.from_bytes(content[syntax + 6 : syntax + 8], "little")
    with pytest.raises(ValueError, match=r"it has no transfer syntax \(0002,0010\)"):
        read_grey(content[:syntax] + content[syntax + length :])


@pytest.mark.parametrize("plane", [0, 1])
@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_colours_in_every_order_become_luma(written, plane, kind):
    colours = np.stack([GREY, 255 - GREY, GREY // 3], -1)
    stored = colours if kind == "RGB" else convert_color_space(colours, "RGB", "YBR_FULL")

    def colour(header):
        stores(header, np.moveaxis(stored, -1, 0) if plane else stored, bits=8)
        header.PhotometricInterpretation, header.SamplesPerPixel, header.PlanarConfiguration = kind, 3, plane

    expected = colours @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(read_grey(written(colour, window=False)), expected, atol=0.51 if kind == "RGB" else 2)


def test_sixteen_bits_of_colour_are_shown_over_their_whole_range(written):
    def colour(header):
        stores(header, np.stack([GREY.astype(np.uint16) * 257] * 3, -1), bits=16)
        header.PhotometricInterpretation, header.SamplesPerPixel, header.PlanarConfiguration = "RGB", 3, 0

    np.testing.assert_array_equal(read_grey(written(colour, window=False)), GREY)


def test_signed_padding_is_black_and_takes_no_part(written):
    signed = GREY.astype(np.int16) * 10 - 1000
    signed[:, :10] = -2000

    def pad(header):
        stores(header, signed, bits=16, signed=True)
        header.add_new("PixelPaddingValue", "SS", -2000)

    read = read_grey(written(pad, window=False))
    assert (read[:, :10] == 0).all()
    np.testing.assert_array_equal(read[:, 10:], contrast(signed[:, 10:], (-32768, 32767)))


def test_whatever_is_broken_in_a_file_is_a_bad_file(written):
    """One broken file must not end the decoding of a set: no error but ValueError leaves the reader."""
    content, rng = bytearray(written(scaled=True, padding=True)), np.random.default_rng(0)
    header = content.index(bytes(pydicom.tag.Tag("PixelData").to_bytes(4)[i] for i in (1, 0, 3, 2)))
    for _ in range(300):
        spoilt = bytearray(content)
        for place in rng.integers(132, header, 3):
            spoilt[place] = rng.integers(256)
        with contextlib.suppress(ValueError):
            read_grey(bytes(spoilt))


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
