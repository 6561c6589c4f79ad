"""What the readers' tests (sources/) take for granted: layouts hold the phantom's pictures, in each set's form."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.decode import decode
from bench.data.generated import phantom
from tests.bench.data import layouts


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("layouts") / "phantom"
    phantom.generate(root, phantom.PhantomSpec(seed=5, train_patients=3, test_patients=2))
    return root


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_padchests_pictures_have_16_bits_and_the_phantoms_grey(source, tmp_path):
    layouts.padchest(source, tmp_path / "padchest")
    table = pd.read_csv(next((tmp_path / "padchest").glob("*.csv")), dtype=str)
    files = layouts.rows(source)["file"]
    assert len(table) == len(files)
    for folder, name, file in zip(table["ImageDir"], table["ImageID"], files, strict=True):
        deep = picture(tmp_path / "padchest" / folder / name)
        assert deep.dtype == np.uint16
        np.testing.assert_array_equal(deep, picture(source / file).astype(int) * 257)


def test_vindrs_dicom_files_show_the_phantoms_grey(source, tmp_path):
    layouts.vindr(source, tmp_path / "dicom", dicom=True)
    layouts.vindr(source, tmp_path / "png")
    files = sorted((tmp_path / "dicom").glob("t*/*.dicom"))
    assert len(files) == len(layouts.rows(source).query("`Frontal/Lateral` == 'Frontal'"))
    for file in files:
        copied = picture(tmp_path / "png" / file.parent.name / f"{file.stem}.png")
        np.testing.assert_array_equal(decode(file, min(copied.shape)), copied)


def test_every_training_label_of_vindr_has_one_reader_who_errs(source, tmp_path):
    layouts.vindr(source, tmp_path / "vindr")
    votes = pd.read_csv(tmp_path / "vindr" / "annotations" / "image_labels_train.csv")
    sums = votes.drop(columns="rad_id").groupby("image_id").sum()
    assert set(sums.to_numpy().ravel()) == {1, 2}


def test_the_layouts_write_the_same_bytes_again(source, tmp_path):
    for layout in (layouts.nih, layouts.mimic, layouts.vindr, layouts.padchest, layouts.csv):
        first, second = tmp_path / "first" / layout.__name__, tmp_path / "second" / layout.__name__
        layout(source, first)
        layout(source, second)
        files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
        assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
        for file in files:
            if file.suffix != ".gz":  # a compressed file carries the time
                assert (first / file).read_bytes() == (second / file).read_bytes(), file
