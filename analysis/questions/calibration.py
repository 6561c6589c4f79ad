"""Are the scores probabilities? Observed frequency by bins of the score, Brier score, expected calibration error."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from analysis.evaluation import Source
from analysis.questions.compare import CELL_COLUMNS
from analysis.statistics.auroc import Floats, labelled
from analysis.statistics.bootstrap import percentile_interval

BINS, IN_BIN = 10, 20
"""Bins of a curve at most, and rows that each has at least."""
CURVE_COLUMNS = [
    *("task", "cell", "arch", "family", "pretrained", "bin", "score", "estimate", "low", "high"),
    *("level", "method", "n", "n_positive"),
]
COLUMNS = [
    *CELL_COLUMNS,
    *("task", "brier", "low", "high", "ece", "mean_score", "prevalence", "n_bins"),
    *("level", "method", "unit", "n", "n_positive", "n_resamples", "n_units"),
]
NOTE = (
    "Brier: mean squared distance of score and label, lower is better, with its percentile bootstrap interval (Low, "
    "High). ECE: mean distance of score and observed frequency over bins of equal counts; it is above 0 by chance "
    "alone, the more so in small bins. Mean score against prevalence: calibration in the large."
)
"""What belongs below the table."""
WILSON = "Wilson"


def quantile_bins(scores: Floats) -> npt.NDArray[np.int64]:
    """The bin of each score: [n] from 0; as equal in size as ties allow, equal scores together.

    >>> quantile_bins(np.linspace(0, 1, 45)).tolist().count(0)
    23
    """
    n = int(np.clip(scores.size // IN_BIN, 1, BINS))
    edges = np.unique(np.quantile(scores, np.arange(1, n) / n)) if scores.size else np.empty(0)
    return np.unique(np.searchsorted(edges, scores, side="left"), return_inverse=True)[1].astype(np.int64)


def calibration_curve(labels: Floats, scores: Floats, *, level: float) -> pd.DataFrame:
    """Observed frequency in bins of the score.

    Args:
        labels: [n] 0 or 1.
        scores: [n] probabilities.
        level: of Wilson's interval, which takes the rows as independent.

    Returns:
        bin, score (their mean), estimate (observed frequency), low, high, n, n_positive; one row a bin.

    Source: Wilson, JASA 1927; unlike the bootstrap's it has a width in bins without a positive.
    """
    codes = quantile_bins(scores)
    n, positive = np.bincount(codes), np.bincount(codes, weights=labels)
    low, high = proportion_confint(positive, n, alpha=1 - level, method="wilson")
    mean = np.bincount(codes, weights=scores) / np.maximum(n, 1)
    columns = {"bin": np.arange(n.size), "score": mean, "estimate": positive / np.maximum(n, 1), "low": low}
    return pd.DataFrame({**columns, "high": high, "n": n, "n_positive": positive.astype(int)})


def curves_table(cells: pd.DataFrame, models: list[int], source: Source, *, level: float) -> pd.DataFrame:
    """CURVE_COLUMNS: the curves of some models on every task that has labels.

    Args:
        cells: one row a model, in the order of the evaluation: cell, arch, family, pretrained.
    """
    evaluation, parts = source.evaluation, []
    for t, task in enumerate(evaluation.tasks):
        known = labelled(evaluation.labels[t])
        for model in models if known.any() else []:
            row: dict[str, Any] = {name: cells.iloc[model][name] for name in CURVE_COLUMNS[1:5]}
            curve = calibration_curve(evaluation.labels[t][known], evaluation.scores[model, t][known], level=level)
            parts.append(curve.assign(task=task, level=level, method=WILSON, **row))
    return pd.concat(parts, ignore_index=True)[CURVE_COLUMNS] if parts else pd.DataFrame(columns=CURVE_COLUMNS)


def calibration_table(cells: pd.DataFrame, source: Source | None, *, level: float) -> pd.DataFrame:
    """Brier score with its interval, expected calibration error and the means, one row a cell and task.

    Args:
        cells: m rows in the order of the evaluation: CELL_COLUMNS.
        source: of the replicates; the intervals are from the same resamples. Without it there are no rows.

    Returns:
        COLUMNS; NaN where a task has no label.

    Source: Brier, Monthly Weather Review 1950; Naeini, Cooper and Hauskrecht, AAAI 2015, with bins of equal counts.
    """
    if source is None:
        return pd.DataFrame(columns=COLUMNS)
    evaluation, rows = source.evaluation, []
    records = [{name: row[name] for name in CELL_COLUMNS} for row in cells.to_dict("records")]
    shared = {"level": level, "method": source.method, "unit": source.unit, "n_units": source.n_units}
    for t, (task, counts) in enumerate(zip(evaluation.tasks, source.counts(), strict=True)):
        known = labelled(evaluation.labels[t])
        labels, scores = evaluation.labels[t][known], evaluation.scores[:, t, known]
        squares = (scores - labels) ** 2
        drawn = counts[:, source.codes[known]].astype(np.float64)
        total = drawn.sum(axis=1)
        draws = np.divide(squares @ drawn.T, total, out=np.full((len(scores), len(drawn)), np.nan), where=total > 0)
        interval = percentile_interval(draws, level)
        about = shared | {"task": task, "n": labels.size, "n_positive": int(labels.sum()), "n_resamples": len(drawn)}
        for m, record in enumerate(records):
            ece, n_bins = _ece(labels, scores[m])
            row = {"brier": _mean(squares[m]), "low": interval.low[m], "high": interval.high[m], "ece": ece}
            row |= {"mean_score": _mean(scores[m]), "prevalence": _mean(labels), "n_bins": n_bins}
            rows.append({**record, **about, **row})
    table = pd.DataFrame(rows, columns=COLUMNS)
    place = np.tile(np.arange(len(cells)), len(evaluation.tasks))  # the tasks of a cell together
    return table.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


def _ece(labels: Floats, scores: Floats) -> tuple[float, int]:
    """Expected calibration error and its number of bins; NaN without a label."""
    if labels.size == 0:
        return float("nan"), 0
    codes = quantile_bins(scores)
    apart = np.bincount(codes, weights=scores - labels)
    return float(np.abs(apart).sum() / labels.size), int(codes.max()) + 1


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")
