"""ROC curves in joint resamples: the true-positive rate at each false-positive rate, with a pointwise band."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evaluation import Source
from analysis.statistics.auroc import Floats, check_models, labelled
from analysis.statistics.bootstrap import BLOCK, Counts, check_counts, percentile_interval
from analysis.units import too_few

GRID = np.linspace(0, 1, 101)
"""False-positive rates at which curves are read."""
NEAR = 1e-6
"""Below any distance between a count and a hundredth of a whole number that is not 0: what rounding may do."""
COLUMNS = [
    *("task", "cell", "arch", "family", "pretrained", "fpr", "estimate", "low", "high"),
    *("level", "method", "unit", "n", "n_positive", "n_resamples", "n_defined", "n_units"),
]


def sensitivity(labels: npt.ArrayLike, scores: npt.ArrayLike, counts: Counts, grid: Floats) -> Floats:
    """The highest true-positive rate that each resample reaches at each false-positive rate, between points linearly.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [n] finite; equal ones are one point of the curve.
        counts: [b, n] how often each entry occurs in each resample.
        grid: [g] false-positive rates from 0 to 1, in hundredths.

    Returns:
        [b, g]; NaN where a resample holds no positive or no negative.

    Raises:
        ValueError: a shape, label, score or count that is not as described.

    >>> sensitivity([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8], np.ones((1, 4), dtype=np.uint8), np.array([0, 0.25, 0.5, 1]))
    array([[0.5 , 0.75, 1.  , 1.  ]])

    Source: Fawcett, Pattern Recognition Letters 2006, section 5.
    """
    labels, scores = check_models(labels, np.atleast_2d(scores))
    check_counts(counts, labels.size)
    known = labelled(labels)
    order = np.flatnonzero(known)[np.argsort(-scores[0, known], kind="stable")]
    ends = np.flatnonzero(np.append(np.diff(scores[0, order]) != 0, True)) if order.size else order
    positive = labels[order] == 1
    result = np.full((len(counts), len(grid)), np.nan)
    step = max(1, BLOCK // (4 * max(1, order.size)))
    for start in range(0, len(counts), step):
        rows = slice(start, start + step)
        drawn = counts[rows][:, order].astype(np.int64)
        above = [np.cumsum(drawn * side, axis=1)[:, ends] for side in (positive, ~positive)]
        true, false = (np.pad(side, ((0, 0), (1, 0))) for side in above)
        both = (true[:, -1] > 0) & (false[:, -1] > 0)
        result[rows][both] = _read(true[both], false[both], grid)
    return result


def roc_table(cells: pd.DataFrame, models: list[int], source: Source, *, level: float) -> pd.DataFrame:
    """The curves of some models on every task, with a pointwise percentile band in the resamples of all other tables.

    Args:
        cells: one row a model, in the order of the evaluation: cell, arch, family, pretrained.
        level: coverage of the band at each false-positive rate; the whole curve lies in it less often.

    Returns:
        COLUMNS, one row a task, model and false-positive rate; a task that lacks a class has none. No band, and the
        reason in `method`, where a task has too few positives or negatives.
    """
    evaluation, parts = source.evaluation, []
    for t, (task, counts) in enumerate(zip(evaluation.tasks, source.counts(), strict=True)):
        labels, by_row = evaluation.labels[t], counts[:, source.codes]
        few, once = too_few(labels, source.codes, source.n_units), np.ones((1, labels.size), dtype=np.uint8)
        for model in models:
            estimate = sensitivity(labels, evaluation.scores[model, t], once, GRID)[0]
            if np.isnan(estimate).any():
                continue
            draws = sensitivity(labels, evaluation.scores[model, t], by_row, GRID)
            band = percentile_interval(np.full_like(draws.T, np.nan) if few else draws.T, level)
            row = {name: cells.iloc[model][name] for name in COLUMNS[1:5]}
            row |= {"task": task, "level": level, "method": few or source.method}
            row |= {"unit": source.unit, "n_units": source.n_units}
            row |= {"n": int(labelled(labels).sum()), "n_positive": int((labels == 1).sum())}
            columns = {"fpr": GRID, "estimate": estimate, "low": band.low, "high": band.high}
            parts.append(pd.DataFrame({**columns, "n_defined": band.n_defined}).assign(**row, n_resamples=len(draws)))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _read(true: npt.NDArray[np.int64], false: npt.NDArray[np.int64], grid: Floats) -> Floats:
    """Reads b curves at once: counts [b, k] of true and false positives, rising, to [b, g]."""
    b, k = false.shape
    rows = np.arange(b)[:, None]
    apart = rows * (int(false.max(initial=0)) + 2)  # curves one after the other, so that one search serves all
    sought = grid * false[:, -1:]
    at = np.searchsorted((false + apart).ravel(), (sought + NEAR + apart).ravel(), side="right").reshape(b, len(grid))
    at -= 1 + rows * k
    after = np.minimum(at + 1, k - 1)
    run = false[rows, after] - false[rows, at]
    share = np.divide(sought - false[rows, at], run, out=np.zeros(sought.shape), where=run > 0).clip(0)
    return np.asarray((true[rows, at] + share * (true[rows, after] - true[rows, at])) / true[:, -1:])
