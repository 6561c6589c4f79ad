"""Confidence intervals from bootstrap replicates: percentile and BCa.

Which to take, and how often each covers: docs/statistics.md, "Which interval, and how often it covers".
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from analysis.statistics.auroc import Floats


class Interval(NamedTuple):
    """Bounds and the number of replicates that they rest on, one entry a statistic."""

    low: Floats
    high: Floats
    n_defined: npt.NDArray[np.int64]


def percentile_interval(replicates: Floats, level: float) -> Interval:
    """Percentile interval over the defined replicates; NaN where there are none.

    Args:
        replicates: [..., b], NaN where undefined.
        level: coverage between 0 and 1; the tails are of equal probability.

    Returns:
        Arrays [...]: low, high, and the number of defined replicates that they rest on.

    Raises:
        ValueError: a level outside (0, 1).

    >>> interval = percentile_interval(np.arange(101) / 100, 0.9)
    >>> round(float(interval.low), 6), round(float(interval.high), 6), int(interval.n_defined)
    (0.05, 0.95, 101)

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    check_level(level)
    tails = np.broadcast_to([(1 - level) / 2, (1 + level) / 2], (*replicates.shape[:-1], 2))
    return _quantiles(replicates, tails)


def bca_interval(estimates: Floats, replicates: Floats, left_out: Floats, level: float) -> Interval:
    """Bias-corrected and accelerated interval; NaN where bias or acceleration is undefined.

    Undefined are: every replicate on the same side of the estimate; a statistic that some unit is needed for, or that
    no unit moves; a correction that runs away (1 - a (z0 + z) at or below 0).

    Args:
        estimates: [...] the statistic on the data.
        replicates: [..., b], NaN where undefined.
        left_out: [..., u] the statistic without each unit in turn, the units being what was resampled.
        level: coverage between 0 and 1.

    Returns:
        Arrays [...]: low, high, and the number of defined replicates that they rest on.

    Raises:
        ValueError: a level outside (0, 1).

    >>> x = np.array([1.0, 2.0, 3.0, 4.0, 10.0])  # a mean, whose jackknife is (sum - x) / (n - 1)
    >>> draws = np.random.default_rng(0).choice(x, (2000, 5)).mean(axis=1)
    >>> [round(float(bound), 2) for bound in bca_interval(x.mean(), draws, (x.sum() - x) / 4, 0.9)[:2]]
    [2.2, 7.2]

    Source: Efron, Journal of the American Statistical Association 1987; Efron and Tibshirani 1993, equations 14.9 to
    14.15, with half of the replicates that equal the estimate counted as below it.
    """
    check_level(level)
    bias, acceleration = _corrections(np.asarray(estimates, dtype=np.float64), replicates, left_out)
    shifted = bias[..., None] + ndtri([(1 - level) / 2, (1 + level) / 2])
    stretch = 1 - acceleration[..., None] * shifted
    tails = ndtr(bias[..., None] + np.divide(shifted, stretch, out=np.full(shifted.shape, np.nan), where=stretch > 0))
    return _quantiles(replicates, tails)


def bca_p(estimates: Floats, replicates: Floats, left_out: Floats) -> Floats:
    """Two-sided p-value of 0 that follows from `bca_interval`: below 1 - level exactly where that leaves 0 out.

    Args:
        estimates: [...] the statistic on the data.
        replicates: [..., b], NaN where undefined.
        left_out: [..., u] the statistic without each unit in turn.

    Returns:
        [...]; NaN where the interval is, at least 2 / (B + 1) of B defined replicates.

    >>> x = np.array([1.0, 2.0, 3.0, 4.0, 10.0]) - 2.3  # 0 lies near the bound of the example above
    >>> draws = np.random.default_rng(0).choice(x, (2000, 5)).mean(axis=1)
    >>> round(float(bca_p(x.mean(), draws, (x.sum() - x) / 4)), 2)
    0.14

    Source: the interval's equation solved for its level, Efron and Tibshirani 1993, 14.10.
    """
    estimates = np.asarray(estimates, dtype=np.float64)
    bias, acceleration = _corrections(estimates, replicates, left_out)
    levels = []
    for tail in tails_at(replicates, np.zeros(estimates.shape)):
        corrected = ndtri(tail) - bias  # infinite where 0 lies beyond every replicate
        stretch = 1 + acceleration * corrected
        finite = np.isfinite(corrected) & (stretch > 0)
        shifted = np.divide(corrected, stretch, out=np.where(np.isnan(bias), np.nan, corrected), where=finite)
        levels.append(np.where(np.isnan(acceleration), np.nan, ndtr(shifted - bias)))
    return p_of_tails(levels[0], levels[1], (~np.isnan(replicates)).sum(axis=-1))


def tails_at(replicates: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Where the interpolated quantiles pass a point: up to which tail they lie below it, and up to which not above it.

    Args:
        replicates: [..., b], NaN where undefined.
        points: [...].

    Returns:
        [...] each, tails from 0 to 1, NaN where none is defined; they differ where replicates equal the point.

    >>> tails_at(np.array([0.0, 1.0, 2.0, 2.0, 4.0]), np.array(0.5)), tails_at(np.array([0.0, 1.0, 1.0]), np.array(1.0))
    ((array(0.125), array(0.125)), (array(0.5), array(1.)))
    """
    point = np.asarray(points)[..., None]
    n = (~np.isnan(replicates)).sum(axis=-1)
    made = []
    for lower in (replicates < point, replicates <= point):
        count = lower.sum(axis=-1)
        last = np.max(replicates, axis=-1, where=lower, initial=-np.inf)
        following = np.min(replicates, axis=-1, where=~lower & ~np.isnan(replicates), initial=np.inf)
        between = (count > 0) & (count < n)
        zeros = np.zeros(count.shape)
        step = np.subtract(following, last, out=zeros.copy(), where=between)
        share = np.divide(point[..., 0] - last, step, out=zeros.copy(), where=between)
        tail = np.divide(count - 1 + share, n - 1, out=np.array(count > 0, dtype=np.float64), where=between)
        made.append(np.where(n > 0, tail, np.nan))
    return made[0], made[1]


def p_of_tails(below: Floats, upto: Floats, n_defined: npt.NDArray[np.int64]) -> Floats:
    """Two-sided p-value from the tails on either side of 0: twice the smaller one, at least 2 / (B + 1), at most 1.

    Args:
        below, upto: what `tails_at` gives.
        n_defined: [...] replicates that they rest on.

    >>> float(p_of_tails(np.array(0.9), np.array(0.9), np.array(999)).round(3))
    0.2
    """
    return np.asarray(np.clip(2 * np.minimum(upto, 1 - below), 2 / (n_defined + 1), 1.0))


def check_level(level: float) -> None:
    """Refuses a coverage that is no probability.

    Raises:
        ValueError: a level outside (0, 1).

    >>> check_level(0.95)
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")


def _corrections(estimates: Floats, replicates: Floats, left_out: Floats) -> tuple[Floats, Floats]:
    """Bias and acceleration of BCa, [...] each; NaN where undefined."""
    n_defined = (~np.isnan(replicates)).sum(axis=-1)
    point = estimates[..., None]
    below = (replicates < point).sum(axis=-1) + (replicates == point).sum(axis=-1) / 2
    inside = (below > 0) & (below < n_defined)  # an infinite bias is none
    bias = ndtri(np.divide(below, n_defined, out=np.full(below.shape, np.nan), where=inside))
    moves = left_out.mean(axis=-1, keepdims=True) - left_out  # NaN, and so is the interval, where one is undefined
    spread = (moves**2).sum(axis=-1)
    moved = spread > (1e-12 * np.abs(estimates)) ** 2  # not the rounding of equal values
    return bias, np.divide((moves**3).sum(axis=-1), 6 * spread**1.5, out=np.full(spread.shape, np.nan), where=moved)


def _quantiles(values: Floats, tails: Floats) -> Interval:
    """Two quantiles of the defined values, with tails [..., 2] of each row's own; NaN where a tail is."""
    flat, flat_tails = values.reshape(-1, values.shape[-1]), tails.reshape(-1, 2)
    bounds = np.full((2, len(flat)), np.nan)
    for i, row in enumerate(flat):
        defined = row[~np.isnan(row)]
        if defined.size and not np.isnan(flat_tails[i]).any():
            bounds[:, i] = np.quantile(defined, flat_tails[i])
    shape = values.shape[:-1]
    n_defined = (~np.isnan(flat)).sum(axis=1)
    return Interval(bounds[0].reshape(shape), bounds[1].reshape(shape), n_defined.reshape(shape))
