"""Well-known tables that no reader takes as they are: how to recognise them, and where to read on."""

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
    """Return a sentence to add to an error if the columns are those of a known table; else an empty string."""
    there = set(columns)
    found = next((what for wanted, what in FOREIGN if wanted <= there), None)
    return "" if found is None else f". It looks like the table of {found}; {WHERE}"
