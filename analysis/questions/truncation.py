"""What truncation costs: each truncated network against its own full one, and how far one may go."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evaluation import MEAN, Replicates
from analysis.questions.compare import TAIL, normal_p, standard_error, tail
from analysis.questions.seeds import numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import METHOD, percentile_interval, two_sided_p

COLUMNS = [
    *("arch", "family", "pretrained", "weights", "truncate", "seed", "task", "parameters", "factor"),
    *("difference", "low", "high", "p_value", "se", "p_normal", "worse", "noninferior", "margin", "cell", "cell_full"),
    *TAIL,
]
NOTE = (
    "A drop that is not significant is not thereby absent: in a small test set no drop is significant. Only a "
    "non-inferior network is shown to lose less than the margin. One goes deeper as long as the rule holds, and stops "
    "before the first depth where it does not; a network that may not be cut counts with a factor of 1."
)
"""What belongs below the tables of truncation."""
NETWORK = ["arch", "pretrained", "weights"]
NOT_WORSE, NONINFERIOR = "not significantly worse", "non-inferior"
RULES = (NOT_WORSE, NONINFERIOR)
"""How far a network may be truncated: the paper's "no significant drop", and non-inferiority at the margin."""
SMALLEST_COLUMNS = [
    *(
        "arch",
        "family",
        "pretrained",
        "weights",
        "rule",
        "truncate",
        "parameters",
        "factor",
        "difference",
        "low",
        "high",
    ),
    *("share", "margin", "n_depths"),
]
FACTOR_COLUMNS = [
    *("pretrained", "rule", "mean", "estimate", "low", "high", "n_networks", "n_truncated", "margin"),
    *("level", "method", "n_resamples", "n_defined", "unit", "n_units"),
]


def truncation_table(groups: pd.DataFrame, replicates: Replicates, *, level: float, margin: float) -> pd.DataFrame:
    """Truncated minus full network, paired in the same resamples: one row a truncated network and task.

    Args:
        groups: what `group_seeds` gives, with `parameters` where known.
        replicates: of the same models.
        level: coverage of the intervals.
        margin: the AUROC that a truncated network may lose and still count as no worse.

    Returns:
        COLUMNS, no rows where nothing is truncated; a network without its full one has no row. `factor` is full over
        truncated parameters. `worse`: the whole interval lies below 0. `noninferior`: all of it lies above -margin, a
        one-sided test at (1 - level) / 2. Both can hold, and neither: a drop that is not significant in a small test
        set is no evidence that there is none. False where the interval is undefined.

    Raises:
        ValueError: a margin that is not above 0.

    Source: non-inferiority by the confidence interval: ICH E9, 1998, 3.3.2.
    """
    if not margin > 0:
        raise ValueError(f"margin must be above 0, not {margin}")
    records, rows = groups.to_dict("records"), []
    parameters = numbers(groups, "parameters")
    for cut, full in truncated_pairs(groups):
        draws = replicates.resampled[cut] - replicates.resampled[full]
        estimates = replicates.estimates[cut] - replicates.estimates[full]
        interval, errors = percentile_interval(draws, level), standard_error(draws)
        p_values, p_normals = two_sided_p(draws), normal_p(estimates, errors)
        for t, task in enumerate(replicates.tasks):
            row = {
                **{name: records[cut][name] for name in COLUMNS[:6]},
                "task": task,
                "parameters": parameters[cut],
                "factor": parameters[full] / parameters[cut],
                "difference": estimates[t],
                "low": interval.low[t],
                "high": interval.high[t],
                "p_value": p_values[t],
                "se": errors[t],
                "p_normal": p_normals[t],
                "worse": bool(interval.high[t] < 0),
                "noninferior": bool(interval.low[t] > -margin),
                "margin": margin,
                "cell": records[cut]["cell"],
                "cell_full": records[full]["cell"],
                **tail(replicates, t, level),
                "n_defined": int(interval.n_defined[t]),
            }
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n_positive": "Int64", "worse": bool, "noninferior": bool})


def truncated_pairs(groups: pd.DataFrame) -> list[tuple[int, int]]:
    """Rows of each truncated network and of its full one, by network and depth."""
    rows = groups[[*NETWORK, "truncate"]].assign(row=np.arange(len(groups)))
    full = rows[rows["truncate"] == 0].drop(columns="truncate")
    both = rows[rows["truncate"] > 0].merge(full, on=NETWORK, suffixes=("", "_full"))
    both = both.sort_values(["row_full", "truncate"])
    return [(int(cut), int(whole)) for cut, whole in zip(both["row"], both["row_full"], strict=True)]


def smallest_tables(
    groups: pd.DataFrame, replicates: Replicates, *, level: float, margin: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The smallest network of each architecture that is no worse, and the average parameter factor of those.

    From the first cut on, one goes deeper as long as the rule holds and stops before the first depth where it does
    not: a fixed sequence of tests needs no correction. In every resample the same is done with the interval moved by
    as much as the resampled difference has moved, which gives `share` and the intervals of the factors; moved by
    noise that the estimate already holds, these show how firm the choice is rather than cover a true factor.

    Args:
        groups, replicates, level, margin: as for `truncation_table`.

    Returns:
        SMALLEST_COLUMNS, two rows a network that is truncated at all, one a rule; truncate 0 is the full network, and
        `share` that of the resamples with the same choice. FACTOR_COLUMNS: arithmetic and geometric mean of the
        factors over networks (the full network counting 1), of pretrained and scratch networks apart; NaN where the
        parameters of a chosen network are not known.

    Source: fixed sequence: Maurer, Hothorn and Lehmacher 1995. The paper's 3.25 (PROTOCOL, "Known") does not say which
        mean it is.
    """
    table = truncation_table(groups, replicates, level=level, margin=margin)
    table = table[table["task"] == MEAN].reset_index(drop=True)
    pairs, t = truncated_pairs(groups), replicates.tasks.index(MEAN)
    if not pairs:
        return pd.DataFrame(columns=SMALLEST_COLUMNS), pd.DataFrame(columns=FACTOR_COLUMNS)
    draws = np.stack([replicates.resampled[cut, t] - replicates.resampled[full, t] for cut, full in pairs])
    moved = draws - table["difference"].to_numpy(dtype=float)[:, None]
    smallest: list[dict[str, Any]] = []
    factors: dict[tuple[bool, str], list[Floats]] = {}
    for rule in RULES:
        for members in _networks(pairs):
            rows = table.iloc[members]
            holds = _holds(rule, rows, np.concatenate([np.zeros((len(rows), 1)), moved[members]], axis=1), margin)
            depth = first_failure(holds)  # [1 + b], the data first
            undefined = np.isnan(moved[members]).any(axis=0)
            factor = np.append(1.0, rows["factor"].to_numpy(dtype=float))[depth]
            factor[1:][undefined] = np.nan
            smallest.append(
                _chosen(rule, rows, int(depth[0]), depth[1:][~undefined], groups.iloc[pairs[members[0]][1]])
            )
            factors.setdefault((bool(rows["pretrained"].iloc[0]), rule), []).append(factor)
    about = {"margin": margin, "level": level, "unit": replicates.unit, "n_units": replicates.n_units}
    about["method"] = replicates.method
    means = [_factor(key, np.stack(values), level) for key, values in factors.items()]
    order = sorted(range(len(means)), key=lambda i: not means[i][0]["pretrained"])
    return (
        pd.DataFrame(smallest, columns=SMALLEST_COLUMNS),
        pd.DataFrame([row | about for i in order for row in means[i]], columns=FACTOR_COLUMNS),
    )


def first_failure(holds: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """How many of the first rows hold in a row: [d, b] to [b], 0 to d.

    Example:
        >>> first_failure(np.array([[True, False, True], [True, True, False], [True, True, True]]))
        array([3, 0, 1])
    """
    padded = np.concatenate([holds, np.zeros((1, holds.shape[1]), dtype=bool)])
    return np.asarray(np.argmin(padded, axis=0))


def _networks(pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Positions of the pairs of each network, from the shallowest cut on."""
    by_full: dict[int, list[int]] = {}
    for i, (_, full) in enumerate(pairs):
        by_full.setdefault(full, []).append(i)
    return list(by_full.values())


def _holds(rule: str, rows: pd.DataFrame, moved: Floats, margin: float) -> npt.NDArray[np.bool_]:
    """Whether each depth passes: [d, 1 + b]; an undefined interval passes nothing."""
    if rule == NOT_WORSE:
        return rows["high"].to_numpy(dtype=float)[:, None] + moved >= 0
    return rows["low"].to_numpy(dtype=float)[:, None] + moved > -margin


def _chosen(rule: str, rows: pd.DataFrame, depth: int, draws: npt.NDArray[np.intp], full: pd.Series) -> dict[str, Any]:
    first = rows.iloc[0]
    row = {name: first[name] for name in ("arch", "family", "pretrained", "weights", "margin")}
    row |= {"rule": rule, "n_depths": len(rows), "share": float((draws == depth).mean()) if draws.size else np.nan}
    if depth == 0:
        size = {"truncate": 0, "parameters": float(full.get("parameters", np.nan)), "factor": 1.0}
        return row | size | {"difference": 0.0, "low": 0.0, "high": 0.0}
    return row | {name: rows.iloc[depth - 1][name] for name in SMALLEST_COLUMNS[5:11]}


def _factor(key: tuple[bool, str], factors: Floats, level: float) -> list[dict[str, Any]]:
    """Two rows: the arithmetic and the geometric mean over networks, of factors [networks, 1 + b]."""
    rows = []
    for name, means in (("arithmetic", factors.mean(axis=0)), ("geometric", np.exp(np.log(factors).mean(axis=0)))):
        interval = percentile_interval(means[1:], level)
        row = {"pretrained": key[0], "rule": key[1], "mean": name, "estimate": float(means[0])}
        row |= {"low": float(interval.low), "high": float(interval.high), "n_networks": len(factors)}
        row |= {"n_truncated": int((factors[:, 0] != 1).sum()), "method": METHOD}
        rows.append(row | {"n_resamples": means.size - 1, "n_defined": int(interval.n_defined)})
    return rows
