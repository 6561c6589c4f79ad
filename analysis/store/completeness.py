"""Whether every cell that a sweep was meant to have is finished."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.axes import COLUMNS as AXES
from analysis.axes import suffix
from analysis.errors import AnalysisError
from analysis.store.cells import SAME, matches
from analysis.store.io import UNREADABLE

KEY = ["arch", "pretrained", "truncate", "seed", *AXES]
COLUMNS = ["name", *KEY, "weights", "reason"]
NEVER_STARTED = "never started"


def missing_cells(runs: pd.DataFrame, cells: pd.DataFrame, filters: Mapping[str, str]) -> pd.DataFrame:
    """The cells that the experiment's runs imply and that are not finished, in the order of their names.

    A cell is wanted where (1) a run of the same data, label policy and protocol names it, whatever became of the run;
    or (2) at its depth of truncation and its levels of all axes its architecture, its seed and its arm are all there,
    in whichever runs: both arms count as there once any architecture has both. A sweep of one arm is thus complete in
    itself. What no run names at all cannot be known: an architecture that was never begun is found by `python -m
    bench.status` alone.

    Args:
        runs: as `load_runs` gives them, of whatever status.
        cells: the finished cells of the report, as `select_cells` gives them.
        filters: that the cells were selected with.

    Returns:
        COLUMNS; `weights` is None for a cell that was never started.
    """
    others = runs[[_belongs(run, cells, filters) for run in runs.to_dict("records")]]
    done = set(cells[KEY].itertuples(index=False, name=None))
    exact = set(cells[[*KEY, "weights"]].itertuples(index=False, name=None))
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in others.to_dict("records"):
        key = tuple(run[name] for name in KEY)
        weights = run["weights"]
        if (key in done) if weights is None else ((*key, weights) in exact):
            continue
        failure = (str(run["failure"] or "").splitlines() or [""])[0]
        reason = f"{run['status']}: {failure}" if failure else str(run["status"])
        rows[(*key, weights)] = dict(zip(KEY, key, strict=True)) | {"weights": weights, "reason": reason}
    named = pd.concat([cells[KEY], others[KEY]], ignore_index=True)
    started = set(named.itertuples(index=False, name=None))
    for key in sorted(_grid(named) - started):
        rows[key] = dict(zip(KEY, key, strict=True)) | {"weights": None, "reason": NEVER_STARTED}
    table = pd.DataFrame(list(rows.values()), columns=COLUMNS[1:], dtype=object)
    table.insert(0, "name", [cell_name(row) for row in table.to_dict("records")])
    return table.sort_values(["name", "reason"], ignore_index=True)


def check_complete(
    runs: pd.DataFrame, cells: pd.DataFrame, filters: Mapping[str, str], *, experiment: str, allow_missing: bool
) -> list[str]:
    """The notes that an incomplete sweep puts on every table; none where it is complete.

    Args:
        allow_missing: whether a report without the missing cells is wanted.

    Raises:
        AnalysisError: cells are missing and that is not allowed; the message names each.
    """
    missing = missing_cells(runs, cells, filters)
    named = [f"{row['name']} ({row['reason']})" for row in missing.to_dict("records")]
    nameless = (runs["status"] == UNREADABLE) & runs[KEY].isna().any(axis=1)  # finished; of which cell cannot be told
    named += [f"{run['name']} ({run['failure']})" for run in runs[nameless].to_dict("records")]
    if not named:
        return []
    wanted = len(cells) + len(named)
    what = f"{len(named)} of the {wanted} cells of experiment {experiment} are missing: {'; '.join(named)}"
    if not allow_missing:
        raise AnalysisError(f"{what}. Train them, or report without them with allow_missing=true")
    return [f"Incomplete: {what}. Every number is of the finished cells alone."]


def cell_name(cell: Mapping[Any, Any]) -> str:
    """`densenet121-pretrained-t0-s0-linear`, as a run is named."""
    arm = "pretrained" if cell["pretrained"] else "scratch"
    return f"{cell['arch']}-{arm}-t{cell['truncate']}-s{cell['seed']}{suffix(cell, str(cell.get('protocol', '')))}"


def _grid(named: pd.DataFrame) -> set[tuple[Any, ...]]:
    """Every cell that the axes seen at each depth make up."""
    wanted: set[tuple[Any, ...]] = set()
    for (depth, *levels), level in named.groupby(["truncate", *AXES], sort=True):
        both = (level.groupby("arch")["pretrained"].nunique() == 2).any()
        for arch, rows in level.groupby("arch", sort=True):
            arms = (True, False) if both else tuple(rows["pretrained"].unique())
            wanted |= {(arch, arm, depth, seed, *levels) for arm in arms for seed in level["seed"].unique()}
    return wanted


def _belongs(run: Mapping[Any, Any], cells: pd.DataFrame, filters: Mapping[str, str]) -> bool:
    """Whether a run was to be a cell of this report: it names a cell, and nothing that it says is otherwise."""
    if not run["cell"] or any(run[name] is None or run[name] != run[name] for name in KEY):
        return False
    rule = cells.iloc[0]
    if any(run[column] not in (None, rule[column]) for column in SAME):
        return False
    return all(run[column] is None or matches(column, str(run[column]), value) for column, value in filters.items())
