"""Area under the ROC curve, exact with ties."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]


def labelled(labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which entries carry a label: True where it is not NaN, same shape as `labels`."""
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


def check_labels(labels: npt.ArrayLike) -> Floats:
    """The labels as float64 [n].

    Raises:
        ValueError: not one-dimensional, or a label other than 0, 1 and NaN.
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
    """
    array = np.asarray(scores, dtype=np.float64)
    strange = ~np.isfinite(array)
    if strange.any():
        raise ValueError(f"scores must be finite, not {array[strange][0]} (entry {np.flatnonzero(strange)[0]})")
    return array
