"""Average precision, and sensitivity and specificity at a cut, in joint resamples."""

import math

import numpy as np
import numpy.typing as npt

from analysis.statistics.auroc import Floats, check_models, labelled
from analysis.statistics.bootstrap import BLOCK, Counts, check_counts


def bootstrap_average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike, counts: Counts) -> Floats:
    """The average precision of every model in every resample: the area under the steps of precision over recall.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite; equal scores are one step.
        counts: [b, n] how often each entry occurs in each resample.

    Returns:
        [m, b]; NaN where a resample holds no positive or no negative.

    >>> bootstrap_average_precision([0, 0, 1, 1], [[0.1, 0.4, 0.4, 0.8]], np.ones((1, 4), dtype=np.uint8))
    array([[0.83333333]])

    Source: scikit-learn's average_precision_score; Davis and Goadrich, ICML 2006, on why not to interpolate.
    """
    labels, scores = check_models(labels, scores)
    check_counts(counts, labels.size)
    known = np.flatnonzero(labelled(labels))
    positive, of_known, result = labels[known] == 1, counts[:, known], np.full((len(scores), len(counts)), np.nan)
    for model, row in enumerate(scores[:, known]):
        order = np.argsort(-row, kind="stable")
        at = np.flatnonzero(positive[order])  # places of the positives, and of the last entry tied with each
        ends = np.searchsorted(-row[order], -row[order][at], side="right") - 1
        step = max(1, BLOCK // (4 * max(1, known.size)))
        for start in range(0, len(counts), step):
            rows = slice(start, start + step)
            drawn = of_known[rows][:, order].astype(np.int32)
            above, hits = np.cumsum(drawn, axis=1), np.cumsum(drawn * positive[order], axis=1)
            total = hits[:, -1] if known.size else np.zeros(len(drawn))
            both = (total > 0) & (above[:, -1] > total) if known.size else np.zeros(len(drawn), dtype=bool)
            precision = hits[both][:, ends] / np.maximum(above[both][:, ends], 1)
            result[model, start : start + len(drawn)][both] = (drawn[both][:, at] * precision).sum(axis=1) / total[both]
    return result


def bootstrap_share(hits: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_], counts: Counts) -> Floats:
    """The share of some entries that are hits, for every model in every resample: [m, b]; NaN where there are none.

    Args:
        hits: [m, n], such as scores above a cut.
        of: [n] which entries count, such as the positives.
        counts: [b, n] how often each entry occurs in each resample.
    """
    drawn = counts[:, of].astype(np.float64)
    total = drawn.sum(axis=1)
    share = np.full((len(hits), len(drawn)), np.nan)
    np.divide(hits[:, of] @ drawn.T, total, out=share, where=total > 0)
    return share


def cut_for(labels: Floats, scores: Floats, specificity: float) -> float:
    """The lowest cut at which scores above it leave at least this share of the negatives below; NaN without negatives.

    Args:
        labels: [n] 0, 1 or NaN.
        scores: [n].
        specificity: above 0, at most 1.

    >>> cut_for(np.array([0.0, 0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.35]), 0.75)
    0.3
    """
    negatives = np.sort(scores[labels == 0])
    place = math.ceil(specificity * negatives.size - 1e-9) - 1
    return float(negatives[max(place, 0)]) if negatives.size else math.nan
