"""The boosts of all architectures together: corrected p-values, the pooled boost, boost against size."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import false_discovery_control

from analysis.evaluation import Replicates
from analysis.questions.compare import TAIL, normal_p, pair_cells, standard_error, tail
from analysis.questions.seeds import numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval, two_sided_p
from analysis.statistics.families import codes, jackknife
from analysis.statistics.multiplicity import holm
from analysis.statistics.variance import ROUNDING

FIXED, RANDOM = "these", "a sample of families"
"""Whether the architectures are these and no others, or stand for others: families of architectures like these."""
JACKKNIFE = "jackknife over families, t (at 95 % covers 92 to 100 %)"
"""By simulation (docs/verdicts.md), as every such figure in a table."""
POOLED_COLUMNS = [
    *("statistic", "architectures", "task", "estimate", "low", "high", "p_value", "se", "p_normal", "n_architectures"),
    *(name for name in TAIL if name not in ("n", "n_positive")),
]
MEAN_BOOST, SLOPE = "mean boost", "slope"
NOTE = (
    "p follows from the interval: below 1 - level exactly where that leaves 0 out. Holm's and Benjamini and Hochberg's "
    "corrections are over the architectures, each task a family of its own; of p_normal, from the bootstrap's standard "
    "error, where p_value is the bootstrap's own and cannot fall under p_floor."
)
"""What belongs below the table of boosts."""


def corrected(boosts: pd.DataFrame) -> pd.DataFrame:
    """The boosts with p-values corrected for the number of architectures: p_holm, p_bh, n_tests, p_floor added.

    A family of tests is one task's rows: the architectures' means are the family of record, and each task's rows one
    of their own. What is corrected is `p_value` where it has no floor (`interval=delong`), else `p_normal`: over k
    tests the bootstrap's p-values cannot fall under k times `p_floor`, 2 / (B + 1), and at 1,000 resamples 16 of
    them rest on one or two resamples in the tail.

    Args:
        boosts: what `boost_table` gives; rows without a p-value are left out of their family.

    Source: Holm, Scandinavian Journal of Statistics 1979; Benjamini and Hochberg, JRSS B 1995 (which holds for
        positively dependent tests, as boosts on the same studies are).
    """
    result = with_corrections(boosts, ["task"])
    defined = result["n_defined"].to_numpy(dtype=float)
    result["p_floor"] = np.where(defined > 0, np.minimum(1.0, 2 / (defined + 1)), np.nan)
    return result


def with_corrections(table: pd.DataFrame, families: list[str]) -> pd.DataFrame:
    """The table with p_holm, p_bh and n_tests, corrected within each family of tests.

    Args:
        table: p_value, p_normal and n_resamples (0: the p-value has no floor).
        families: columns whose values say which family a row is of.
    """
    result = table.assign(p_holm=np.nan, p_bh=np.nan, n_tests=0)
    floored = table["n_resamples"].to_numpy() > 0
    every = np.where(floored, table["p_normal"].to_numpy(dtype=float), table["p_value"].to_numpy(dtype=float))
    for positions in table.groupby(families, sort=False, dropna=False).indices.values():
        rows = np.asarray(positions)
        tested = rows[~np.isnan(every[rows])]
        result.loc[result.index[rows], "n_tests"] = len(tested)
        for column, correct in (("p_holm", holm), ("p_bh", false_discovery_control)):
            if len(tested):
                result.loc[result.index[tested], column] = correct(every[tested])
    return result


def slope(y: Floats, x: Floats, weights: Floats) -> Floats:
    """Weighted least-squares slope of y on x.

    Args:
        y: [..., n] finite or NaN.
        x: [n] finite.
        weights: [..., n] not negative, broadcast against y.

    Returns:
        [...] in units of y for one of x; NaN where a y is, or where the x of positive weight are all the same.

    Example:
        >>> slope(np.array([1.0, 3.0, 5.0]), np.array([0.0, 1.0, 2.0]), np.ones(3))
        array(2.)
    """
    total = weights.sum(axis=-1, keepdims=True)
    centred = x - (weights * x).sum(axis=-1, keepdims=True) / total
    spread = (weights * centred**2).sum(axis=-1)
    floor = ROUNDING * total[..., 0] * float((x**2).max(initial=0.0))  # equal x leave rounding errors behind
    share = (weights * centred * y).sum(axis=-1)
    spread, floor = np.broadcast_to(spread, share.shape), np.broadcast_to(floor, share.shape)
    return np.asarray(np.divide(share, spread, out=np.full(share.shape, np.nan), where=spread > floor))


def pooled_table(groups: pd.DataFrame, replicates: Replicates, *, level: float) -> pd.DataFrame:
    """Mean boost over the architectures, and its slope against size, per task.

    Args:
        groups: what `group_seeds` gives (or cells of a single seed), with `parameters`.

    Returns:
        POOLED_COLUMNS, no rows without a pair. `mean boost` is in AUROC; `slope` in AUROC for ten times the parameters,
        over the architectures whose parameters are known, NaN with fewer than three. Of `these` architectures the
        interval is the bootstrap's, about the studies (and the seeds where there are several) and no other networks.
        Of `a sample of families` it adds what leaving out each family in turn shows, with t on about as many degrees of
        freedom as there are families less one; NaN of a single family.
    """
    both = pair_cells(groups).both
    left, right = both["pretrained"].to_numpy(), both["scratch"].to_numpy()
    if len(both) == 0:
        return pd.DataFrame(columns=POOLED_COLUMNS)
    boost = replicates.estimates[left] - replicates.estimates[right]  # [a, t + 1]
    resampled = replicates.resampled[left] - replicates.resampled[right]
    families = groups["family"].to_numpy(dtype=str)[left]
    size = np.log10(numbers(groups, "parameters")[left])
    everything, sized = np.ones(len(both), dtype=bool), np.isfinite(size)
    rows = []
    for t, task in enumerate(replicates.tasks):
        shared = {"task": task, **{k: v for k, v in tail(replicates, t, level).items() if k in POOLED_COLUMNS}}
        for statistic, chosen in ((MEAN_BOOST, everything), (SLOPE, sized)):
            head = {"statistic": statistic, "n_architectures": int(chosen.sum())} | shared
            values, draws = boost[chosen, t], resampled[chosen, t].T
            found = carried(statistic, values, draws, size[chosen], families[chosen], level)
            rows += [head | {"architectures": scope} | row for scope, row in zip((FIXED, RANDOM), found, strict=True)]
    return pd.DataFrame(rows, columns=POOLED_COLUMNS)


def significant(boosts: pd.DataFrame, level: float) -> npt.NDArray[np.bool_]:
    """Which rows of what `corrected` gives stay significant by Holm's correction at 1 - level."""
    return np.asarray(boosts["p_holm"].to_numpy(dtype=float) < 1 - level)


def carried(
    statistic: str, y: Floats, draws: Floats, x: Floats, families: npt.NDArray[np.str_], level: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of these architectures and of a sample of families: y [a], draws [b, a], x and families [a]."""
    without = (codes(families) != np.arange(len(set(families)))[:, None]).astype(float)  # [families, a]
    everything = np.ones((1, y.size))
    with np.errstate(invalid="ignore"):  # a single family, without which nothing is left
        if statistic == MEAN_BOOST:
            at, left_out, moved = y.mean(), without @ y / without.sum(axis=1), draws.mean(axis=1)
        elif y.size < 3:  # a line always fits two points
            at, left_out, moved = np.nan, np.full(len(without), np.nan), np.full(len(draws), np.nan)
        else:
            at, left_out, moved = slope(y, x, everything)[0], slope(y, x, without), slope(draws, x, everything)
    fixed = _summary(float(at), moved, level)
    wider = jackknife(float(at), left_out, level=level, variance=float(fixed["se"]) ** 2)
    values = {"low": wider.low, "high": wider.high, "p_value": wider.p_value, "se": wider.se}
    named = {} if np.isnan(wider.low) else {"method": JACKKNIFE}
    return fixed, fixed | values | {"p_normal": np.nan} | named


def _summary(estimate: float, draws: Floats, level: float) -> dict[str, Any]:
    interval, error = percentile_interval(draws, level), standard_error(draws)
    return {
        "estimate": estimate,
        "low": float(interval.low),
        "high": float(interval.high),
        "p_value": float(two_sided_p(draws)),
        "se": float(error),
        "p_normal": float(normal_p(np.asarray(estimate), error)),
        "n_defined": int(interval.n_defined),
    }
