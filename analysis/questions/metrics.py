"""Metrics beside AUROC: a row of METRICS declares one; intervals and boosts come from the same code."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.evaluation import Evaluation, Replicates, with_mean
from analysis.questions.boosts import corrected
from analysis.questions.compare import AUROC_COLUMNS, auroc_table, boost_table
from analysis.questions.seeds import group_seeds
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import Counts
from analysis.statistics.metrics import bootstrap_average_precision, bootstrap_share, cut_for

COLUMNS = ["metric", *AUROC_COLUMNS, "cut"]
NO_ERROR = "none: no resample shows an error that the data do not"
"""Where a metric is 0 or 1 and every resample agrees."""
Metric = Callable[[Floats, Floats, Counts, Floats], Floats]
"""From labels [n], scores [m, n], resample counts [b, n] and the models' cuts [m, 1] to values [m, b]."""
METRICS: dict[str, Metric] = {
    "average_precision": lambda labels, scores, counts, _: bootstrap_average_precision(labels, scores, counts),
    "sensitivity": lambda labels, scores, counts, cuts: bootstrap_share(scores > cuts, labels == 1, counts),
    "specificity": lambda labels, scores, counts, cuts: bootstrap_share(scores <= cuts, labels == 0, counts),
}
AT_CUT = ("sensitivity", "specificity")
"""At a cut of the scores from validation: asked for by the first, which brings the specificity on the test set."""


Statistic = Callable[[int, Floats, Floats, Counts], Floats]
"""From a task's number, its labels [n], the models' scores [m, n] and resample counts [b, n] to values [m, b]."""


def under(replicates: Replicates, statistic: Statistic) -> Replicates:
    """The same models, tasks and resamples under another statistic than the AUROC, without their source.

    Args:
        replicates: of cells, with their source.
        statistic: its values; NaN where undefined.

    Raises:
        ValueError: replicates without a source.
    """
    source = replicates.source
    if source is None or replicates.members is not None:
        raise ValueError("another statistic takes the replicates of cells, with their source")
    once: Counts = np.ones((1, source.n_units), np.uint8)
    labels, scores = source.evaluation.labels, source.evaluation.scores
    values, estimates = (
        np.stack([statistic(t, y, scores[:, t], drawn[:, source.codes])
                  for t, (y, drawn) in enumerate(zip(labels, counts, strict=True))], axis=1)
        for counts in (source.counts(), [once] * len(labels))
    )  # fmt: skip
    values[:, [bool(why) for why in replicates.few[: len(labels)]]] = np.nan
    return replace(
        replicates,
        estimates=with_mean(estimates[..., 0], replicates.parts),
        resampled=with_mean(values, replicates.parts),
        source=None,
    )


def note(specificity: float) -> str:
    """What belongs below the tables."""
    return (
        "Average precision: its floor is the prevalence. Sensitivity and Specificity: on the test set, at the cut that "
        f"has a specificity of {specificity:g} on a cell's own validation set, task by task; the intervals take that "
        "cut as given, as somebody does who uses it. Percentile intervals from the same resamples as everything else; "
        "of those at 95 %, 93 and more cover with 20 positives, 80 and more with 10 (docs/statistics.md)."
    )


def cuts(validation: Evaluation, specificity: float) -> Floats:
    """The cut of each model and task on its validation set: [m, t], NaN without a labelled negative.

    Args:
        validation: what the models said about their validation studies.
        specificity: that the cut has there.
    """
    pairs = [zip(validation.labels, model, strict=True) for model in validation.scores]
    return np.array([[cut_for(labels, row, specificity) for labels, row in model] for model in pairs])


def metric_tables(
    words: Sequence[str],
    cells: pd.DataFrame,
    replicates: Replicates,
    at: Floats,
    *,
    level: float,
    seed: Callable[[], np.random.Generator],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `metrics` and `metrics_boost`: those of AUROC and boost with another statistic.

    Args:
        words: keys of METRICS.
        cells: m rows in the order of the replicates.
        replicates: of the cells, with their source.
        at: [m, t] cuts; NaN where none is known.
        level: coverage of the intervals.
        seed: makes the generator of the resampled seeds, the same for every metric.

    Returns:
        COLUMNS, and the columns of `boost` after `metric`.
    """
    made, boosts = [pd.DataFrame(columns=COLUMNS)], [pd.DataFrame(columns=["metric"])]
    for word in words:
        found = under(replicates, lambda t, *data, metric=METRICS[word]: metric(*data, at[:, [t]]))
        table = auroc_table(cells, found, level=level, interval="percentile").assign(metric=word, cut=np.nan)
        if word in AT_CUT:
            table["cut"] = np.pad(at, ((0, 0), (0, len(found.tasks) - at.shape[1])), constant_values=np.nan).ravel()
        sure = table["estimate"].isin([0.0, 1.0]) & (table["low"] == table["high"])
        table.loc[sure, ["low", "high"]] = np.nan
        table.loc[sure, "method"] = NO_ERROR
        made.append(table[COLUMNS])
        boost = boost_table(*group_seeds(cells, found, rng=seed()), level=level, interval="percentile")
        boosts.append(corrected(boost).assign(metric=word))
    both = pd.concat(boosts[len(boosts) > 1 :], ignore_index=True)
    return pd.concat(made[len(made) > 1 :], ignore_index=True), both[["metric", *both.columns.drop("metric")]]
