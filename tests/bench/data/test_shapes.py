"""The generated source task: an image folder of the same bytes each time, with classes that can be told apart."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.generated import shapes
from bench.data.generated.folders import stream
from bench.data.generated.marks import clouds, grid

SPEC = shapes.ShapesSpec(seed=2, train_images=3, valid_images=2, size=48)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "shapes"
    shapes.generate(path, SPEC)
    return path


def test_same_spec_gives_the_same_bytes_of_every_file(root: Path, tmp_path: Path) -> None:
    shapes.generate(tmp_path / "again", SPEC)
    assert digests(tmp_path / "again") == digests(root)


def test_another_seed_gives_other_images(root: Path, tmp_path: Path) -> None:
    shapes.generate(tmp_path / "other", replace(SPEC, seed=3))
    ours, theirs = digests(root), digests(tmp_path / "other")
    assert ours.keys() == theirs.keys()
    assert all(ours[name] != theirs[name] for name in ours)


def test_more_images_leave_the_others_as_they_are(root: Path, tmp_path: Path) -> None:
    shapes.generate(tmp_path / "more", replace(SPEC, train_images=4))
    images = {name: digest for name, digest in digests(root).items() if name.endswith(".jpg")}
    assert images.items() <= digests(tmp_path / "more").items()


def test_both_splits_hold_the_same_classes_and_no_image_twice(root: Path) -> None:
    names = {split: sorted(path.name for path in (root / split).iterdir()) for split in ("train", "valid")}
    assert names["train"] == names["valid"]
    assert len(names["train"]) == len(shapes.MARKS)
    for folder in (root / "train").iterdir():
        assert sorted(path.name for path in folder.iterdir()) == ["0000.jpg", "0001.jpg", "0002.jpg"]
    images = [digest for name, digest in digests(root).items() if name.endswith(".jpg")]
    assert len(set(images)) == len(images) == len(shapes.MARKS) * 5


def test_images_are_grey_of_the_size_asked_for(root: Path) -> None:
    for path in root.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (48, 48))


def test_card_says_how_the_set_was_made(root: Path) -> None:
    card = json.loads((root / "shapes.json").read_text())
    assert shapes.ShapesSpec(**card["spec"]) == SPEC
    assert card["version"] == shapes.VERSION


def test_a_failure_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = shapes.write_image, []

    def fail_at_the_fifth(path: Path, grey: np.ndarray) -> None:
        if len(written) == 4:
            raise OSError("no space left on device")
        real(path, grey)
        written.append(path)

    monkeypatch.setattr(shapes, "write_image", fail_at_the_fifth)
    with pytest.raises(OSError, match="no space"):
        shapes.generate(tmp_path / "set", SPEC)
    assert len(written) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_and_kept(root: Path) -> None:
    before = digests(root)
    with pytest.raises(FileExistsError, match="not empty"):
        shapes.generate(root, SPEC)
    assert digests(root) == before


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"train_images": 0}, {"valid_images": 0}, {"size": 8}])
def test_specs_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(SPEC, **wrong)


@pytest.mark.parametrize("name", shapes.MARKS)
def test_every_mark_lies_within_its_size_and_fades_to_nothing(name: str) -> None:
    x, y = grid(64, 64)
    mark = shapes.MARKS[name](2 * x, 2 * y)
    assert 0.9 < mark.max() <= 1
    assert mark.min() >= 0
    assert mark[np.hypot(x, y) > 0.85].max(initial=0) < 0.1


def test_marks_differ_from_each_other() -> None:
    x, y = grid(64, 64)
    marks = [mark(x / np.float32(0.6), y / np.float32(0.6)) for mark in shapes.MARKS.values()]
    overlap = [np.minimum(a, b).sum() / np.maximum(a, b).sum() for i, a in enumerate(marks) for b in marks[:i]]
    assert max(overlap) < 0.8


def test_clouds_have_the_spread_that_is_promised() -> None:
    fields = np.stack([clouds(64, 80, rng=stream(0, i)) for i in range(50)])
    assert fields.std() == pytest.approx(1.2, abs=0.1)
    assert abs(fields.mean()) < 0.2
