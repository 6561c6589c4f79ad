import io
import math
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.decode import _DECODERS, BadImage, decode, resize, resized_shape
from bench.errors import DataError
from tests.bench.data.files import FAULTS, FORMS, PADDING


def pillow(path, side):
    """The plain way: open, convert, antialiased resize."""
    with Image.open(path) as file:
        grey = file.convert("L")
    scale = side / min(grey.size)
    return np.asarray(
        grey.resize([max(side, round(length * scale)) for length in grey.size], Image.Resampling.BILINEAR)
    )


def difference(path, side):
    ours, theirs = decode(path, side).astype(int), pillow(path, side).astype(int)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).mean()


@pytest.fixture
def drawn(phantom_root):
    return np.asarray(Image.open(phantom_root / "train/patient00001/study1/view1_frontal.jpg"))


@pytest.mark.parametrize("side", [64, 100, 160, 224, 320])
def test_real_x_rays_look_as_pillow_resizes_them(shared, side):
    paths = sorted((shared / "data/nih-chexpert-small").rglob("*.jpg"))[:20]
    assert max(difference(path, side) for path in paths) < 1.2  # grey levels of 255, on average over an image
    assert np.mean([difference(path, side) for path in paths]) < 0.8


@pytest.mark.parametrize("side", [160, 224, 320])
def test_a_large_jpeg_is_reduced_by_the_decoder_and_looks_the_same(shared, tmp_path, side):
    source = min((shared / "data/nih-chexpert-small").rglob("*.jpg"))
    path = tmp_path / "large.jpg"
    Image.open(source).resize((1256, 1030), Image.Resampling.BICUBIC).save(path, quality=92)
    assert difference(path, side) < 0.8


@pytest.mark.parametrize(("height", "width"), [(320, 390), (390, 320), (1030, 1257), (333, 501), (70, 64)])
def test_the_shorter_side_is_exact_and_the_aspect_kept(tmp_path, height, width):
    path = tmp_path / "image.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)).save(path)
    for side in (32, 224, 320):
        shape = decode(path, side).shape
        assert min(shape) == side
        assert max(shape) == round(max(height, width) * side / min(height, width))


def test_an_unchanged_size_leaves_every_pixel(tmp_path, drawn):
    Image.fromarray(drawn).save(tmp_path / "image.png")
    np.testing.assert_array_equal(decode(tmp_path / "image.png", 320), drawn)


def test_halving_is_the_triangle_filter_but_for_rounding_twice(drawn):
    theirs = np.asarray(Image.fromarray(drawn).resize((195, 160), Image.Resampling.BILINEAR))
    assert np.abs(resize(drawn, (160, 195)).astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("reduction", [1.3, 1.7, 2.5, 5.0])
def test_fine_stripes_fade_and_make_no_coarse_ones(reduction):
    side = round(400 / reduction)
    stripes = (127.5 + 127.5 * np.cos(math.pi * 0.95 * np.arange(400)))[None].repeat(400, 0).astype(np.uint8)
    plain, area = (
        cv2.resize(stripes, (side, side), interpolation=kind).std() for kind in (cv2.INTER_LINEAR, cv2.INTER_AREA)
    )
    assert resize(stripes, (side, side)).std() < min(0.8 * plain, 1.4 * area)


def test_enlarging_is_bilinear(drawn):
    small = drawn[::8, ::8]
    theirs = np.asarray(Image.fromarray(small).resize((98, 80), Image.Resampling.BILINEAR))
    assert np.abs(resize(np.ascontiguousarray(small), (80, 98)).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_picture(tmp_path, drawn, form):
    suffix, write = FORMS[form]
    write(tmp_path / f"image{suffix}", drawn)
    read = decode(tmp_path / f"image{suffix}", 320).astype(int)
    expected = drawn.astype(int)
    if form == "png16":  # shown from percentile to percentile of what lies between the ends of 16 bits
        low, high = np.percentile(expected[(expected > 0) & (expected < 255)], (0.5, 99.5))
        expected = np.rint(np.clip((expected - low) / (high - low), 0, 1) * 255).astype(int)
    if form == "dicom-inverted":
        assert (read[:, :PADDING] == 0).all()
        read, expected = read[:, PADDING:], expected[:, PADDING:]
    assert np.abs(read - expected).mean() < (1.5 if "jpeg" in form else 0.01)
    assert np.abs(read - expected).max() <= (25 if "jpeg" in form else 1)


def test_sixteen_bits_of_colour_keep_more_than_the_upper_eight(tmp_path):
    ramp = np.linspace(1000, 1500, 64 * 64).reshape(64, 64).astype(np.uint16)  # two values of the upper eight bits
    cv2.imwrite(str(tmp_path / "deep.png"), np.stack([ramp] * 3, -1))
    read = decode(tmp_path / "deep.png", 64)
    assert len(np.unique(read)) == 256
    np.testing.assert_allclose(read, np.clip((ramp - 1002.5) * 255 / 495, 0, 255), atol=1)


def test_colour_becomes_luma(tmp_path):
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[:20, :, 0], colours[20:40, :, 1], colours[40:, :, 2] = 200, 200, 200
    Image.fromarray(colours).save(tmp_path / "colour.png")
    read = decode(tmp_path / "colour.png", 64)
    assert [int(read[row, 0]) for row in (0, 30, 60)] == [round(0.299 * 200), round(0.587 * 200), round(0.114 * 200)]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named_with_its_file(tmp_path, drawn, fault):
    path = tmp_path / "bad.jpg"
    Image.fromarray(drawn).save(path)
    decode(path, 64)  # it was well before
    spoil, sentence = FAULTS[fault]
    spoil(path)
    with pytest.raises(BadImage) as caught:
        decode(path, 64)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert sentence in caught.value.reason
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize("form", ["png", "png16", "png-rgba", "dicom"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_anywhere_is_refused(tmp_path, drawn, form, share):
    suffix, write = FORMS[form]
    write(tmp_path / f"whole{suffix}", drawn)
    content = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"torn{suffix}").write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadImage, match="cannot be decoded"):
        decode(tmp_path / f"torn{suffix}", 64)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_jpeg_cut_short_anywhere_is_refused(tmp_path, drawn, share):
    whole = io.BytesIO()
    Image.fromarray(drawn).save(whole, "JPEG")
    (tmp_path / "torn.jpg").write_bytes(whole.getvalue()[: int(share * len(whole.getvalue()))])
    with pytest.raises(BadImage, match="cannot be decoded"):
        decode(tmp_path / "torn.jpg", 64)


def test_a_name_that_promises_nothing_is_read_by_its_content(tmp_path, drawn):
    FORMS["dicom"][1](tmp_path / "1.2.840.10008", drawn)
    assert decode(tmp_path / "1.2.840.10008", 64).shape == resized_shape(320, 390, 64)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"II*\0" + bytes(200), "its content is TIFF, which is not read: write it as PNG"),
        (b"\0\0\0\x18ftypheic" + bytes(200), "its content is HEIF, which is not read: write it as PNG"),
        (b"\x1f\x8b" + bytes(200), "its content is packed (gzip or ZIP): unpack it"),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(200), "looks like DICOM without the preamble"),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100" + bytes(200), "looks like DICOM without the preamble"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(tmp_path, content, sentence):
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(BadImage) as caught:
        decode(tmp_path / "image", 64)
    assert sentence in caught.value.reason


def test_a_decoders_reason_is_told_to_its_end(tmp_path, drawn, monkeypatch):
    def refuse(*_):
        raise ValueError("exceptions were raised by all available plugins:\n  one: no header.\n  two: no end.\n")

    monkeypatch.setitem(_DECODERS, "PNG", refuse)
    Image.fromarray(drawn).save(tmp_path / "image.png")
    with pytest.raises(BadImage) as caught:
        decode(tmp_path / "image.png", 64)
    assert caught.value.reason == (
        "cannot be decoded: exceptions were raised by all available plugins: one: no header. two: no end"
    )


def test_dicom_without_its_packages_says_what_to_install(tmp_path, drawn, monkeypatch):
    FORMS["dicom"][1](tmp_path / "image.dcm", drawn)
    monkeypatch.delitem(sys.modules, "bench.data.dicom", raising=False)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"DICOM files need pydicom.*\[dicom\]"):
        decode(tmp_path / "image.dcm", 64)


def test_a_folder_in_place_of_an_image_is_refused(tmp_path):
    (tmp_path / "image.jpg").mkdir()
    with pytest.raises(BadImage, match=r"image.jpg: cannot be read: Is a directory"):
        decode(tmp_path / "image.jpg", 64)


def test_almost_black_is_black_and_faint_is_not(tmp_path):
    for span, fine in ((2, False), (3, True)):
        grey = np.full((64, 64), 7, np.uint8)
        grey[0, 0] += span
        Image.fromarray(grey).save(tmp_path / f"{span}.png")
        if fine:
            assert decode(tmp_path / f"{span}.png", 64).max() == 10
        else:
            with pytest.raises(BadImage, match="shows nothing: its pixels are 7 to 9"):
                decode(tmp_path / f"{span}.png", 64)
