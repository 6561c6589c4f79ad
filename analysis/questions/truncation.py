"""What truncation costs: each truncated network against its own full one, and how far one may go."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evaluation import MEAN, Replicates
from analysis.questions.compare import TAIL, normal_p, standard_error, tail
from analysis.questions.seeds import numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval, two_sided_p
from analysis.statistics.families import Carried, Codes, codes, jackknife

COLUMNS = [
    *("arch", "family", "pretrained", "weights", "truncate", "seed", "task", "parameters", "factor"),
    *("difference", "low", "high", "p_value", "se", "p_normal", "worse", "noninferior", "margin", "cell", "cell_full"),
    *TAIL,
]
NOTE = (
    "A drop that is not significant is not thereby absent: in a small test set no drop is significant. Only a "
    "non-inferior network is shown to lose less than the margin. One goes deeper as long as the rule holds, and stops "
    "before the first depth where it does not; a network that may not be cut counts with a factor of 1. Of the average "
    "factor: every network is cut to the shallowest depth that reaches a common least factor, or as deep as it was "
    "trained. Low is the average factor up to which the mean loss is shown to be smaller than the margin, High the one "
    "beyond which it is shown to be larger; what is not known lies between them."
)
"""What belongs below the tables of truncation."""
NETWORK = ["arch", "pretrained", "weights"]
NOT_WORSE, NONINFERIOR = "not significantly worse", "non-inferior"
"""How far a network may be truncated: the paper's "no significant drop", and non-inferiority at the margin."""
SMALLEST_COLUMNS = [
    *("arch", "family", "pretrained", "weights", "rule", "truncate", "parameters", "factor"),
    *("difference", "low", "high", "margin", "n_depths"),
]
FACTOR_COLUMNS = [
    *("pretrained", "mean", "estimate", "low", "high", "n_networks", "n_families", "n_factors", "margin"),
    *("level", "method", "unit", "n_units"),
]
FACTOR_METHOD = "fixed sequences of tests of the mean loss, jackknife over families and bootstrap of the test set"


def truncation_table(groups: pd.DataFrame, replicates: Replicates, *, level: float, margin: float) -> pd.DataFrame:
    """Truncated minus full network, paired in the same resamples: one row a truncated network and task.

    Args:
        groups: what `group_seeds` gives, with `parameters` where known.
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


def smallest_table(table: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """The smallest network of each architecture that is no worse, by either rule.

    From the first cut on, one goes deeper as long as the rule holds and stops before the first depth where it does
    not: a fixed sequence of tests needs no correction.

    Args:
        table: what `truncation_table` gives.

    Returns:
        SMALLEST_COLUMNS, two rows a network that is truncated at all, one a rule; truncate 0 is the full network.

    Source: fixed sequence: Maurer, Hothorn and Lehmacher 1995.
    """
    parameters = dict(zip(groups["cell"], numbers(groups, "parameters"), strict=True))
    rows = []
    for _, depths in table[table["task"] == MEAN].groupby("cell_full", sort=False):
        first = depths.iloc[0]
        for rule, holds in ((NOT_WORSE, depths["high"] >= 0), (NONINFERIOR, depths["noninferior"])):
            depth = int(first_failure(holds.to_numpy(dtype=bool)[:, None])[0])
            row = {name: first[name] for name in ("arch", "family", "pretrained", "weights", "margin")}
            row |= {"rule": rule, "n_depths": len(depths), "truncate": 0, "factor": 1.0}
            row |= {"parameters": parameters[first["cell_full"]], "difference": 0.0, "low": 0.0, "high": 0.0}
            kept = ("truncate", "parameters", "factor", "difference", "low", "high")
            rows.append(row | ({name: depths.iloc[depth - 1][name] for name in kept} if depth else {}))
    return pd.DataFrame(rows, columns=SMALLEST_COLUMNS)


def factors_table(groups: pd.DataFrame, replicates: Replicates, *, level: float, margin: float) -> pd.DataFrame:
    """By how much networks can be cut on average before their mean loss passes the margin.

    For every least factor, from the smallest to the largest that any network has, each network is cut to its
    shallowest depth that reaches it, or as deep as it was trained. The mean loss over the networks has an interval that
    carries the test set and the choice of families.

    Returns:
        FACTOR_COLUMNS, two rows of pretrained and of scratch networks: the arithmetic and the geometric mean of the
        factors. `estimate`: the largest up to which every mean loss is at most the margin. `low`: the largest up to
        which every mean loss is shown to be smaller, one-sided at (1 - level) / 2. `high`: the largest that is not
        shown to be too large, testing from the deepest cuts upwards. Where nothing is shown low is 1 and high the
        deepest: too small a test set moves both outwards. NaN where a factor is not known.

    Source: fixed sequences: Maurer, Hothorn and Lehmacher 1995, from either end. The paper's 3.25 (PROTOCOL, "Known")
        does not say which mean it is.
    """
    parameters = numbers(groups, "parameters")
    every = _networks(truncated_pairs(groups))
    rows = []
    for pretrained in (True, False):
        networks = [pairs for pairs in every if bool(groups["pretrained"].iloc[pairs[0][1]]) == pretrained]
        if not networks:
            continue
        own = [np.round([parameters[full] / parameters[cut] for cut, full in pairs], 9) for pairs in networks]
        families = codes([groups["family"].iloc[pairs[0][1]] for pairs in networks])
        known = np.concatenate(own)
        steps = np.unique(known) if np.isfinite(known).all() else np.empty(0)
        at = [[_shallowest(factors, step) for factors in own] for step in steps]
        chosen = [[pairs[i] for pairs, i in zip(networks, depths, strict=True)] for depths in at]
        losses = [_mean_loss(pairs, families, replicates, level) for pairs in chosen]
        reached = np.array([[factors[i] for factors, i in zip(own, depths, strict=True)] for depths in at])
        about: dict[str, Any] = {
            "pretrained": pretrained,
            "n_networks": len(networks),
            "n_families": int(families.max()) + 1,
        }
        about |= {"n_factors": len(steps), "margin": margin, "level": level, "method": FACTOR_METHOD}
        about |= {"unit": replicates.unit, "n_units": replicates.n_units}
        rows += [
            about | {"mean": name} | _bounds(losses, _means(reached, name), margin)
            for name in ("arithmetic", "geometric")
        ]
    return pd.DataFrame(rows, columns=FACTOR_COLUMNS)


def first_failure(holds: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """How many of the first rows hold in a row: [d, b] to [b], 0 to d.

    Example:
        >>> first_failure(np.array([[True, False, True], [True, True, False], [True, True, True]]))
        array([3, 0, 1])
    """
    padded = np.concatenate([holds, np.zeros((1, holds.shape[1]), dtype=bool)])
    return np.asarray(np.argmin(padded, axis=0))


def _networks(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The pairs of each network, from the shallowest cut on."""
    by_full: dict[int, list[tuple[int, int]]] = {}
    for pair in pairs:
        by_full.setdefault(pair[1], []).append(pair)
    return list(by_full.values())


def _shallowest(factors: Floats, step: float) -> int:
    """The first depth that reaches a factor, else the deepest."""
    reaches = np.flatnonzero(factors >= step)
    return int(reaches[0]) if reaches.size else factors.size - 1


def _mean_loss(
    pairs: list[tuple[int, int]], families: Codes, replicates: Replicates, level: float
) -> tuple[float, Carried]:
    """The mean difference of one pair a network (negative: a loss) with its interval."""
    t, (cuts, fulls) = replicates.tasks.index(MEAN), np.array(pairs).T
    differences = replicates.estimates[cuts, t] - replicates.estimates[fulls, t]
    moved = (replicates.resampled[cuts, t] - replicates.resampled[fulls, t]).mean(axis=0)
    at, left_out = float(differences.mean()), np.empty(0)
    if families.max() > 0:
        left_out = np.array([differences[families != family].mean() for family in range(families.max() + 1)])
    return at, jackknife(at, left_out, level=level, variance=float(standard_error(moved)) ** 2)


def _means(reached: Floats, name: str) -> Floats:
    """The average factor of the uncut networks, 1, and of each step: [1 + steps]."""
    if not reached.size:
        return np.ones(1)
    means = reached.mean(axis=1) if name == "arithmetic" else np.exp(np.log(reached).mean(axis=1))
    return np.concatenate([[1.0], means])


def _bounds(losses: list[tuple[float, Carried]], means: Floats, margin: float) -> dict[str, float]:
    """estimate, low and high of the average factor; NaN where a loss or a factor is not known."""
    if not losses or np.isnan([at for at, _ in losses]).any():
        return dict.fromkeys(("estimate", "low", "high"), np.nan)
    small = np.array([[at >= -margin, carried.low > -margin] for at, carried in losses])
    large = np.array([[carried.high < -margin] for _, carried in losses])
    estimate, low = (float(means[n]) for n in first_failure(small))
    return {"estimate": estimate, "low": low, "high": float(means[len(losses) - first_failure(large[::-1])[0]])}
