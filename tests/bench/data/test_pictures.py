"""JPEG and PNG files as cameras, scanners and programs for print write them."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.data.decode import BadImage, decode_content
from bench.data.grey import SAMPLED, TAILS, contrast, stretch
from bench.data.pictures import decode_jpeg, decode_png

HEIGHT, WIDTH = 64, 96
ORIENTATION = 0x0112
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
NAME = Path("image")
GREY = (30 + ROWS + COLUMNS + 60 * (ROWS < 20) * (COLUMNS < 30)).astype(np.uint8)
"""No turn and no reflection of it looks the same."""


def content(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def raw_png(values, *, bits, colour=0, extra=b"", interlaced=False):
    """A PNG file of the values [h, w] or [h, w, channels], written by hand."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def rows(part):
        if bits >= 8:
            packed = [row.astype(f">u{bits // 8}").tobytes() for row in part]
        else:
            wide = np.unpackbits(part.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
            packed = [np.packbits(row.ravel()).tobytes() for row in wide]
        return b"".join(b"\0" + row for row in packed)

    adam7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [values[top::down, left::right] for top, left, down, right in adam7] if interlaced else [values]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour, 0, 0, int(interlaced))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(map(rows, parts))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_turned_upright_as_pillow_does(kind, orientation):
    file = content(Image.fromarray(GREY), kind, exif=exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("L"))
    grey, size = (decode_jpeg if kind == "JPEG" else decode_png)(file, 64)
    np.testing.assert_array_equal(grey, expected)
    assert size == expected.shape
    assert decode_content(file, NAME, 48).shape == ((72, 48) if 5 <= orientation <= 8 else (48, 72))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_coloured_png_is_turned_once(mode):
    file = content(Image.fromarray(GREY).convert(mode), "PNG", exif=exif(6))
    np.testing.assert_array_equal(decode_png(file, 64)[0], GREY.T[:, ::-1])


def test_sixteen_bits_of_colour_are_turned_once():
    deep = np.stack([GREY.astype(np.uint16) * 200] * 3, -1)
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", ORIENTATION, 3, 1, 6, 0, 0)
    chunk = struct.pack(">I", len(tiff)) + b"eXIf" + tiff + struct.pack(">I", zlib.crc32(b"eXIf" + tiff))
    grey, size = decode_png(raw_png(deep, bits=16, colour=2, extra=chunk), 64)
    np.testing.assert_array_equal(grey, contrast(deep[..., 0].T[:, ::-1], (0, 65535)))
    assert size == (WIDTH, HEIGHT)


def test_a_reduced_jpeg_is_turned_too():
    large = cv2.resize(GREY, (8 * WIDTH, 8 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    file = content(Image.fromarray(large), "JPEG", exif=exif(8), quality=95)
    assert decode_jpeg(file, 64)[0].shape == (2 * WIDTH, 2 * HEIGHT)  # made at a quarter
    upright = decode_content(content(Image.fromarray(large.T[::-1]), "JPEG", quality=95), NAME, 64)
    assert np.abs(decode_content(file, NAME, 64).astype(int) - upright).max() <= 2


@pytest.mark.parametrize(
    "segment",
    [b"Exif\0\0no tags", b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01", b"http://ns.adobe.com/xap/"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's, here
def test_a_segment_that_says_nothing_turns_nothing(segment):
    file = content(Image.fromarray(GREY), "JPEG", exif=segment)
    np.testing.assert_array_equal(decode_jpeg(file, 64)[0], np.asarray(Image.open(io.BytesIO(file))))


def test_an_orientation_behind_other_segments_is_found():
    plain, file = (content(Image.fromarray(GREY), "JPEG", **more) for more in ({}, {"exif": exif(3)}))
    start = file.index(b"\xff\xe1")
    segment = file[start : start + 2 + int.from_bytes(file[start + 2 : start + 4])]
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    late = plain[:20] + 3 * comment + segment + plain[20:]
    np.testing.assert_array_equal(decode_jpeg(late, 64)[0], decode_jpeg(plain, 64)[0][::-1, ::-1])


@pytest.mark.parametrize("adobe", [True, False])
def test_colours_for_print_become_the_grey_that_pillow_makes_of_them(adobe):
    colours = np.stack([GREY, 255 - GREY, GREY // 2], -1)
    file = content(Image.fromarray(colours).convert("CMYK"), "JPEG", quality=95)
    if not adobe:
        start = file.index(b"\xff\xee")
        file = file[:start] + file[start + 16 :]
    expected = np.asarray(Image.open(io.BytesIO(file)).convert("L"))
    np.testing.assert_array_equal(decode_jpeg(file, 64)[0], expected)


def test_red_green_and_blue_in_a_jpeg_are_taken_as_such():
    colours = np.stack([GREY, 255 - GREY, GREY // 2], -1)
    file = content(Image.fromarray(colours), "JPEG", quality=98, keep_rgb=True)
    np.testing.assert_allclose(decode_jpeg(file, 64)[0], colours @ [0.299, 0.587, 0.114], atol=3)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_span_the_whole_range(bits):
    few = GREY >> (8 - bits)
    np.testing.assert_array_equal(decode_png(raw_png(few, bits=bits), 64)[0], few * (255 // (2**bits - 1)))


@pytest.mark.parametrize("bits", [8, 16])
def test_an_interlaced_png_is_the_same_picture(bits):
    values = GREY.astype(np.uint16) * (1 if bits == 8 else 200)
    plain, interlaced = (raw_png(values, bits=bits, interlaced=way) for way in (False, True))
    np.testing.assert_array_equal(decode_png(interlaced, 64)[0], decode_png(plain, 64)[0])


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_of_sixteen_bits_is_ignored(channels):
    deep = GREY.astype(np.uint16) * 20 + 30000
    layers = np.stack([deep] * (channels - 1) + [COLUMNS.astype(np.uint16) * 600], -1)
    grey, _ = decode_png(raw_png(layers, bits=16, colour={2: 4, 4: 6}[channels]), 64)
    np.testing.assert_array_equal(grey, contrast(deep, (0, 65535)))


def test_an_animation_is_refused():
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    file = content(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(BadImage, match="it holds 2 frames, and one is expected"):
        decode_content(file, NAME, 64)


@pytest.mark.parametrize("side", [2, 20])
@pytest.mark.parametrize("border", [0, 16])
def test_neither_a_marker_nor_a_border_changes_how_the_tissue_is_shown(side, border):
    """A marker at 65535, above tissue of 12 bits, left the tissue 0 to 8."""
    deep = (GREY.astype(np.uint16) - GREY.min()) * 10 + 100
    plain = contrast(deep, (0, 65535))
    marked = deep.copy()
    marked[40 : 40 + side, 70 : 70 + side] = 65535
    marked[:, :border] = 0
    grey, _ = decode_png(raw_png(marked, bits=16), 64)
    assert (grey[40 : 40 + side, 70 : 70 + side] == 255).all()
    assert (grey[:, :border] == 0).all()
    tissue = (marked > 0) & (marked < 65535)
    assert np.abs(grey[tissue].astype(int) - plain[tissue]).max() < 30
    assert np.ptp(grey[tissue]) == 255


def test_two_values_of_sixteen_bits_are_black_and_white():
    np.testing.assert_array_equal(decode_png(raw_png((GREY > 100) * 65535, bits=16), 64)[0], (GREY > 100) * 255)
    np.testing.assert_array_equal(decode_png(raw_png((GREY > 100) * 7, bits=16), 64)[0], (GREY > 100) * 255)


def test_the_percentiles_of_a_large_image_are_taken_of_a_part_and_come_out_the_same():
    rng = np.random.default_rng(0)
    values = rng.normal(20000, 3000, (1500, 2000)).clip(0, 65535).astype(np.uint16)
    low, high = np.percentile(values, TAILS)
    assert values.size > 4 * SAMPLED
    assert np.abs(contrast(values, (0, 65535)).astype(int) - stretch(values, low, high)).max() <= 1
