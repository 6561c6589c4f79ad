"""The generated source task: an image folder of the same bytes each time, with classes that can be told apart."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.generated import stream
from bench.data.textures import dataset as textures
from bench.data.textures.drawing import SHAPES, TEXTURES, grid, power_law

SPEC = textures.TexturesSpec(seed=2, classes=12, train_images=3, valid_images=2, size=48)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "textures"
    textures.generate(path, SPEC)
    return path


def test_same_spec_gives_the_same_bytes_of_every_file(root: Path, tmp_path: Path) -> None:
    textures.generate(tmp_path / "again", SPEC)
    assert digests(tmp_path / "again") == digests(root)


def test_another_seed_gives_other_images(root: Path, tmp_path: Path) -> None:
    textures.generate(tmp_path / "other", replace(SPEC, seed=3))
    ours, theirs = digests(root), digests(tmp_path / "other")
    assert ours.keys() == theirs.keys()
    assert all(ours[name] != theirs[name] for name in ours)


def test_more_classes_and_images_leave_the_others_as_they_are(root: Path, tmp_path: Path) -> None:
    textures.generate(tmp_path / "more", replace(SPEC, classes=13, train_images=4))
    images = {name: digest for name, digest in digests(root).items() if name.endswith(".jpg")}
    assert images.items() <= digests(tmp_path / "more").items()


def test_both_splits_hold_the_same_classes_and_no_image_twice(root: Path) -> None:
    names = {split: sorted(path.name for path in (root / split).iterdir()) for split in ("train", "valid")}
    assert names["train"] == names["valid"]
    assert len(names["train"]) == SPEC.classes
    for folder in (root / "train").iterdir():
        assert sorted(path.name for path in folder.iterdir()) == ["0000.jpg", "0001.jpg", "0002.jpg"]
    images = [digest for name, digest in digests(root).items() if name.endswith(".jpg")]
    assert len(set(images)) == len(images) == SPEC.classes * 5


def test_images_are_rgb_of_the_size_asked_for(root: Path) -> None:
    for path in root.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (48, 48))


def test_card_says_how_the_set_was_made(root: Path) -> None:
    card = json.loads((root / "textures.json").read_text())
    assert textures.TexturesSpec(**card["spec"]) == SPEC
    assert card["version"] == textures.VERSION


def test_a_failure_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = textures.write_image, []

    def fail_at_the_fifth(path: Path, colours: np.ndarray) -> None:
        if len(written) == 4:
            raise OSError("no space left on device")
        real(path, colours)
        written.append(path)

    monkeypatch.setattr(textures, "write_image", fail_at_the_fifth)
    with pytest.raises(OSError, match="no space"):
        textures.generate(tmp_path / "set", SPEC)
    assert len(written) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_and_kept(root: Path) -> None:
    before = digests(root)
    with pytest.raises(FileExistsError, match="not empty"):
        textures.generate(root, SPEC)
    assert digests(root) == before


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"classes": 1}, {"classes": 81}, {"train_images": 0}, {"size": 8}])
def test_specs_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(SPEC, **wrong)


def test_classes_are_distinct_and_spread_over_textures_and_shapes() -> None:
    assert len(set(textures.class_pairs(80))) == 80
    pairs = textures.class_pairs(40)
    for names, place in ((TEXTURES, 0), (SHAPES, 1)):
        counts = [sum(pair[place] == name for pair in pairs) for name in names]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("texture", TEXTURES)
def test_every_texture_varies_and_is_finite(texture: str) -> None:
    x, y = grid(64)
    field = TEXTURES[texture](x, y, rng=stream(0, 1))
    assert field.shape == (64, 64)
    assert np.isfinite(field).all()
    assert field.std() > 0.05
    assert not np.array_equal(field, TEXTURES[texture](x, y, rng=stream(0, 2)))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_an_inside_that_fits_its_size(shape: str) -> None:
    x, y = grid(128)
    inside = SHAPES[shape](x / np.float32(0.5), y / np.float32(0.5)) > 0
    assert 0.02 < inside.mean() < 0.25
    assert not inside[np.hypot(x, y) > 0.54].any()


def test_shapes_differ_from_each_other() -> None:
    x, y = grid(64)
    masks = [shape(x / np.float32(0.6), y / np.float32(0.6)) > 0 for shape in SHAPES.values()]
    overlap = [(a & b).sum() / (a | b).sum() for i, a in enumerate(masks) for b in masks[:i]]
    assert max(overlap) < 0.8


def test_the_object_brings_another_brightness_than_the_ground() -> None:
    differences = []
    for i in range(30):
        rng = stream(0, 7, i)
        mask = textures.object_mask("disc", *grid(48), rng=rng)
        assert mask.min() == 0
        assert mask.max() == pytest.approx(1)
        differences.append(mask.mean())
    assert np.std(differences) > 0.02  # its size varies


@pytest.mark.parametrize("alpha", [0.8, 1.5])
def test_power_law_noise_has_the_exponent_asked_for(alpha: float) -> None:
    amplitude = np.mean([np.abs(np.fft.fft2(power_law(128, alpha, 1, 0, rng=stream(0, i)))) for i in range(20)], axis=0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    band = (frequency > 0.03) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[band]), np.log(amplitude[band]), 1)[0]
    assert slope == pytest.approx(-alpha, abs=0.1)
