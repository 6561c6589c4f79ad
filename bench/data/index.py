"""From a CSV file in CheXpert's layout to a checked frame: one row per image."""

from pathlib import Path

import numpy as np
import pandas as pd

from bench.data.tasks import OBSERVATIONS, task_name
from bench.errors import DataError

PATH_PATTERN = r"(?P<path>(?P<folder>train|valid|test)/(?P<patient>patient\d+)/(?P<study>study\d+)/[^/]+)$"
"""The end of a CheXpert path; what stands before it is the release's own folder name and is not relied upon.

Source: PROTOCOL, "CheXpert facts"."""

VIEW, AP_PA = "Frontal/Lateral", "AP/PA"
SHOWN = 5
"""How many rows an error message names."""


def read_index(csv: Path) -> pd.DataFrame:
    """The checked rows of train.csv or valid.csv.

    Args:
        csv: the file; image paths are taken relative to its folder, whatever the release's folder is called.

    Returns:
        One row per image, in the file's order: `path` (str, relative to the CSV's folder), `patient`, `study` (str,
        unique over patients: `patient00001/study1`), `view` (`frontal` or `lateral`), `sex`, `age` (years), `ap_pa`,
        and a float64 column per observation in snake case: 1 positive, 0 negative, -1 uncertain, NaN not mentioned.

    Raises:
        DataError: the file is missing, or its columns, paths or labels are not CheXpert's; all problems in one message.
    """
    if not csv.is_file():
        raise DataError(f"{csv}: no such file. data.root must be the folder that holds train.csv and valid.csv")
    table = pd.read_csv(csv, dtype={"Path": str, "Sex": str, VIEW: str, AP_PA: str})
    missing = [name for name in ("Path", "Sex", "Age", VIEW, AP_PA, *OBSERVATIONS) if name not in table]
    if missing:
        raise DataError(f"{csv}: no column {', '.join(missing)}; there are: {', '.join(map(str, table.columns))}")
    if table.empty:
        raise DataError(f"{csv}: no rows")
    parts = table["Path"].str.extract(PATH_PATTERN)
    problems = [
        *_rows(parts["path"].isna(), table["Path"], "path does not end in train|valid|test/patientN/studyN/file"),
        *_rows(parts["path"].duplicated() & parts["path"].notna(), table["Path"], "the same image twice"),
        *_rows(~table[VIEW].isin(["Frontal", "Lateral"]), table[VIEW], f"{VIEW} is neither Frontal nor Lateral"),
    ]
    for name in OBSERVATIONS:
        labels = pd.to_numeric(table[name], errors="coerce")
        wrong = ~(table[name].isna() | labels.isin([-1, 0, 1]))
        problems += _rows(wrong, table[name], f"{name} is none of 1, 0, -1 and blank")
    if problems:
        raise DataError(f"{csv}: " + "; ".join(problems))
    frame = pd.DataFrame(
        {
            "path": parts["path"],
            "patient": parts["patient"],
            "study": parts["patient"] + "/" + parts["study"],
            "view": table[VIEW].str.lower(),
            "sex": table["Sex"],
            "age": table["Age"].astype(float),
            "ap_pa": table[AP_PA],
        }
    )
    return frame.assign(**{task_name(name): table[name].astype(np.float64) for name in OBSERVATIONS})


def _rows(wrong: "pd.Series[bool]", values: "pd.Series[str]", what: str) -> list[str]:
    """No problem, or one that names the first few rows (as a spreadsheet numbers them: the header is row 1)."""
    if not wrong.any():
        return []
    shown = ", ".join(f"row {row + 2}: {values[row]!r}" for row in np.flatnonzero(wrong)[:SHOWN])
    return [f"{what} in {int(wrong.sum())} row(s) ({shown})"]
