"""Variance, covariance and paired tests of AUROCs without resampling, of independent or clustered rows."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtri
from scipy.stats import norm

from analysis.statistics.auroc import Floats, Wins, check_models, count_wins, labelled, sum_by_unit
from analysis.statistics.intervals import check_level

Units = npt.NDArray[np.int64]


class DeLong(NamedTuple):
    """AUROCs and how they vary together.

    Attributes:
        auroc: [m], NaN where a class is missing.
        covariance: [m, m], NaN where a class has fewer than two rows (units).
        n_positive: labelled positives.
        n_negative: labelled negatives.
    """

    auroc: Floats
    covariance: Floats
    n_positive: int
    n_negative: int


class PairedTest(NamedTuple):
    """Tests of equal AUROCs on the same rows, one entry a pair.

    Attributes:
        difference: first minus second.
        error: its standard error.
        z: difference over error, NaN where the error is 0 or undefined.
        p_value: two-sided, a probability (not its logarithm), NaN where z is.
    """

    difference: Floats
    error: Floats
    z: Floats
    p_value: Floats


class _Parts(NamedTuple):
    """Placements less the AUROC, summed over each unit: [m, u] each; numbers of units with such a row, and of all."""

    auroc: Floats
    positive: Floats
    negative: Floats
    n_rows: tuple[int, int]
    n_units: tuple[int, int, int]


def delong(labels: npt.ArrayLike, scores: npt.ArrayLike, units: Units | None = None) -> DeLong:
    """AUROCs of m models on the same rows and their full covariance matrix, in O(m n log n) and one matrix product.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite, one row a model.
        units: [n] whole numbers, where rows of the same unit (studies of a patient) are not independent.

    Raises:
        ValueError: a shape, label or score that is not as described.

    >>> result = delong([0, 0, 0, 1, 1], [[0.1, 0.4, 0.3, 0.35, 0.8], [0.1, 0.2, 0.5, 0.6, 0.3]])
    >>> result.auroc.round(4), result.covariance.round(4)
    (array([0.8333, 0.8333]), array([[ 0.0556, -0.0417],
           [-0.0417,  0.0556]]))

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 1988; with units: Obuchowski, Biometrics 1997.
    """
    parts = _parts(labels, scores, units)
    covariance = _combine(
        parts,
        parts.positive @ parts.positive.T,
        parts.negative @ parts.negative.T,
        parts.positive @ parts.negative.T + parts.negative @ parts.positive.T if units is not None else 0.0,
    )
    return DeLong(parts.auroc, (covariance + covariance.T) / 2, *parts.n_rows)


def delong_interval(
    aurocs: npt.ArrayLike,
    variances: npt.ArrayLike,
    *,
    level: float,
    scale: Literal["identity", "logit"] = "identity",
) -> tuple[Floats, Floats]:
    """Normal interval around an AUROC, cut off at 0 and 1, or normal on the logit scale.

    Args:
        aurocs: [...] between 0 and 1.
        variances: [...] of them: the diagonal of `delong(...).covariance`.
        level: coverage between 0 and 1.
        scale: "logit" stays inside (0, 1) by itself, and covers better: 93.6 against 91.5 of 100 times with 20
            positives and 180 negatives, where the AUROC is 0.85 (docs/statistics.md).

    Returns:
        Low and high [...]; NaN where the variance is 0 or undefined, since nothing is known about the error there.

    Raises:
        ValueError: a level outside (0, 1), or another scale.

    >>> low, high = delong_interval([0.8], [0.01], level=0.95, scale="logit")
    >>> low.round(3), high.round(3)
    (array([0.54]), array([0.932]))

    Source: DeLong et al. 1988; logit by the delta method: Pepe, The Statistical Evaluation of Medical Tests, 2003, 5.2.
    """
    check_level(level)
    aurocs, variances = np.asarray(aurocs, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    known = variances > 0
    half = ndtri((1 + level) / 2) * np.sqrt(np.where(known, variances, np.nan))
    if scale == "identity":
        return np.clip(aurocs - half, 0, 1), np.clip(aurocs + half, 0, 1)
    if scale != "logit":
        raise ValueError(f"scale={scale} is not one of identity, logit")
    inside = known & (aurocs > 0) & (aurocs < 1)
    centre = np.where(inside, aurocs, np.nan)
    half = half / (centre * (1 - centre))
    return expit(logit(centre) - half), expit(logit(centre) + half)


def delong_test(
    labels: npt.ArrayLike, scores: npt.ArrayLike, pairs: npt.ArrayLike, units: Units | None = None
) -> PairedTest:
    """Tests of equal AUROCs of two models on the same rows.

    The variance is that of the differences of placements, so two models that rank alike differ by exactly 0 with error
    0, and have no z and no p-value (NaN): the test has nothing to divide by, and a 1 would look like evidence.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite, one row a model.
        pairs: [k, 2] rows of `scores`: the first less the second.
        units: [n] whole numbers, where rows of the same unit (studies of a patient) are not independent.

    Raises:
        ValueError: a shape, label or score that is not as described.

    >>> test = delong_test([0, 0, 0, 1, 1], [[0.1, 0.4, 0.3, 0.35, 0.8], [0.1, 0.2, 0.5, 0.6, 0.3]], [(0, 1), (0, 0)])
    >>> test.error.round(4), test.p_value
    (array([0.441, 0.   ]), array([ 1., nan]))

    Source: DeLong et al. 1988; with units: Obuchowski 1997.
    """
    first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    parts = _parts(labels, scores, units)
    plus, minus = parts.positive[first] - parts.positive[second], parts.negative[first] - parts.negative[second]
    cross = 2 * np.vecdot(plus, minus) if units is not None else 0.0
    error = np.sqrt(np.maximum(_combine(parts, np.vecdot(plus, plus), np.vecdot(minus, minus), cross), 0))
    difference = parts.auroc[first] - parts.auroc[second]
    z = np.divide(difference, error, out=np.full(error.shape, np.nan), where=error > 0)
    return PairedTest(difference, error, z, 2 * norm.sf(np.abs(z)))


def _parts(labels: npt.ArrayLike, scores: npt.ArrayLike, units: Units | None) -> _Parts:
    labels, scores = check_models(labels, scores)
    if units is not None and units.shape != labels.shape:
        raise ValueError(f"units must have shape {labels.shape} as there are labels, not {units.shape}")
    wins: Wins = count_wins(labels, scores)
    n_plus, n_minus = wins.positive.shape[1], wins.negative.shape[1]
    pairs = n_plus * n_minus
    auroc = wins.positive.sum(axis=1) / pairs if pairs else np.full(len(scores), np.nan)
    plus = wins.positive / max(n_minus, 1) - auroc[:, None]
    minus = wins.negative / max(n_plus, 1) - auroc[:, None]
    if units is None:
        return _Parts(auroc, plus, minus, (n_plus, n_minus), (n_plus, n_minus, n_plus + n_minus))
    known = labelled(labels)
    names, codes = np.unique(units[known], return_inverse=True)
    of_plus, of_minus = codes[labels[known] == 1], codes[labels[known] == 0]
    return _Parts(
        auroc,
        sum_by_unit(plus, of_plus, names.size),
        sum_by_unit(minus, of_minus, names.size),
        (n_plus, n_minus),
        (np.unique(of_plus).size, np.unique(of_minus).size, names.size),
    )


def _combine(parts: _Parts, plus: Floats, minus: Floats, cross: Floats | float) -> Floats:
    """Variance from sums of squares: S10 / n+ + S01 / n- + 2 S11 / (n+ n-) of Obuchowski, DeLong's without the last."""
    (n_plus, n_minus), (units_plus, units_minus, units) = parts.n_rows, parts.n_units
    if min(units_plus, units_minus) < 2:
        return np.full(np.shape(plus), np.nan)
    return (
        units_plus / (units_plus - 1) * plus / n_plus**2
        + units_minus / (units_minus - 1) * minus / n_minus**2
        + units / (units - 1) * cross / (n_plus * n_minus)
    )
