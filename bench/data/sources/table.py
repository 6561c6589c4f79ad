"""A laboratory's own table: one CSV file to train on, one to test on, with the columns that `data.table` names."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.data.index import INDEX, check_index
from bench.data.known import hint
from bench.data.sources import Release, common
from bench.data.sources.files import as_they_lie
from bench.data.tables import column_names, read_table
from bench.errors import DataError
from bench.paths import in_project
from bench.schema import DataConfig, TableConfig

SEXES = {"female": "Female", "f": "Female", "male": "Male", "m": "Male", "unknown": "Unknown"}


def read(root: Path, config: DataConfig) -> Release:
    """The table's rows; an external table without a test file is a test set throughout.

    Raises:
        DataError: `data.table` is incomplete, two labels become one name, or a file is not as `data.table` says.
    """
    spec = config.table
    names = label_names(spec.labels)
    files = [root / file for file in (spec.train, spec.test) if file is not None]
    frames = common.together(*(lambda csv=csv: _frame(root, csv, spec, names) for csv in files))
    external = config.name != "csv" or config.root is None or in_project(config.root) != root
    tests = {"test": frames[-1]} if spec.test is not None or external else {}
    return Release("csv", root, tuple(names), frames[0], None, tests, tuple(files))


def label_names(columns: Sequence[str]) -> dict[str, str]:
    """By the label's name in snake case, its column: `{"pleural_effusion": "Pleural Effusion"}`, in the given order.

    Raises:
        DataError: there are none, or one has no letter, takes the name of a column of the index, or of another label.
    """
    if not columns:
        raise DataError("data.table.labels names no column; give the label columns, as data.table.labels=[edema,mass]")
    names: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"[^0-9a-z]+", "_", column.lower()).strip("_")
        if not name or name in INDEX:
            raise DataError(f"data.table.labels: {column!r} would be named {name!r}, which is taken; rename the column")
        if name in names:
            raise DataError(f"data.table.labels: {names[name]!r} and {column!r} would both be named {name}; rename one")
        names[name] = column
    return names


def _frame(root: Path, csv: Path, spec: TableConfig, names: dict[str, str]) -> pd.DataFrame:
    given = (spec.image, spec.patient, spec.study, spec.view, spec.sex)
    texts = [column for column in dict.fromkeys(given) if column is not None]
    numbers = [column for column in (spec.age, *names.values()) if column is not None and column not in texts]
    ids = [column for column in (spec.patient, spec.study) if column is not None]
    table = read_table(csv, texts, numbers=list(dict.fromkeys(numbers)), ids=ids, encoding=spec.encoding)
    patient, image = table[spec.patient], table[spec.image]
    frame = pd.DataFrame(
        {
            "path": as_they_lie(root, _posix(image)),
            "patient": patient,
            "study": patient + "/" + (image if spec.study is None else table[spec.study]),
            "view": "frontal" if spec.view is None else table[spec.view].str.lower(),
            "sex": "Unknown" if spec.sex is None else _sex(table[spec.sex]),
            "age": np.nan if spec.age is None else table[spec.age],
            "ap_pa": None,
            "row": common.row_numbers(table),
        }
    )
    labels = table[list(names.values())].set_axis(list(names), axis=1)
    try:
        return check_index(pd.concat([frame, labels], axis=1), observations=list(names), csv=csv)
    except DataError as error:
        raise DataError(f"{error}{hint(column_names(csv, spec.encoding))}") from None


def _posix(paths: "pd.Series[str]") -> "pd.Series[str]":
    r"""Paths as this system writes them: `.\scans\1.png` is scans/1.png."""
    return paths.str.replace("\\", "/", regex=False).str.replace(r"^(\./+)+", "", regex=True)


def _sex(texts: "pd.Series[str]") -> "pd.Series[str]":
    """Female, Male or Unknown, as blanks are; any other text stays, for the check to name it."""
    return texts.str.strip().str.lower().map(SEXES).fillna(texts).fillna("Unknown")
