"""The one shape in which every data set is read: a checked frame with a row per image."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa

from bench.data.tables import SHOWN
from bench.errors import DataError

if pd.__version__ < "3":
    pd.set_option("future.infer_string", True)  # a blank among texts stays one, as in pandas 3, and becomes no "nan"

INDEX = ("path", "patient", "study", "view", "sex", "age", "impossible_age", "ap_pa", "csv", "row")
"""Columns of an index, before one float64 column per observation: 1 positive, 0 negative, -1 uncertain, NaN blank."""

MAX_AGE = 125.0
"""Years; nobody lived longer (Jeanne Calment, 122). What a larger number, or one below 0, stands for is not known."""

OUTSIDE = r"^/|\\|^[A-Za-z]:|(?:^|/)\.{1,2}(?:/|$)|//|/$"
"""What no path below a root holds: a leading slash, a backslash, a drive, `.`, `..` or an empty component."""


SHORTENED = r"\d(?:\.\d+)?[eE]\+?\d+"
"""What Excel makes of a number with many digits: 1.23457E+11. Which one it was is lost."""


def check_index(frame: pd.DataFrame, *, observations: Sequence[str], csv: Path) -> pd.DataFrame:
    """Check a frame, and return its columns INDEX and `observations` in that order and of their types.

    Args:
        frame: one row per image. `path` (str): POSIX, relative to the set's root. `patient`, `study` (str): a study
            belongs to one patient. `view`: frontal or lateral. `sex`: Female, Male or Unknown. `age`: years, NaN
            unknown; a number that no age can be becomes NaN, and `impossible_age` comes out True. `ap_pa`: AP, PA or
            NaN. `row`: in the CSV file, as a spreadsheet numbers it. Its file's name comes out as `csv` beside it: a
            file may have rows of several splits.
        observations: names of the label columns: 1, 0, -1 or NaN.

    Raises:
        DataError: naming every problem of the file with its first rows.
    """
    try:
        schema(observations).validate(frame.set_index("row", drop=False), lazy=True)
    except pa.errors.SchemaErrors as error:
        raise DataError(f"{csv}: {'; '.join(_problems(error.failure_cases))}") from None
    impossible = frame["age"].notna() & ~pd.to_numeric(frame["age"]).between(0, MAX_AGE)
    types = dict.fromkeys(INDEX, "str") | {"age": "float64", "impossible_age": "bool", "row": "int64"}
    types |= dict.fromkeys(observations, "float64")
    given = frame.assign(csv=csv.name, age=frame["age"].mask(impossible), impossible_age=impossible)
    return given[list(types)].astype(types).reset_index(drop=True)


def schema(observations: Sequence[str]) -> pa.DataFrameSchema:
    """Return the schema of an index; the text of each check is shown to the user."""
    columns = {
        "path": pa.Column(
            checks=[
                _check(_filled, "is blank"),
                _check(lambda path: ~path.astype("str").str.contains(OUTSIDE, na=False), "lies outside the root"),
                _check(lambda path: ~path.duplicated(), "is there twice"),
            ]
        ),
        "patient": pa.Column(
            checks=[
                _check(_filled, "is blank"),
                _check(
                    lambda patient: ~patient.astype("str").str.fullmatch(SHORTENED, na=False),
                    "is a number that a spreadsheet has shortened",
                ),
            ]
        ),
        "study": pa.Column(checks=_check(_filled, "is blank")),
        "view": pa.Column(checks=_words("frontal", "lateral")),
        "sex": pa.Column(checks=_words("Female", "Male", "Unknown")),
        "age": pa.Column(
            checks=_check(
                lambda age: age.isna() | pd.to_numeric(age, errors="coerce").notna(),
                "is no number of years",
            )
        ),
        "ap_pa": pa.Column(
            checks=_check(lambda text: text.isna() | text.isin(["AP", "PA"]), "is none of AP, PA, blank")
        ),
        "row": pa.Column(),
    }
    label = _check(
        lambda values: values.isna() | pd.to_numeric(values, errors="coerce").isin([-1, 0, 1]),
        "is none of 1, 0, -1 and blank",
    )
    for column in columns.values():
        column.nullable = True  # what may be blank, the checks say, in words
    columns |= {name: pa.Column(checks=label, nullable=True) for name in observations}
    return pa.DataFrameSchema(columns, checks=_check(_one_patient, "belongs to several patients"))


def _check(holds: Callable[[Any], Any], error: str) -> pa.Check:
    return pa.Check(holds, error=error, ignore_na=False)


def _words(*words: str) -> pa.Check:
    return _check(lambda text: text.isin(words), f"is none of {', '.join(words)}")


def _filled(text: "pd.Series[Any]") -> "pd.Series[bool]":
    return text.notna() & (text.astype("str") != "")


def _one_patient(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Return False in the rows of a study that has several patients."""
    pairs = frame[["study", "patient"]].drop_duplicates()
    return ~frame["study"].isin(pairs["study"][pairs["study"].duplicated()])


def _problems(cases: pd.DataFrame) -> list[str]:
    """Return a sentence for each failed check of a column, with the first rows; `cases` are pandera's."""
    wide = cases["schema_context"] == "DataFrameSchema"
    kept = cases[~wide | (cases["column"] == "study")]  # a check of the frame repeats a failing row for every column
    found = []
    for (column, check), group in kept.groupby(["column", "check"], sort=False):
        found.append(f"{column} {check} {counted_rows(group)}")
    return found


def counted_rows(cases: pd.DataFrame) -> str:
    """`in 2 row(s) (row 2: 'x', row 7: 3)`, of pandera's failure cases of a frame that is indexed by row numbers."""
    first = cases.sort_values("index").head(SHOWN)
    shown = ", ".join(
        f"row {row}: {value:g}" if isinstance(value, float) else f"row {row}: {value!r}"
        for row, value in zip(first["index"], first["failure_case"], strict=True)
    )
    return f"in {len(cases)} row(s) ({shown})"
