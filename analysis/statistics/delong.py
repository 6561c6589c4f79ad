"""Intervals of AUROCs, their means and differences without resampling, from DeLong's influences of whole units.

How often they cover, beside the bootstrap's: docs/statistics.md, from `python -m tests.operating.coverage`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import t as student

from analysis.statistics.auroc import Floats, check_models, count_wins, labelled, sum_by_unit
from analysis.statistics.intervals import check_level

Units = npt.NDArray[np.int64]

PRIOR = 10.0
"""Degrees of freedom that Hanley and McNeil's variance counts for beside DeLong's. Ours: of 5, 10 and 20 the one that
covers 95 to 98 % with 10 to 50 positives, AUROC 0.75 to 0.95 and equal variances, and at least 89 % with others."""
HALVINGS = 50
"""Of the interval in which a bound is looked for: to the last bit of float64."""


class Influence(NamedTuple):
    """How each unit moves the AUROCs of some models, and what is needed to judge the sum of its squares.

    Attributes:
        auroc: [m].
        values: [m, u]; products of two rows, summed over the units, are (co)variances: DeLong's where each unit has one
            row, else Obuchowski's but for the factor of the cross term. NaN where a class has fewer than two units.
        alone: [m] DeLong's variance as if every row were a unit.
        positive: [u] whether the unit has a positive row.
        known: [u] whether the unit has a labelled row.
        n_positive: labelled positives.
        n_negative: labelled negatives.
    """

    auroc: Floats
    values: Floats
    alone: Floats
    positive: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    n_positive: int
    n_negative: int


def influence(labels: npt.ArrayLike, scores: npt.ArrayLike, units: Units, n_units: int) -> Influence:
    """Influence of every unit on the AUROC of every model, in O(m n log n).

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite, one row a model.
        units: [n] whole numbers 0 .. n_units-1, the unit of each row.
        n_units: how many units there are, the same for every task whose influences are to be multiplied.

    Raises:
        ValueError: a shape, label or score that is not as described.

    >>> made = influence([0, 0, 0, 1, 1], [[0.1, 0.4, 0.3, 0.35, 0.8]], np.arange(5), 5)
    >>> (made.values**2).sum(axis=1).round(4), made.alone.round(4)
    (array([0.0556]), array([0.0556]))

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 1988; of units with several rows: Obuchowski, Biometrics 1997.
    """
    labels, scores = check_models(labels, scores)
    wins = count_wins(labels, scores)
    n_plus, n_minus = wins.positive.shape[1], wins.negative.shape[1]
    auroc = wins.positive.sum(axis=1) / (n_plus * n_minus) if n_plus and n_minus else np.full(len(scores), np.nan)
    up = (wins.positive / max(n_minus, 1) - auroc[:, None]) / max(n_plus, 1)
    down = (wins.negative / max(n_plus, 1) - auroc[:, None]) / max(n_minus, 1)
    of_plus, of_minus = units[labels == 1], units[labels == 0]
    positive = np.bincount(of_plus, minlength=n_units) > 0
    negative = np.bincount(of_minus, minlength=n_units) > 0
    values = _stretch(positive.sum()) * sum_by_unit(up, of_plus, n_units)
    values += _stretch(negative.sum()) * sum_by_unit(down, of_minus, n_units)
    alone = (_stretch(n_plus) ** 2) * (up**2).sum(axis=1) + (_stretch(n_minus) ** 2) * (down**2).sum(axis=1)
    known = np.bincount(units[labelled(labels)], minlength=n_units) > 0
    return Influence(auroc, values, alone, positive, known, n_plus, n_minus)


def freedom(values: Floats, positive: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Floats:
    """Degrees of freedom of a sum of squared influences [..., u]: [...].

    Args:
        values: [..., u] influences, or sums of them over models.
        positive: [u] whether the unit has a positive row.
        known: [u] whether it has a labelled row.

    Returns:
        [...]; where every influence is 0, one less than the smaller number of units.

    >>> float(freedom(np.array([3.0, -3.0, 3.0, -3.0]), np.array([True, True, False, False]), np.ones(4, dtype=bool)))
    2.0

    Source: Satterthwaite, Biometrics Bulletin 1946, for two groups: units with a positive, and the others. Brunner and
        Munzel, Biometrical Journal 2000, take it for this statistic.
    """
    sizes = np.array([positive.sum(), (known & ~positive).sum()], dtype=np.float64)
    parts = np.stack([(values[..., positive] ** 2).sum(axis=-1), (values[..., known & ~positive] ** 2).sum(axis=-1)])
    return satterthwaite(parts, np.maximum(sizes - 1, 1).reshape(2, *[1] * (parts.ndim - 1)))


def satterthwaite(variances: Floats, freedoms: npt.ArrayLike) -> Floats:
    """Degrees of freedom of a sum of independent variances, the first axis; of zeros alone, the fewest.

    Args:
        variances: [k, ...].
        freedoms: [k, ...] of each, broadcast against the variances.

    >>> satterthwaite(np.array([1.0, 1.0]), [4.0, 4.0]), satterthwaite(np.array([0.0, 0.0]), [4.0, 9.0])
    (array(8.), array(4.))

    Source: Satterthwaite, Biometrics Bulletin 1946.
    """
    freedoms = np.broadcast_to(np.asarray(freedoms, dtype=np.float64), variances.shape)
    least = np.asarray(freedoms.min(axis=0))
    below = (variances**2 / freedoms).sum(axis=0)
    return np.asarray(np.divide(variances.sum(axis=0) ** 2, below, out=least.copy(), where=below > 0))


def score_interval(
    aurocs: Floats, variances: Floats, freedoms: Floats, *, alone: Floats, sizes: tuple[int, int], level: float
) -> tuple[Floats, Floats]:
    """Score interval of single AUROCs: the values from which the estimate is no further than their own error allows.

    The variance at a value is Hanley and McNeil's, times DeLong's estimate over theirs at the estimate, which is drawn
    towards 1 (with clusters: towards what they multiply the variance by, if more) as if PRIOR degrees of freedom said
    so. So a few positives that all happen to lie high do not make the variance vanish.

    Args:
        aurocs: [...] between 0 and 1, both excluded; at 0 and 1 see `separable_bound`.
        variances: [...] DeLong's, by unit.
        freedoms: [...] of them.
        alone: [...] DeLong's as if every row were a unit.
        level: coverage between 0 and 1.

    Returns:
        Low and high [...]; NaN where the variance is.

    Raises:
        ValueError: a level outside (0, 1).

    >>> estimate, variance, freedom = np.array([[0.8], [0.01], [9.0]])
    >>> low, high = score_interval(estimate, variance, freedom, alone=variance, sizes=(10, 90), level=0.95)
    >>> low.round(3), high.round(3)
    (array([0.577]), array([0.929]))

    Source: Newcombe, Statistics in Medicine 2006 (method 5: the variance inverted); Hanley and McNeil, Radiology 1982
        (the variance, here the larger of its two forms for the smaller class); drawn towards it as variances are in
        Smyth, Statistical Applications in Genetics and Molecular Biology 2004.
    """
    check_level(level)
    expected = hanley_mcneil(aurocs, sizes)
    known = (expected > 0) & np.isfinite(variances)
    blank = np.full(np.shape(aurocs), np.nan)
    ratio = np.divide(variances, expected, out=blank.copy(), where=known)
    design = np.divide(variances, alone, out=np.ones_like(blank), where=alone > 0)
    scale = (ratio * freedoms + np.maximum(design, 1) * PRIOR) / (freedoms + PRIOR)
    reach = student.ppf((1 + level) / 2, freedoms + PRIOR) * np.sqrt(scale)
    bounds = []
    for end in (0.0, 1.0):
        outside, inside = np.full_like(blank, end), np.array(aurocs, dtype=np.float64)
        for _ in range(HALVINGS):
            middle = (outside + inside) / 2
            beyond = np.abs(aurocs - middle) > reach * np.sqrt(hanley_mcneil(middle, sizes))
            outside, inside = np.where(beyond, middle, outside), np.where(beyond, inside, middle)
        bounds.append(np.where(np.isnan(reach), np.nan, inside))
    return bounds[0], bounds[1]


def hanley_mcneil(aurocs: Floats, sizes: tuple[int, int]) -> Floats:
    """Variance of an AUROC of this value under exponential scores, the smaller class being the more variable one.

    Args:
        aurocs: [...] between 0 and 1.

    >>> float(hanley_mcneil(np.array(0.5), (1, 1)))
    0.25

    Source: Hanley and McNeil, Radiology 1982.
    """
    few, many = sorted(sizes)
    first, second = aurocs / (2 - aurocs) - aurocs**2, 2 * aurocs**2 / (1 + aurocs) - aurocs**2
    large, small = np.maximum(first, second), np.minimum(first, second)
    return np.asarray((aurocs * (1 - aurocs) + (few - 1) * small + (many - 1) * large) / (few * many))


def separable_bound(n_pairs: int, level: float) -> float:
    """One-sided lower bound of an AUROC where every positive outscores every negative.

    So many pairs without a unit in common are independent, and all of them were ordered rightly, which has the
    probability AUROC ** n_pairs: the bound is the value at which that is 1 - level. It holds whatever the distribution.

    Args:
        n_pairs: pairs of a positive and a negative with no unit in common.
        level: coverage between 0 and 1.

    Raises:
        ValueError: a level outside (0, 1).

    >>> round(separable_bound(20, 0.95), 3)  # the rule of three: 1 - 3 / 20
    0.861

    Source: Clopper and Pearson, Biometrika 1934, with no failure; Hanley and Lippman-Hand, JAMA 1983 (rule of three).
    """
    check_level(level)
    return float((1 - level) ** (1 / n_pairs))


def mover(estimates: Floats, lows: Floats, highs: Floats, correlations: Floats) -> tuple[float, float]:
    """Interval of a mean from the intervals of its parts and their correlations.

    Args:
        estimates: [k] of the parts.
        lows, highs: [k] their bounds.
        correlations: [k, k] of the estimates.

    >>> low, high = mover(np.array([0.8, 0.6]), np.array([0.7, 0.5]), np.array([0.9, 0.7]), np.ones((2, 2)))
    >>> round(low, 3), round(high, 3)
    (0.6, 0.8)

    Source: Zou and Donner, Statistics in Medicine 2008 (MOVER), with correlations: Zou, Psychological Methods 2007.
    """
    middle = float(estimates.mean())
    below, above = estimates - lows, highs - estimates
    reach = [float(np.sqrt(np.maximum(part @ correlations @ part, 0.0))) / len(estimates) for part in (below, above)]
    return middle - reach[0], middle + reach[1]


def t_interval(estimates: Floats, errors: Floats, freedoms: Floats, level: float) -> tuple[Floats, Floats]:
    """Interval by Student's t; NaN where the error is 0 or undefined, since nothing is known of it there.

    Args:
        estimates: [...].
        errors: [...] their standard errors.
        freedoms: [...] degrees of freedom of the errors.
        level: coverage between 0 and 1.

    Raises:
        ValueError: a level outside (0, 1).

    >>> low, high = t_interval(np.array([0.1]), np.array([0.02]), np.array([9.0]), 0.95)
    >>> low.round(3), high.round(3)
    (array([0.055]), array([0.145]))

    Source: for AUROCs Brunner and Munzel, Biometrical Journal 2000.
    """
    check_level(level)
    half = student.ppf((1 + level) / 2, freedoms) * np.where(errors > 0, errors, np.nan)
    return estimates - half, estimates + half


def t_p(estimates: Floats, errors: Floats, freedoms: Floats) -> Floats:
    """Two-sided p-value of 0 by Student's t: below 1 - level exactly where `t_interval` leaves 0 out; NaN where it is.

    Args:
        estimates: [...].
        errors: [...] their standard errors.
        freedoms: [...] degrees of freedom of the errors.

    >>> t_p(np.array([0.1]), np.array([0.05]), np.array([9.0])).round(3)
    array([0.077])
    """
    statistic = np.divide(estimates, errors, out=np.full(np.shape(estimates), np.nan), where=errors > 0)
    return np.asarray(2 * student.sf(np.abs(statistic), freedoms))


def logit_t_interval(estimates: Floats, errors: Floats, freedoms: Floats, level: float) -> tuple[Floats, Floats]:
    """The same on the logit scale, for AUROCs and means of them: within (0, 1); NaN where one is 0 or 1.

    Args:
        estimates: [...] between 0 and 1.
        errors: [...] their standard errors, on the scale of the estimates.
        freedoms: [...] degrees of freedom of the errors.
        level: coverage between 0 and 1.

    Raises:
        ValueError: a level outside (0, 1).

    >>> low, high = logit_t_interval(np.array([0.8]), np.array([0.1]), np.array([1e9]), 0.95)
    >>> low.round(3), high.round(3)
    (array([0.54]), array([0.932]))

    Source: Qin and Hotilovac, Statistical Methods in Medical Research 2008 (logit); Brunner and Munzel 2000 (t).
    """
    inside = np.where((estimates > 0) & (estimates < 1), estimates, np.nan)
    low, high = t_interval(logit(inside), errors / (inside * (1 - inside)), freedoms, level)
    return expit(low), expit(high)


def _stretch(n: int) -> float:
    """The root of n / (n - 1), which makes a mean of squares a sample variance; NaN of fewer than two."""
    return float(np.sqrt(n / (n - 1))) if n > 1 else float("nan")
