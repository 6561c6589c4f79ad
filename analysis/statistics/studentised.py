"""Standard errors of AUROCs within each resample, which the studentised interval divides by."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from analysis.statistics.auroc import Floats, check_models
from analysis.statistics.bootstrap import BLOCK, Counts, check_counts

Units = npt.NDArray[np.int64]


class _Class(NamedTuple):
    """One task's rows of one class: scores [m, p], units of the rows [p], and the sum over each unit [u, p], sparse."""

    scores: Floats
    units: Units
    by_unit: csr_array


class _Weighted(NamedTuple):
    """A class in a tile of resamples: counts of its rows [p, b], their sums [b], and 1 / (n - 1) corrections [b]."""

    counts: Floats
    total: Floats
    stretch: Floats


def bootstrap_errors(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    counts: Counts | Sequence[Counts],
    *,
    units: Units | None = None,
    contrasts: npt.ArrayLike | None = None,
) -> Floats:
    """Standard errors of AUROCs and of their mean over tasks within each resample.

    A unit's influence on an AUROC is the sum over its rows of placement less AUROC, over the size of their class and
    stretched by sqrt(k / (k - 1)) for the k units of that class in the resample. The variance is the sum of squared
    influences: DeLong's exactly where a unit has one row of a task, Obuchowski's but for the factor of the cross term
    otherwise. Influences add up over tasks and models, and so give errors of means and differences.

    Args:
        labels: [t, n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, t, n] finite.
        counts: [b, u] how often each unit occurs in each resample, for all tasks; or t such arrays, one a task.
        units: [n] whole numbers 0 .. u-1, the unit of each row; without, each row is its own.
        contrasts: [k, m] weights of the models in each statistic, say 1 and -1 for a difference; without, each model.

    Returns:
        [k, t + 1, b] float64, the last of the tasks being their mean; NaN where a class has fewer than two units in the
        resample, the mean wherever one of its tasks is. The largest temporary array is of bounded size.

    Raises:
        ValueError: a shape, label, score or count that is not as described.

    >>> once = np.ones((1, 5), dtype=np.uint8)  # on the data themselves: the root of DeLong's variance, 0.0556
    >>> bootstrap_errors([[0, 0, 0, 1, 1]], [[[0.1, 0.4, 0.3, 0.35, 0.8]]], once).round(4)
    array([[[0.2357],
            [0.2357]]])

    Source: DeLong, DeLong and Clarke-Pearson 1988 and Obuchowski 1997, with counts as weights.
    """
    labels, scores = np.atleast_2d(np.asarray(labels, dtype=np.float64)), np.asarray(scores, dtype=np.float64)
    n_tasks, n = labels.shape
    if scores.ndim != 3 or scores.shape[1:] != labels.shape:
        raise ValueError(f"scores must have shape [models, {n_tasks}, {n}] as the labels, not {scores.shape}")
    units = np.arange(n) if units is None else units
    n_units = int(units.max()) + 1
    per_task = [counts] * n_tasks if isinstance(counts, np.ndarray) else list(counts)
    for array in per_task:
        check_counts(array, n_units)
    tasks = [_classes(labels[t], scores[:, t], units, n_units) for t in range(n_tasks)]
    weights = np.eye(len(scores)) if contrasts is None else np.asarray(contrasts, dtype=np.float64)
    n_resamples = len(per_task[0])
    errors = np.empty((len(weights), n_tasks + 1, n_resamples))
    step = max(1, BLOCK // (4 * n))  # a handful of arrays of this size live at once
    for start in range(0, n_resamples, step):
        rows = slice(start, start + step)
        tile = [array[rows].T.astype(np.float64, order="C") for array in per_task]
        errors[:, :, rows] = _tile_errors(tasks, tile, weights)
    return errors


def _classes(labels: Floats, scores: Floats, units: Units, n_units: int) -> tuple[_Class, _Class]:
    labels, scores = check_models(labels, scores)
    made = []
    for label in (1, 0):
        mine = np.flatnonzero(labels == label)
        ones, rows = np.ones(mine.size), np.arange(mine.size)
        by_unit = csr_array((ones, (units[mine], rows)), shape=(n_units, mine.size))
        made.append(_Class(scores[:, mine], units[mine], by_unit))
    return made[0], made[1]


def _tile_errors(tasks: list[tuple[_Class, _Class]], tile: list[Floats], weights: Floats) -> Floats:
    """Errors [k, t + 1, b] in a tile of resamples; counts of units [u, b] for each task."""
    weighted = [(_weigh(plus, c), _weigh(minus, c)) for (plus, minus), c in zip(tasks, tile, strict=True)]
    roots = [np.sqrt(counts) for counts in tile]
    errors = np.empty((len(weights), len(tasks) + 1, tile[0].shape[1]))
    for k, row in enumerate(weights):
        mean: Floats = np.zeros_like(tile[0])
        for t, (plus, minus) in enumerate(tasks):
            influence: Floats = np.zeros_like(tile[t])
            for model in np.flatnonzero(row):
                influence += row[model] * _influence(plus, minus, *weighted[t], model)
            influence *= roots[t]  # a unit drawn c times adds c squares
            errors[k, t] = np.sqrt(np.einsum("ub,ub->b", influence, influence))
            mean += influence / len(tasks)
        errors[k, -1] = np.sqrt(np.einsum("ub,ub->b", mean, mean))
    return errors


def _weigh(rows: _Class, counts: Floats) -> _Weighted:
    of_rows = counts[rows.units]
    n_units = np.diff(rows.by_unit.indptr).clip(max=1) @ counts  # drawn units that have a row of this class
    stretch = np.full(n_units.shape, np.nan)
    np.sqrt(np.divide(n_units, n_units - 1, where=n_units > 1, out=stretch), out=stretch)
    return _Weighted(of_rows, of_rows.sum(axis=0), stretch)


def _influence(plus: _Class, minus: _Class, of_plus: _Weighted, of_minus: _Weighted, model: np.intp) -> Floats:
    """Influence of every unit on one model's AUROC in each resample: [u, b]."""
    wins = _weighted_wins(plus.scores[model], minus.scores[model], of_minus.counts)
    losses = _weighted_wins(minus.scores[model], plus.scores[model], of_plus.counts)
    pairs = of_plus.total * of_minus.total
    with np.errstate(invalid="ignore"):  # a resample without a class has no AUROC: NaN, as stretch is
        auroc = np.einsum("pb,pb->b", wins, of_plus.counts) / pairs
        up = (wins / of_minus.total - auroc) * (of_plus.stretch / of_plus.total)
        down = ((1 - auroc) - losses / of_plus.total) * (of_minus.stretch / of_minus.total)
    return np.asarray(plus.by_unit @ up + minus.by_unit @ down)


def _weighted_wins(scores: Floats, others: Floats, counts: Floats) -> Floats:
    """How many of the others, counted [q, b], each score beats, a tie being half: [p, b], multiples of one half."""
    order = np.argsort(others)
    below = np.zeros((len(others) + 1, counts.shape[1]))
    np.cumsum(counts[order], axis=0, out=below[1:])
    lower, upto = (np.searchsorted(others[order], scores, side=side) for side in ("left", "right"))
    return (below[lower] + below[upto]) / 2
