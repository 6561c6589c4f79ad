"""The one shape in which every data set is read: a checked frame with a row per image."""

import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa

from bench.data.tasks import near
from bench.errors import DataError

if pd.__version__ < "3":
    pd.set_option("future.infer_string", True)  # a blank among texts stays one, as in pandas 3, and becomes no "nan"

INDEX = ("path", "patient", "study", "view", "sex", "age", "ap_pa", "csv", "row")
"""Columns of an index, before one float64 column per observation: 1 positive, 0 negative, -1 uncertain, NaN blank."""

SHOWN = 5
"""How many rows, files or problems of a kind an error message names."""

MAX_AGE = 125.0
"""Years; nobody lived longer (Jeanne Calment, 122). What a larger number in a set's files means, its reader decides."""

OUTSIDE = r"^/|\\|^[A-Za-z]:|(?:^|/)\.{1,2}(?:/|$)|//|/$|^$"
"""What no path below a root holds: a leading slash, a backslash, a drive, `.`, `..` or an empty component."""


def read_table(csv: Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """The rows of a CSV file (plain or compressed), in its order; columns beyond those asked for come along.

    Args:
        csv: the file.
        columns: names that it must have, in any order.
        options: of `pandas.read_csv`.

    Raises:
        DataError: no such file, no table in it, no rows, or a column is missing (the nearest is named).
    """
    if not csv.is_file():
        raise DataError(f"{csv}: no such file; {_there(csv.parent)}")
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            # else values beyond the header would be dropped, or the first columns taken for names of rows
            table: pd.DataFrame = pd.read_csv(csv, index_col=False, **options)
    except pd.errors.EmptyDataError:
        raise DataError(f"{csv}: the file is empty") from None
    except pd.errors.ParserWarning:
        raise DataError(f"{csv}: its rows have more values than its header has columns") from None
    except (pd.errors.ParserError, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{csv}: cannot be read as a table ({error})") from None
    there = [str(name) for name in table.columns]
    missing = [near(name, there) for name in columns if name not in there]
    if missing:
        raise DataError(f"{csv}: no column {', '.join(missing)}; there are: {', '.join(there)}")
    if table.empty:
        raise DataError(f"{csv}: no rows")
    return table


def _there(folder: Path) -> str:
    """What a folder holds, so that a wrong one is seen to be wrong."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"in {folder} there is {', '.join(names[:SHOWN]) + more or 'nothing'}"


def check_index(frame: pd.DataFrame, *, observations: Sequence[str], csv: Path) -> pd.DataFrame:
    """The columns of INDEX and `observations`, in that order and of their types, once they hold to the schema.

    Args:
        frame: one row per image. `path` (str): POSIX, relative to the set's root. `patient`, `study` (str): a study
            belongs to one patient. `view`: frontal or lateral. `sex`: Female, Male or Unknown. `age`: years, NaN
            unknown. `ap_pa`: AP, PA or NaN. `row`: in the CSV file, as a spreadsheet numbers it. Its file's name
            comes out as `csv` beside it: a file may have rows of several splits.
        observations: names of the label columns: 1, 0, -1 or NaN.
        csv: the file that the rows came from.

    Raises:
        DataError: naming every problem of the file with its first rows.
    """
    try:
        schema(observations).validate(frame.set_index("row", drop=False), lazy=True)
    except pa.errors.SchemaErrors as error:
        raise DataError(f"{csv}: {'; '.join(_problems(error.failure_cases))}") from None
    types = dict.fromkeys(INDEX, "str") | {"age": "float64", "row": "int64"} | dict.fromkeys(observations, "float64")
    return frame.assign(csv=csv.name)[list(types)].astype(types).reset_index(drop=True)


def schema(observations: Sequence[str]) -> pa.DataFrameSchema:
    """What an index must be; the text of each check is what a user reads."""
    columns = {
        "path": pa.Column(
            checks=[
                _check(lambda path: ~path.isna() & ~path.astype("str").str.contains(OUTSIDE), "lies outside the root"),
                _check(lambda path: ~path.duplicated(), "is there twice"),
            ]
        ),
        "patient": pa.Column(checks=_check(_filled, "is blank")),
        "study": pa.Column(checks=_check(_filled, "is blank")),
        "view": pa.Column(checks=_words("frontal", "lateral")),
        "sex": pa.Column(checks=_words("Female", "Male", "Unknown")),
        "age": pa.Column(
            checks=_check(
                lambda age: age.isna() | pd.to_numeric(age, errors="coerce").between(0, MAX_AGE),
                f"is no number of years from 0 to {MAX_AGE:g}",
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
    """False in the rows of a study that has several patients."""
    pairs = frame[["study", "patient"]].drop_duplicates()
    return ~frame["study"].isin(pairs["study"][pairs["study"].duplicated()])


def _problems(cases: pd.DataFrame) -> list[str]:
    """One sentence per column and check, with the first rows; `cases` are pandera's."""
    wide = cases["schema_context"] == "DataFrameSchema"
    kept = cases[~wide | (cases["column"] == "study")]  # a check of the frame repeats a failing row for every column
    found = []
    for (column, check), group in kept.groupby(["column", "check"], sort=False):
        first = group.sort_values("index").head(SHOWN)
        shown = ", ".join(
            f"row {row}: {value!r}" for row, value in zip(first["index"], first["failure_case"], strict=True)
        )
        found.append(f"{column} {check} in {len(group)} row(s) ({shown})")
    return found
