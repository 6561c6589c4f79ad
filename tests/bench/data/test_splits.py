import numpy as np
import pandas as pd
import pytest

from bench.data.splits import (
    assert_disjoint,
    default_valid_fraction,
    is_validation,
    split,
    split_by_file,
    write_split,
)
from bench.errors import DataError

PATIENTS = [f"patient{number:05d}" for number in range(2000)]


def frame(patients):
    return pd.DataFrame({"patient": np.repeat(patients, 3), "path": [f"{i}.jpg" for i in range(3 * len(patients))]})


def test_no_patient_is_on_both_sides_and_none_is_lost():
    train, valid = split(frame(PATIENTS), 0.1)
    assert set(train["patient"]).isdisjoint(valid["patient"])
    assert len(train) + len(valid) == 6000
    assert len(valid) == pytest.approx(600, rel=0.2)


def test_a_patients_side_depends_on_nobody_else():
    _, valid = split(frame(PATIENTS), 0.1)
    _, few = split(frame(PATIENTS[::-2]), 0.1)
    assert set(few["patient"]) == set(valid["patient"]) & set(PATIENTS[::-2])


def test_a_larger_fraction_contains_the_smaller():
    small = {patient for patient in PATIENTS if is_validation(patient, 0.05)}
    large = {patient for patient in PATIENTS if is_validation(patient, 0.2)}
    assert small < large


def test_the_default_is_5000_images_or_a_tenth():
    assert default_valid_fraction(223_414) * 223_414 == pytest.approx(5000)
    assert default_valid_fraction(49_999) == 0.1


@pytest.mark.parametrize("fraction", [0.0, 0.0001])
def test_an_empty_side_is_refused(fraction):
    with pytest.raises(DataError, match=r"leave 9 training and 0 validation images: give another data.valid_fraction"):
        split(frame(PATIENTS[:3]), fraction)


def test_a_shared_patient_is_refused():
    with pytest.raises(DataError, match="patient00007 is in both train and test"):
        assert_disjoint({"train": ["patient00007"], "valid": ["patient00001"], "test": ["patient00007"]})


def test_a_published_split_is_the_split_again(tmp_path):
    train, valid = split(frame(PATIENTS), 0.1)
    sides = dict.fromkeys(valid["patient"], "valid") | dict.fromkeys(train["patient"], "train")
    write_split(tmp_path / "split.csv", sides)
    again = split_by_file(frame(PATIENTS), tmp_path / "split.csv")
    pd.testing.assert_frame_equal(again[0], train)
    pd.testing.assert_frame_equal(again[1], valid)
    assert (tmp_path / "split.csv").read_text().splitlines()[:2] == ["patient,split", "patient00000,train"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,split\na,train\n", r"split.csv: 1 of the set's patients have no row: b"),
        ("patient,split\na,train\nb,valid\nc,train\nd,valid\n", r"split.csv: 2 patients are not in the set: c, d"),
        ("patient,split\na,train\nb,test\n", r"split is none of train, valid in 1 row\(s\) \(row 3: 'test'\)"),
        ("patient,split\na,train\nb,\n", r"split is blank in 1 row\(s\) \(row 3: "),
        ("patient,split\na,train\nb,valid\na,valid\n", r"the same patient twice in 1 row\(s\) \(row 4: 'a'\)"),
        ("patient,split\na,train\nb,train\n", r"leaves 6 training and 0 validation images"),
        ("patient,side\na,train\nb,valid\n", r"no column split"),
        ("", "the file is empty"),
    ],
)
def test_a_split_file_that_does_not_fit_is_refused(tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        split_by_file(frame(["a", "b"]), tmp_path / "split.csv")


def test_patients_named_by_numbers_keep_their_zeros(tmp_path):
    (tmp_path / "split.csv").write_text("patient,split\n007,train\n7,valid\n")
    train, valid = split_by_file(frame(["007", "7"]), tmp_path / "split.csv")
    assert (set(train["patient"]), set(valid["patient"])) == ({"007"}, {"7"})
