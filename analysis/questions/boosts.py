"""The boosts of all architectures together: corrected p-values, the pooled boost, boost against size."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import false_discovery_control

from analysis.evaluation import Replicates
from analysis.questions.compare import TAIL, normal_p, pair_cells, standard_error, tail
from analysis.questions.seeds import draw_weights, numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval, two_sided_p
from analysis.statistics.multiplicity import holm
from analysis.statistics.variance import ROUNDING

FIXED, RANDOM = "fixed", "resampled"
"""Whether the architectures are these and no others, or are resampled as a sample of such architectures."""
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
    result = boosts.assign(p_holm=np.nan, p_bh=np.nan, n_tests=0, p_floor=np.nan)
    floored = boosts["n_resamples"].to_numpy() > 0
    every = np.where(floored, boosts["p_normal"].to_numpy(dtype=float), boosts["p_value"].to_numpy(dtype=float))
    for positions in boosts.groupby("task", sort=False).indices.values():
        rows = np.asarray(positions)
        p_values = every[rows]
        tested = rows[~np.isnan(p_values)]
        result.loc[result.index[rows], "n_tests"] = len(tested)
        if len(tested) == 0:
            continue
        for column, correct in (("p_holm", holm), ("p_bh", false_discovery_control)):
            result.loc[result.index[tested], column] = correct(every[tested])
    defined = result["n_defined"].to_numpy(dtype=float)
    result["p_floor"] = np.where(defined > 0, np.minimum(1.0, 2 / (defined + 1)), np.nan)
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


def pooled_table(
    groups: pd.DataFrame, replicates: Replicates, *, level: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Mean boost over the architectures, and its slope against size, per task.

    Args:
        groups: what `group_seeds` gives (or cells of a single seed), with `parameters`.
        replicates: of the same models.
        level: coverage of the intervals.
        rng: of the resampled architectures.

    Returns:
        POOLED_COLUMNS, no rows without a pair. `mean boost` is in AUROC; `slope` in AUROC for ten times the parameters,
        over the architectures whose parameters are known, NaN with fewer than three. With architectures `fixed` the
        interval is about the studies alone and the sentence about these architectures; `resampled` draws architectures
        too, as if they were a sample of such networks: they are of a few families and not independent, so that the
        interval is, if anything, narrow.
    """
    both = pair_cells(groups).both
    left, right = both["pretrained"].to_numpy(), both["scratch"].to_numpy()
    if len(both) == 0:
        return pd.DataFrame(columns=POOLED_COLUMNS)
    boost = replicates.estimates[left] - replicates.estimates[right]  # [a, t + 1]
    resampled = replicates.resampled[left] - replicates.resampled[right]
    size = np.log10(numbers(groups, "parameters")[left])
    sized = np.isfinite(size)
    b = resampled.shape[-1]
    weights, sized_weights = draw_weights(len(both), b, rng=rng), draw_weights(max(1, int(sized.sum())), b, rng=rng)
    rows = []
    for t, task in enumerate(replicates.tasks):
        values = resampled[:, t].T  # [b, a]
        shared = {"task": task, **{k: v for k, v in tail(replicates, t, level).items() if k in POOLED_COLUMNS}}
        for scope, drawn in ((FIXED, np.full((1, len(both)), 1 / len(both))), (RANDOM, weights)):
            draws = (values * drawn).sum(axis=1)
            head = {"statistic": MEAN_BOOST, "architectures": scope, "n_architectures": len(both)}
            rows.append(head | shared | _summary(float(boost[:, t].mean()), draws, level))
        for scope, drawn in ((FIXED, np.ones((1, int(sized.sum())))), (RANDOM, sized_weights)):
            estimate, draws = _slopes(boost[sized, t], values[:, sized], size[sized], drawn)
            head = {"statistic": SLOPE, "architectures": scope, "n_architectures": int(sized.sum())}
            rows.append(head | shared | _summary(estimate, draws, level))
    return pd.DataFrame(rows, columns=POOLED_COLUMNS)


def significant(boosts: pd.DataFrame, level: float) -> npt.NDArray[np.bool_]:
    """Which rows of what `corrected` gives stay significant by Holm's correction at 1 - level."""
    return np.asarray(boosts["p_holm"].to_numpy(dtype=float) < 1 - level)


def _slopes(y: Floats, resampled: Floats, x: Floats, weights: Floats) -> tuple[float, Floats]:
    """Slope on the data and in the resamples; NaN of two points or fewer, which a line always fits."""
    if len(x) < 3:
        return float("nan"), np.full(len(resampled), np.nan)
    return float(slope(y, x, np.ones(len(x)))), slope(resampled, x, weights)


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
