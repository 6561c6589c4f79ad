"""Which networks no other beats in accuracy and cost at once."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evaluation import MEAN, Replicates
from analysis.questions.seeds import numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval

COSTS = ("parameters", "macs", "latency_ms")
"""Columns that cost: a count, multiply-accumulates of one image, and milliseconds an image."""
NOTE = (
    "A network is on the front where no other costs no more and is no worse, with one of the two strictly; its share "
    "is that of the resamples in which it is. Networks without the cost or without a mean AUROC are left out and "
    "counted."
)
"""What belongs below the table."""
COLUMNS = [
    *("cost", "x", "cell", "arch", "family", "pretrained", "truncate", "seed", "estimate", "low", "high"),
    *("on_front", "share", "n", "n_left_out", "level", "method", "unit", "n_resamples", "n_defined", "n_units"),
]


def front(cost: Floats, value: Floats) -> npt.NDArray[np.bool_]:
    """Which entries are on the Pareto front: no other costs no more and is worth no less, with one of the two strictly.

    Args:
        cost: [n], less is better.
        value: [n, ...], more is better; a front for each of the trailing entries.

    Returns:
        [n, ...]; equals are on it together. An entry with a NaN is not on it and beats nothing.

    Raises:
        ValueError: numbers of costs and values that differ.

    Example:
        >>> front(np.array([1.0, 2.0, 3.0]), np.array([0.7, 0.9, 0.8]))
        array([ True,  True, False])
    """
    if cost.ndim != 1 or value.shape[:1] != cost.shape:
        raise ValueError(f"cost must have shape [n] and value [n, ...], not {cost.shape} and {value.shape}")
    known = np.where(np.isnan(value), -np.inf, value)
    on = np.zeros(value.shape, dtype=bool)
    best = np.full(value.shape[1:], -np.inf)
    for level in np.unique(cost[~np.isnan(cost)]):
        rows = np.flatnonzero(cost == level)
        top = known[rows].max(axis=0)
        on[rows] = (known[rows] == top) & (top > best)
        best = np.maximum(best, top)
    return on


def front_share(cost: Floats, resampled: Floats) -> Floats:
    """Share of the resamples in which each entry is on the front: cost [n] and values [n, b] to [n].

    Resamples without a value of some entry that has a cost do not count; NaN where none is left, and for entries
    without a cost or without a single value.
    """
    there = ~np.isnan(cost) & ~np.isnan(resampled).all(axis=1)
    complete = ~np.isnan(resampled[there]).any(axis=0)
    share = np.full(len(cost), np.nan)
    if there.any() and complete.any():
        share[there] = front(cost[there], resampled[there][:, complete]).mean(axis=1)
    return share


def pareto_table(groups: pd.DataFrame, replicates: Replicates, *, level: float) -> pd.DataFrame:
    """Mean AUROC against each cost: one row a cost and network, by rising cost.

    Args:
        groups: what `group_seeds` gives: pretrained, scratch and truncated networks compete in one field.

    Returns:
        COLUMNS: `n` networks competed and `n_left_out` could not, for want of the cost or of a mean AUROC; a cost
        that no network has gives no rows. `share` is that of the resamples in which the network is on the front.
    """
    t = replicates.tasks.index(MEAN)
    estimates, resampled = replicates.estimates[:, t], replicates.resampled[:, t]
    interval = percentile_interval(resampled, level)
    parts = []
    for name in COSTS:
        cost = np.where(np.isnan(estimates), np.nan, numbers(groups, name))
        known = ~np.isnan(cost)
        part = groups.reindex(columns=["cell", "arch", "family", "pretrained", "truncate", "seed"]).assign(
            cost=name, x=cost, estimate=estimates, low=interval.low, high=interval.high, n_defined=interval.n_defined,
            on_front=front(cost, estimates), share=front_share(cost, resampled), n=int(known.sum()),
            n_left_out=int((~known).sum()),
        )  # fmt: skip
        parts.append(part[known].sort_values(["x", "estimate"], ascending=[True, False], kind="stable"))
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(level=level, method=replicates.method, unit=replicates.unit, n_units=replicates.n_units)
    return table.assign(n_resamples=resampled.shape[-1])[COLUMNS]
