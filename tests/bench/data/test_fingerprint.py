import numpy as np
import pandas as pd
import pytest

from bench.data.fingerprint import fingerprint, image_names
from bench.errors import DataError

PINNED = "f8d906d66d1ad97d"


@pytest.fixture
def root(tmp_path):
    for number in range(40):
        (tmp_path / f"a/p{number:02d}").mkdir(parents=True)
        (tmp_path / f"a/p{number:02d}/1.jpg").write_bytes(f"image {number}".encode())
    return tmp_path


@pytest.fixture
def frame():
    patients = [f"p{number:02d}" for number in range(40)]
    return pd.DataFrame(
        {
            "path": [f"a/{patient}/1.jpg" for patient in patients],
            "patient": patients,
            "study": [f"{patient}/s" for patient in patients],
            "view": ["frontal", "lateral"] * 20,
            "csv": "train.csv",
            "row": range(2, 42),
            "edema": np.resize([1.0, 0.0, -1.0, np.nan], 40),
        }
    )


def digits(root, frame, strict=True, name="train"):
    return fingerprint({name: (root, frame)}, ("edema",), strict=strict)


def test_the_digits_are_pinned(root, frame):
    """A change here makes every finished cell another one: raise IDENTITY_VERSION and say so."""
    assert digits(root, frame) == PINNED


def test_order_place_and_row_numbers_are_no_content(root, frame, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "name"
    root.rename(other)
    shuffled = frame.sample(frac=1, random_state=0).assign(row=range(100, 140))
    assert digits(other, shuffled) == PINNED
    assert digits(other, frame.assign(edema=frame["edema"].replace(0.0, -0.0))) == PINNED


def test_the_folders_above_an_image_are_no_content(root, frame):
    (root / "a").rename(root / "batch 2 (train 1)")
    moved = frame.assign(path=frame["path"].str.replace("a/", "batch 2 (train 1)/", n=1))
    assert digits(root, moved) == PINNED
    assert list(image_names(moved)) == [f"p{number:02d}/s/1.jpg" for number in range(40)]


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_every_label_is_content(root, frame, value):
    frame.loc[0, "edema"] = value
    assert digits(root, frame) != PINNED


@pytest.mark.parametrize(("column", "value"), [("view", "lateral"), ("patient", "p01"), ("study", "p00/t")])
def test_what_an_image_belongs_to_is_content(root, frame, column, value):
    frame.loc[0, column] = value
    assert digits(root, frame) != PINNED


def test_splits_are_content(root, frame):
    parts = {"train": (root, frame[:30]), "valid": (root, frame[30:])}
    others = {"train": (root, frame[:29]), "valid": (root, frame[29:])}
    seen = {fingerprint(splits, ("edema",), strict=True) for splits in (parts, others)}
    assert len(seen | {PINNED, digits(root, frame, name="valid")}) == 4


def test_the_bytes_of_images_are_content(root, frame):
    for image in root.rglob("*.jpg"):
        image.write_bytes(b"smaller")
    assert digits(root, frame) != PINNED


def test_missing_images_are_named_together_with_their_rows_or_are_content(root, frame):
    present = digits(root, frame, strict=False)
    assert present == PINNED
    for image in sorted(root.rglob("*.jpg"))[3:]:
        image.unlink()
    with pytest.raises(DataError) as caught:
        digits(root, frame)
    gone = frame[3:]
    first = ", ".join(f"{root}/{path} (row {row} of train.csv)" for path, row in gone[["path", "row"]].to_numpy()[:5])
    assert str(caught.value).startswith(f"37 of 40 images are not there: {first} and 32 more. ")
    assert digits(root, frame, strict=False) != PINNED


def test_without_which_images_a_set_is_used_is_content(root, frame):
    rows = pd.concat([frame] * 5, ignore_index=True)
    rows["study"] += (rows.index // 40).astype(str)
    rows["path"] = rows["path"].str.replace("/1.jpg", "/") + (rows.index // 40).astype(str) + ".jpg"
    for path in rows["path"]:
        (root / path).write_bytes(path.encode())
    seen = [digits(root, rows, strict=False)]
    assert seen[0] == digits(root, rows)
    for path in rows["path"]:
        content = (root / path).read_bytes()
        (root / path).unlink()
        seen.append(digits(root, rows, strict=False))
        (root / path).write_bytes(content)
    assert len(set(seen)) == len(seen) == 201


def test_an_image_that_is_there_and_cannot_be_read_is_named(root, frame):
    for image in root.rglob("*.jpg"):
        image.unlink()
        image.mkdir()
    with pytest.raises(DataError, match=rf"^{root}/a/p\d\d/1.jpg: Is a directory$"):
        digits(root, frame)


def test_a_set_that_lacks_a_label_column_is_blank_there(root, frame):
    assert digits(root, frame.drop(columns="edema")) == digits(root, frame.assign(edema=np.nan))
