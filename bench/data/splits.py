"""Training and validation split by patient: by a hash, by a file, or as the release has it."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from bench.data.sources import common
from bench.data.tables import SHOWN, read_table
from bench.errors import DataError

LARGE = 50_000
VALIDATION_IMAGES = 5_000
SMALL_FRACTION = 0.1

SIDES = ("train", "valid")
COLUMNS: dict[str, tuple[pa.Check, ...]] = {
    "patient": (common.filled("patient"), common.once("patient")),
    "split": (common.filled("split"), common.among("split", SIDES)),
}
"""Of a split file."""


def default_valid_fraction(images: int) -> float:
    """Return the share of patients for validation: worth 5,000 images, or a tenth in a set below 50,000 images.

    Source: PROTOCOL, "split" (the paper's split sizes are not known).
    """
    return VALIDATION_IMAGES / images if images >= LARGE else SMALL_FRACTION


def is_validation(patient: str, fraction: float) -> bool:
    """Return whether a patient belongs to the validation split, by a hash of the patient's name alone.

    So the split depends neither on the order of the rows nor on which other patients are present.
    """
    digest = hashlib.sha256(patient.encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def split(frame: pd.DataFrame, fraction: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (training rows, validation rows) of an index, divided by a hash of the patient.

    Raises:
        DataError: one of the two would be empty.
    """
    chosen = {patient: is_validation(patient, fraction) for patient in frame["patient"].unique()}
    train, valid = _divide(frame, chosen)
    if train.empty or valid.empty:
        raise DataError(
            f"{len(chosen)} patients at data.valid_fraction={fraction:g} leave {len(train)} training and "
            f"{len(valid)} validation images: give another data.valid_fraction"
        )
    return train, valid


def split_by_file(frame: pd.DataFrame, csv: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (training rows, validation rows) of an index, divided by a split file.

    Args:
        csv: its columns are `patient` and `split` (train or valid).

    Raises:
        DataError: the file is wrong, or does not name exactly the patients of the index, or leaves one side empty.
    """
    table = common.declared(read_table(csv, list(COLUMNS), ids=["patient"]), COLUMNS, csv)
    named, there = set(table["patient"]), set(frame["patient"])
    _refuse(csv, there - named, "of the set's patients have no row")
    _refuse(csv, named - there, "patients are not in the set")
    train, valid = _divide(frame, dict(zip(table["patient"], table["split"] == "valid", strict=True)))
    if train.empty or valid.empty:
        raise DataError(f"{csv}: leaves {len(train)} training and {len(valid)} validation images")
    return train, valid


def _refuse(csv: Path, patients: set[str], what: str) -> None:
    if patients:
        raise DataError(f"{csv}: {len(patients)} {what}: {', '.join(sorted(patients)[:SHOWN])}")


def _divide(frame: pd.DataFrame, validation: Mapping[str, bool]) -> tuple[pd.DataFrame, pd.DataFrame]:
    mask = frame["patient"].map(validation).astype(bool)
    return frame[~mask].reset_index(drop=True), frame[mask].reset_index(drop=True)


def write_split(path: Path, sides: Mapping[str, str]) -> None:
    """Writes a split file, sorted by patient, that `data.split_file` reads.

    Args:
        sides: by patient, train or valid (`DataSet.sides`).
    """
    rows = pd.DataFrame(sorted(sides.items()), columns=list(COLUMNS))
    rows.to_csv(path, index=False, lineterminator="\n")


def assert_disjoint(splits: Mapping[str, Iterable[str]]) -> None:
    """Refuses splits that share a patient, or that write one in two ways: `p07`, `P7`.

    Raises:
        DataError: naming the two splits and the first patient that they share.
    """
    seen: dict[str, tuple[str, str]] = {}
    for name, patients in splits.items():
        for patient in sorted(set(patients)):
            other, written = seen.setdefault(_meant(patient), (name, patient))
            if other == name:
                continue
            if written == patient:
                raise DataError(f"{patient} is in both {other} and {name}: patients must never cross splits")
            raise DataError(
                f"{written!r} of {other} and {patient!r} of {name} differ only in case, blanks or leading zeros: "
                "patients must never cross splits; write one patient one way, and two so that they differ in more"
            )


def _meant(patient: str) -> str:
    """Return a patient's name without what people and Excel change by accident: case, blanks, leading zeros."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", "".join(unicodedata.normalize("NFKC", patient).casefold().split()))
