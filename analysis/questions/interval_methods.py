"""Intervals of joint replicates by the method that was asked for: percentile, BCa or studentised."""

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.evaluation import Replicates, with_mean
from analysis.statistics.auroc import Floats, leave_out_auroc
from analysis.statistics.intervals import Interval, bca_interval, percentile_interval, studentised_interval
from analysis.statistics.studentised import bootstrap_errors

INTERVALS = {"percentile": "percentile", "bca": "BCa", "studentised": "studentised"}
"""How an interval is made from replicates, and what a table calls it."""


def intervals(
    replicates: Replicates, *, level: float, method: str = "percentile", contrasts: npt.ArrayLike | None = None
) -> Interval:
    """Intervals of every model, or of every contrast of models, on each task and the mean: arrays [k, t + 1].

    Args:
        replicates: of m models on t tasks.
        level: coverage between 0 and 1.
        method: percentile, bca (jackknife over the units that were resampled) or studentised (bootstrap-t with DeLong's
            standard errors, by unit; its bounds are cut off at the statistic's range).
        contrasts: [k, m] weights of the models, say 1 and -1 for a difference; without, each model for itself.

    Raises:
        AnalysisError: an unknown method, or one that these replicates are not enough for.
        ValueError: a level outside (0, 1).
    """
    if method not in INTERVALS:
        raise AnalysisError(f"interval={method} is not one of {', '.join(INTERVALS)}")
    weights = np.eye(len(replicates.estimates)) if contrasts is None else np.asarray(contrasts, dtype=np.float64)
    estimates, resampled = _contrast(weights, replicates.estimates), _contrast(weights, replicates.resampled)
    if method == "percentile":
        return percentile_interval(resampled, level)
    source = replicates.source
    if source is None:
        raise AnalysisError(f"interval={method} needs the data behind the replicates; use interval=percentile here")
    labels, scores = source.evaluation.labels, source.evaluation.scores
    if method == "bca":
        left_out = [leave_out_auroc(y, scores[:, t], source.codes) for t, y in enumerate(labels)]
        return bca_interval(estimates, resampled, _contrast(weights, with_mean(np.stack(left_out, axis=1))), level)
    once = np.ones((1, source.n_units), dtype=np.uint8)
    errors = bootstrap_errors(labels, scores, once, units=source.codes, contrasts=weights)[..., 0]
    within = bootstrap_errors(labels, scores, source.counts(), units=source.codes, contrasts=weights)
    low, high, n_defined = studentised_interval(estimates, errors, resampled, within, level)
    lowest, highest = np.minimum(weights, 0).sum(axis=1)[:, None], np.maximum(weights, 0).sum(axis=1)[:, None]
    return Interval(np.maximum(low, lowest), np.minimum(high, highest), n_defined)


def method_name(method: str, *, stratified: bool) -> str:
    """What the column `method` of a table says.

    >>> method_name("bca", stratified=True)
    'stratified BCa bootstrap'
    """
    return f"{'stratified ' if stratified else ''}{INTERVALS[method]} bootstrap"


def _contrast(weights: Floats, values: Floats) -> Floats:
    """Weighted sums over the models, the first axis; a model of weight 0 takes no part, not even with its NaN."""
    return np.stack([np.tensordot(row[row != 0], values[row != 0], axes=1) for row in weights])
