"""Intervals of joint replicates by the method that was asked for: DeLong, percentile or BCa."""

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from analysis.evaluation import Replicates, Source, with_mean
from analysis.questions.closed_intervals import Bounds, closed_bounds, set_separable
from analysis.statistics.auroc import Floats, leave_out_auroc
from analysis.statistics.bootstrap import standard_error, two_sided_p
from analysis.statistics.intervals import Interval, bca_interval, bca_p, percentile_interval

DELONG = "delong"
INTERVALS = {DELONG: "DeLong", "percentile": "percentile", "bca": "BCa"}
"""How an interval is made, and what a table calls it; of DeLong's the rows say more (`closed_intervals`)."""


def intervals(
    replicates: Replicates, *, level: float, method: str = "percentile", contrasts: npt.ArrayLike | None = None
) -> Bounds:
    """Intervals of every model, or of every contrast of models, on each task and the means: arrays [k, t + 1].

    Args:
        level: coverage between 0 and 1.
        method: delong (see `closed_bounds`), percentile, or bca (jackknife over the units that were resampled). By any
            of them a single AUROC of 0 or 1 has the exact one-sided bound. The p-value follows from the interval.
        contrasts: [k, m] weights of the models, say 1 and -1 for a difference; without, each model for itself.

    Raises:
        AnalysisError: an unknown method, or one that these replicates are not enough for.
        ValueError: a level outside (0, 1).
    """
    if method not in INTERVALS:
        raise AnalysisError(f"interval={method} is not one of {', '.join(INTERVALS)}")
    weights = np.eye(len(replicates.estimates)) if contrasts is None else np.asarray(contrasts, dtype=np.float64)
    estimates = contrast(weights, replicates.estimates)
    if method == DELONG:
        bounds = closed_bounds(replicates, _source(replicates, method), weights, estimates, level)
    else:
        bounds = _resampled(replicates, method, weights, estimates, level)
        if contrasts is None and replicates.source is not None:
            set_separable(bounds, replicates.source, estimates, level)
    for t, why in enumerate(replicates.few):
        if why:
            bounds.low[:, t] = bounds.high[:, t] = np.nan
            bounds.method[:, t] = why
    return bounds


def method_name(method: str, *, stratified: bool) -> str:
    """What the column `method` of a table says of an interval from resamples.

    >>> method_name("bca", stratified=True)
    'stratified BCa bootstrap'
    """
    return f"{'stratified ' if stratified else ''}{INTERVALS[method]} bootstrap"


def _resampled(replicates: Replicates, method: str, weights: Floats, estimates: Floats, level: float) -> Bounds:
    resampled = contrast(weights, replicates.resampled)
    if method == "percentile":
        made, p_values, name = percentile_interval(resampled, level), two_sided_p(resampled), replicates.method
    else:
        source, name = _source(replicates, method), method_name(method, stratified=replicates.stratified)
        if replicates.seeds:
            raise AnalysisError(
                f"interval={method} takes networks of one training seed, and some here have several; use "
                "interval=delong or interval=percentile, or choose one seed's runs"
            )
        made, p_values = _bca(replicates, source, weights, estimates, resampled, level)
    names = np.full(estimates.shape, name, dtype=object)
    return Bounds(made.low, made.high, made.n_defined, p_values, standard_error(resampled), names)


def _bca(
    replicates: Replicates, source: Source, weights: Floats, estimates: Floats, resampled: Floats, level: float
) -> tuple[Interval, Floats]:
    labels, scores = source.evaluation.labels, source.evaluation.scores
    by_task = np.stack([leave_out_auroc(y, scores[:, t], source.codes) for t, y in enumerate(labels)], axis=1)
    left_out = contrast(weights, with_mean(by_task, replicates.parts))
    return bca_interval(estimates, resampled, left_out, level), bca_p(estimates, resampled, left_out)


def _source(replicates: Replicates, method: str) -> Source:
    if replicates.source is None:
        raise AnalysisError(f"interval={method} needs the data behind the replicates; use interval=percentile here")
    return replicates.source


def contrast(weights: Floats, values: Floats) -> Floats:
    """Weighted sums over the models, the first axis; a model of weight 0 takes no part, not even with its NaN."""
    return np.stack([np.tensordot(row[row != 0], values[row != 0], axes=1) for row in weights])
