import numpy as np
import pandas as pd
import pytest

from bench.data.splits import assert_disjoint, default_valid_fraction, is_validation, split
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
