"""Area under the ROC curve, exact with ties, and the wins that its variance and its jackknife are made of."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]


class Wins(NamedTuple):
    """Won comparisons, a tie counting one half: multiples of one half, exact in float64.

    Divided by the size of the other class they are the placement values (structural components) of DeLong et al.

    Attributes:
        positive: [m, n+] how many negatives each positive outscores.
        negative: [m, n-] how many positives outscore each negative.
    """

    positive: Floats
    negative: Floats


def labelled(labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which entries carry a label: True where it is not NaN, same shape as `labels`.

    >>> labelled([0, np.nan, 1]).tolist()
    [True, False, True]
    """
    return ~np.isnan(np.asarray(labels, dtype=np.float64))


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Probability that a positive outscores a negative, a tie counting one half.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [n] finite; only their order matters.

    Returns:
        Between 0 and 1, or NaN where no positive or no negative is labelled.

    Raises:
        ValueError: a shape, label or score that is not as described.

    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875

    Source: Hanley and McNeil, Radiology 1982: the Wilcoxon-Mann-Whitney statistic over n+ n-, from midranks.
    """
    labels, scores = check_labels(labels), check_scores(scores)
    if labels.shape != scores.shape:
        raise ValueError(f"labels have shape {labels.shape} and scores {scores.shape}: they must be the same")
    known = labelled(labels)
    positive = labels[known] == 1
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    ranks = rankdata(scores[known])  # midranks in float64: multiples of one half, so the sum below is exact
    wins = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(wins / (n_positive * n_negative))


def count_wins(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Wins:
    """Won comparisons of every labelled row, for every model, in O(m n log n).

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite, one row a model.

    Raises:
        ValueError: a shape, label or score that is not as described.

    >>> count_wins([0, 0, 1, 1], [[0.1, 0.4, 0.4, 0.8]])
    Wins(positive=array([[1.5, 2. ]]), negative=array([[2. , 1.5]]))

    Source: Sun and Xu, IEEE Signal Processing Letters 2014, whose midranks are taken here by sorting one class only:
    where the positives fall among the sorted negatives also says how many of them lie above each negative.
    """
    labels, scores = check_models(labels, scores)
    s_plus, s_minus = scores[:, labels == 1], scores[:, labels == 0]
    n_plus, n_minus = s_plus.shape[1], s_minus.shape[1]
    wins = Wins(np.empty(s_plus.shape), np.empty(s_minus.shape))
    for model in range(len(scores)):
        order = np.argsort(s_minus[model])
        ranked = s_minus[model, order]
        lower, upto = (np.searchsorted(ranked, s_plus[model], side=side) for side in ("left", "right"))
        wins.positive[model] = (lower + upto) / 2
        not_above = np.bincount(lower, minlength=n_minus + 1) + np.bincount(upto, minlength=n_minus + 1)
        wins.negative[model, order] = n_plus - np.cumsum(not_above)[:n_minus] / 2
    return wins


def leave_out_auroc(labels: npt.ArrayLike, scores: npt.ArrayLike, units: npt.NDArray[np.int64]) -> Floats:
    """The AUROC of every model without each unit in turn, in closed form: nothing is ranked again.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite, one row a model.
        units: [n] whole numbers 0 .. u-1, the unit (study, patient, image) of each row.

    Returns:
        [m, u]; NaN where the other units lack a class.

    Raises:
        ValueError: a shape, label or score that is not as described.

    >>> leave_out_auroc([0, 0, 1, 1], [[0.1, 0.4, 0.4, 0.8]], np.arange(4))
    array([[0.75, 1.  , 1.  , 0.75]])
    """
    labels, scores = check_models(labels, scores)
    wins = count_wins(labels, scores)
    n_units = int(units.max()) + 1
    of_plus, of_minus = units[labels == 1], units[labels == 0]
    n_plus, n_minus = np.bincount(of_plus, minlength=n_units), np.bincount(of_minus, minlength=n_units)
    lost = sum_by_unit(wins.positive, of_plus, n_units) + sum_by_unit(wins.negative, of_minus, n_units)
    if (n_plus * n_minus).any():  # pairs within a unit were taken away twice
        lost -= _wins_within(labels, scores, units, n_plus)
    left = wins.positive.sum(axis=1, keepdims=True) - lost
    pairs = np.broadcast_to((of_plus.size - n_plus) * (of_minus.size - n_minus), left.shape)
    aurocs: Floats = np.full(left.shape, np.nan)
    np.divide(left, pairs, out=aurocs, where=pairs > 0)
    return aurocs


def sum_by_unit(values: Floats, units: npt.NDArray[np.int64], n_units: int) -> Floats:
    """Sums over the rows of each unit: [m, n] values of rows, [n] units, to [m, n_units].

    >>> sum_by_unit(np.array([[1.0, 2.0, 4.0]]), np.array([1, 0, 1]), 3)
    array([[2., 5., 0.]])
    """
    sums = np.zeros((len(values), n_units))
    for total, row in zip(sums, values, strict=True):
        total[:] = np.bincount(units, weights=row, minlength=n_units)
    return sums


def check_labels(labels: npt.ArrayLike) -> Floats:
    """The labels as float64 [n].

    Raises:
        ValueError: not one-dimensional, or a label other than 0, 1 and NaN.

    >>> check_labels([True, False])
    array([1., 0.])
    """
    array = np.asarray(labels, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"labels must have one dimension, not shape {array.shape}")
    strange = labelled(array) & (array != 0) & (array != 1)
    if strange.any():
        raise ValueError(f"labels must be 0, 1 or NaN, not {array[strange][0]} (entry {np.flatnonzero(strange)[0]})")
    return array


def check_scores(scores: npt.ArrayLike) -> Floats:
    """The scores as float64, of whatever shape.

    Raises:
        ValueError: a score is NaN or infinite.

    >>> check_scores([[1, 2]])
    array([[1., 2.]])
    """
    array = np.asarray(scores, dtype=np.float64)
    strange = ~np.isfinite(array)
    if strange.any():
        raise ValueError(f"scores must be finite, not {array[strange][0]} (entry {np.flatnonzero(strange)[0]})")
    return array


def check_models(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Labels [n] and scores [m, n] as float64.

    Raises:
        ValueError: a shape, label or score that is not as described.

    >>> check_models([0, 1], [[0.5, 0.25]])
    (array([0., 1.]), array([[0.5 , 0.25]]))
    """
    labels, scores = check_labels(labels), check_scores(scores)
    if scores.ndim != 2 or scores.shape[1] != labels.size:
        raise ValueError(f"scores must have shape [models, {labels.size}] as there are labels, not {scores.shape}")
    return labels, scores


def _wins_within(labels: Floats, scores: Floats, units: npt.NDArray[np.int64], n_plus: npt.NDArray[np.int64]) -> Floats:
    """Won comparisons between rows of the same unit: [m, u]."""
    known = labelled(labels)
    units, positive = units[known], labels[known] == 1
    before = np.cumsum(np.bincount(units, minlength=n_plus.size)) - np.bincount(units, minlength=n_plus.size)
    won: Floats = np.empty((len(scores), n_plus.size))
    for model, row in enumerate(scores[:, known]):
        level = rankdata(row, method="dense").astype(np.int64)
        ranks = rankdata(units * level.max() + level) - before[units]  # by unit first, so within each unit
        won[model] = np.bincount(units[positive], weights=ranks[positive], minlength=n_plus.size)
    won -= n_plus * (n_plus + 1) / 2
    return won
