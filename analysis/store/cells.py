"""Which runs go into one report, and in which order."""

import re
import shlex
from typing import Any

import pandas as pd

from analysis.axes import AXES, COLUMNS, rank
from analysis.errors import AnalysisError
from analysis.store.io import FINISHED, UNREADABLE

SAME = (
    "data",
    "data_fingerprint",
    "protocol",
    "protocol_settings",
    "evaluation.tasks",
    "evaluation.level",
    "evaluation.views",
)
"""What all cells of one report have in common; each is a filter key of the settings too."""

KEY = ["arch", "pretrained", "weights", "truncate", "seed", *COLUMNS]
"""What tells cells apart."""
UNTELLING = ("sweep", "tracking", "outputs", "hydra")
"""How parameters begin that make no other cell."""
FAMILIES = ("DenseNet", "ResNet", "Inception", "MNASNet", "EfficientNet", "MobileNet")
"""The order in which the paper names them (PROTOCOL, "Known"); others follow by name."""


def select_cells(runs: pd.DataFrame, filters: dict[str, str], experiment: str) -> pd.DataFrame:
    """The finished cells that the filters leave, in the order of the report.

    Args:
        runs: as `load_runs` gives them.
        filters: wanted values by column.

    Raises:
        AnalysisError: nothing is left, a cell is there twice, or the cells must not be pooled.
    """
    cells = runs[_is_cell(runs)]
    if cells.empty:
        states = ", ".join(f"{count} {status}" for status, count in runs["status"].value_counts().items())
        edited = "".join(f"; {failure}" for failure in runs.loc[runs["status"] == UNREADABLE, "failure"])
        raise AnalysisError(f"experiment {experiment} has no finished cell ({states or 'no runs at all'}{edited})")
    for column, wanted in filters.items():
        left = cells[[matches(column, str(value), wanted) for value in cells[column]]]
        if left.empty:
            there = ", ".join(sorted({str(value) for value in cells[column]}))
            raise AnalysisError(f"no finished cell of experiment {experiment} has {column}={wanted}; there is {there}")
        cells = left
    _check_unique(cells)
    _check_poolable(cells)
    return order_cells(cells)


def order_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """By family, architecture (numbers as numbers), truncation, pretrained first, weights, axes and seed."""
    records = cells.to_dict("records")
    order = sorted(range(len(records)), key=lambda i: _rank(records[i]))
    return cells.iloc[order].reset_index(drop=True)


def left_out(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that no number rests on, with the reason: name, status, reason."""
    others = runs[~_is_cell(runs)]
    finished = set(runs.loc[_is_cell(runs), "cell"])
    rows = [
        {"name": run["name"], "status": run["status"], "reason": _reason(run, finished)}
        for run in others.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["name", "status", "reason"]).sort_values(["status", "name"], ignore_index=True)


def _is_cell(runs: pd.DataFrame) -> pd.Series:
    return (runs["status"] == FINISHED) & runs["cell"].fillna("").astype(bool)


def _reason(run: dict[Any, Any], finished: set[str]) -> str:
    if run["status"] == FINISHED:
        return "no cell: the run has no tag `cell`"
    note = "the same cell is finished in another run" if run["cell"] in finished else ""
    failure = str(run["failure"] or "").splitlines()[:1]
    return "; ".join(part for part in (*failure, note) if part)


def matches(column: str, value: str, wanted: str) -> bool:
    """Whether a run's `value` in a `column` is the `wanted` one; of its sweeps, one of them is enough."""
    return wanted in value.split(",") if column == "sweep" else value == wanted


def _check_unique(cells: pd.DataFrame) -> None:
    for cell, runs in cells.groupby("cell", sort=True):
        if len(runs) > 1:
            raise AnalysisError(f"cell {cell} is finished twice, in {_two(runs)}; delete one of them in MLflow")


def _check_poolable(cells: pd.DataFrame) -> None:
    for column in SAME:
        counts = cells[column].value_counts()
        if len(counts) > 1:
            groups = "; ".join(f"{value or 'none'}: {n} cells" for value, n in counts.items())
            raise AnalysisError(
                f"cells that differ in {column} must not be pooled ({groups}); choose with {column}={counts.index[0]}"
            )
    for _, runs in cells.groupby(KEY, sort=True):
        if len(runs) > 1:
            raise AnalysisError(
                f"{_two(runs)} are alike in all that a report compares and are different cells all the same: "
                f"{_difference(*runs['params'].head(2))}, or delete one of them in MLflow"
            )


def _difference(one: dict[str, str], other: dict[str, str]) -> str:
    """What two runs differ in, and what to type to choose one of them."""
    telling = [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
    telling = [key for key in telling if not key.startswith(UNTELLING) and key in one]
    if not telling:
        return "nothing in their parameters says why; choose one with sweep=NAME"
    key = telling[0]
    shown = "; ".join(f"{name} {one.get(name)} and {other.get(name)}" for name in telling)
    word = shlex.quote(f'where=params.`{key}` = "{one[key]}"')
    return f"they differ in {shown}; choose one with {word}"


def _two(runs: pd.DataFrame) -> str:
    names = [f"{run['name']} ({run['run_id']})" for run in runs.head(2).to_dict("records")]
    return f"runs {names[0]} and {names[1]}"


def _rank(cell: dict[Any, Any]) -> tuple[Any, ...]:
    family = str(cell["family"])
    known = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    numbered = [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(cell["arch"]))]
    varied = tuple((cell[axis.column] != axis.default, rank(cell[axis.column])) for axis in AXES)
    return known, family, numbered, cell["truncate"], not cell["pretrained"], cell["weights"], varied, cell["seed"]
