"""Training and validation split of train.csv by patient."""

import hashlib
from collections.abc import Iterable

import pandas as pd

from bench.errors import DataError

LARGE = 50_000
VALIDATION_IMAGES = 5_000
SMALL_FRACTION = 0.1


def default_valid_fraction(images: int) -> float:
    """The share of patients kept for validation: 5,000 images' worth, a tenth in a set below 50,000 images.

    Source: PROTOCOL, "split" (the paper's split sizes are not known).
    """
    return VALIDATION_IMAGES / images if images >= LARGE else SMALL_FRACTION


def is_validation(patient: str, fraction: float) -> bool:
    """Whether a patient belongs to the validation split, by a hash of the patient's name alone.

    So the split depends neither on the order of the rows nor on which other patients are present.
    """
    digest = hashlib.sha256(patient.encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def split(frame: pd.DataFrame, fraction: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training rows, validation rows) of an index, divided by patient.

    Raises:
        DataError: one of the two would be empty.
    """
    chosen = {patient: is_validation(patient, fraction) for patient in frame["patient"].unique()}
    mask = frame["patient"].map(chosen).astype(bool)
    train, valid = frame[~mask].reset_index(drop=True), frame[mask].reset_index(drop=True)
    if train.empty or valid.empty:
        raise DataError(
            f"{len(chosen)} patients at data.valid_fraction={fraction:g} leave {len(train)} training and "
            f"{len(valid)} validation images: give another data.valid_fraction"
        )
    return train, valid


def assert_disjoint(splits: dict[str, Iterable[str]]) -> None:
    """Refuses splits that share a patient.

    Raises:
        DataError: naming the two splits and the first patients that they share.
    """
    seen: dict[str, str] = {}
    for name, patients in splits.items():
        for patient in sorted(set(patients)):
            if patient in seen:
                raise DataError(f"{patient} is in both {seen[patient]} and {name}: patients must never cross splits")
            seen[patient] = name
