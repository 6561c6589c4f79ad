"""Tables that people bring and no reader takes as they are: what they are told by, and what to do with them."""

from collections.abc import Iterable

FOREIGN = (
    ({"patientId", "Target"}, "RSNA's pneumonia challenge, a row a box"),
    ({"image_id", "class_name", "rad_id"}, "VinBigData's challenge on Kaggle, a row a box and reader"),
    (
        {"path_to_image", "deid_patient_id"},
        "CheXpert Plus: data=chexpert data.labels_file=impression_fixed.json reads it",
    ),
)
"""(columns, what has them)."""

WHERE = "docs/data.md, 'Tables that are not read as they are', says what to do"


def hint(columns: Iterable[str]) -> str:
    """A sentence to end a refusal with, where the columns are those of a known table; else nothing."""
    there = set(columns)
    found = next((what for wanted, what in FOREIGN if wanted <= there), None)
    return "" if found is None else f". It looks like the table of {found}; {WHERE}"
