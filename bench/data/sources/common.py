"""What the readers of the sets share: declared columns, files under several names, images in several folders."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.compute as pc

from bench.data.index import counted_rows
from bench.data.selection import Dropped
from bench.data.sources.files import stem
from bench.data.tables import SHOWN
from bench.data.tasks import ALL_TASKS
from bench.errors import DataError


def first_file(root: Path, names: Sequence[str], what: str) -> Path:
    """Return the first of `names` that is a file in `root`.

    Args:
        names: what the file is called in the set's several releases.

    Raises:
        DataError: there is none.
    """
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root}: no {' or '.join(names)}; the set's root must be the folder that holds {what}")


def together(*steps: Callable[[], Any]) -> list[Any]:
    """Run every step and return the results in order; the errors of all of them are raised together.

    Raises:
        DataError: with the problems of all the steps that failed, not only of the first.
    """
    results, problems = [], []
    for step in steps:
        try:
            results.append(step())
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return results


def row_numbers(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the rows of a file just read (`read_table`) as a spreadsheet numbers them, [n] int64."""
    return table.index.to_numpy(np.int64)


def parts(texts: "pd.Series[str]", pattern: str) -> pd.DataFrame:
    """Return the named groups of a pattern's first match in each text as columns; blank if there is no match.

    By Arrow, as pandas' own `extract` is a loop in Python: at CheXpert's size three times as long.
    """
    found = pc.extract_regex(pyarrow.array(texts.array), pattern=pattern)
    frame: pd.DataFrame = pyarrow.Table.from_struct_array(found).to_pandas()
    return frame.set_index(texts.index)


def filled(name: str) -> pa.Check:
    """Check that the column has no blank."""
    return pa.Check(lambda column: column.notna(), error=f"{name} is blank", ignore_na=False)


def once(name: str) -> pa.Check:
    """Check that every value of the column occurs once."""
    return pa.Check(lambda column: ~column.duplicated(), error=f"the same {name} twice")


def among(name: str, values: Sequence[str]) -> pa.Check:
    """Check that the column's text is one of a few words, or blank."""
    return pa.Check(lambda column: column.isin(values), error=f"{name} is none of {', '.join(values)}")


def numbers(name: str, values: Sequence[int]) -> pa.Check:
    """Check that the column's number is one of a few, or blank; it may be written as 1 or as 1.0."""
    text = ", ".join(map(str, values))

    def holds(column: "pd.Series[Any]") -> "pd.Series[bool]":
        return pd.Series(pd.to_numeric(column, errors="coerce"), column.index).isin(values)

    return pa.Check(holds, error=f"{name} is none of {text}")


def shaped(name: str, pattern: str, meaning: str) -> pa.Check:
    """Check that the column's text matches a pattern from end to end, or is blank.

    Args:
        pattern: regular expression.
        meaning: what such a text is, for the message, as in "Path is not a path that ends in ...".
    """
    return pa.Check(lambda column: column.str.fullmatch(pattern), error=f"{name} is not {meaning}")


def declared(table: pd.DataFrame, columns: Mapping[str, Sequence[pa.Check]], csv: Path) -> pd.DataFrame:
    """Check every declared column, and return the table.

    Args:
        columns: checks by the column's name; every one of these columns must be there, blanks may be in it.
        csv: the file that the table was read from, for the message.

    Raises:
        DataError: naming each kind of problem with its first rows and values.
    """
    wanted = pa.DataFrameSchema(
        {name: pa.Column(checks=list(checks), nullable=True) for name, checks in columns.items()}
    )
    try:
        wanted.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        raise DataError(f"{csv}: {'; '.join(_problem(*case) for case in cases.groupby('check', sort=False))}") from None
    return table


def _problem(sentence: str, cases: pd.DataFrame) -> str:
    return f"{sentence} {counted_rows(cases)}"


def same_names(named: "pd.Series[str]", listed: Iterable[str], message: str) -> None:
    """Refuse a table and a split file of the same set that do not name the same images.

    Raises:
        DataError: with the counts and the first names on either side.
    """
    left, right = set(named), set(listed)
    sides = {"only in the first": left - right, "only in the second": right - left}
    told = [f"{len(names)} {where} ({', '.join(sorted(names)[:SHOWN])})" for where, names in sides.items() if names]
    if told:
        raise DataError(f"{message} do not name the same images: {'; '.join(told)}")


def cut(
    table: pd.DataFrame, rules: Sequence[tuple[str, str, "pd.Series[bool]"]], *, split: "pd.Series[str]", patient: str
) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    """Return the rows that pass every rule, and what each rule dropped of those that the rules before it kept.

    Args:
        rules: (what decided, what the images left out have in common, which rows pass).
        split: [n] the split of each row.
    """
    dropped = []
    for decider, reason, passes in rules:
        kept = table[passes.loc[table.index]]
        for name in split.unique():
            before, after = (rows.loc[split.loc[rows.index] == name, patient] for rows in (table, kept))
            if len(before) > len(after):
                patients = before.nunique() - after.nunique()
                dropped.append(Dropped(decider, reason, name, len(before) - len(after), patients))
        table = kept
    return table.reset_index(drop=True), tuple(dropped)


def locate(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """Return the images below some folders, by file name without suffix: POSIX path relative to `root`.

    Args:
        folders: patterns of folders below it, as `Path.glob` takes them; "." is the root itself.

    Raises:
        DataError: two files have one name, so that it is not known which is meant.
    """
    found: dict[str, str] = {}
    for folder in sorted({path for pattern in folders for path in _folders(root, pattern)}):
        with os.scandir(folder) as entries:
            for entry in entries:
                name = stem(entry.name)
                if name == entry.name:  # no image
                    continue
                path = Path(entry.path).relative_to(root).as_posix()
                if name in found:
                    pair = " and ".join(sorted((found[name], path)))
                    raise DataError(f"{root}: {pair} are one image to the set's table; move one of them elsewhere")
                found[name] = path
    return found


def _folders(root: Path, pattern: str) -> list[Path]:
    return [root] if pattern == "." else [path for path in root.glob(pattern) if path.is_dir()]


def paths(stems: "pd.Series[str]", found: Mapping[str, str], expected: "pd.Series[str]") -> "pd.Series[str]":
    """Return each image's path: where it was found, else where the release puts it, for the error to name.

    Args:
        stems: [n] names of the images' files without ending.
        found: paths by stem, as `locate` gives them.
        expected: [n] where the release puts each, relative to the set's root.
    """
    return stems.map(found).astype("str").fillna(expected)


def named_findings(
    texts: "pd.Series[str]", parse: Callable[[str], frozenset[str]], findings: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Return a float64 column per observation: 1 if a row names any of its findings, else 0.

    Args:
        texts: [n] str, each row's findings as the file writes them.
        findings: by observation, the names that stand for it.
    """
    sets = {text: parse(text) for text in texts.unique()}
    return pd.DataFrame(
        {
            observation: texts.map({text: float(not found.isdisjoint(names)) for text, found in sets.items()})
            for observation, names in findings.items()
        },
        index=texts.index,
    )


def with_observations(frame: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column for each of CheXpert's observations; one that the set was never labelled for is blank."""
    return pd.concat([frame, labels.reindex(columns=list(ALL_TASKS))], axis=1)
