"""Bootstrap of the AUROC by resample counts: drawn once, shared by every model and task."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # ships no types

from analysis.auroc import Floats, check_labels, check_scores

Counts = npt.NDArray[np.unsignedinteger[Any]]

METHOD = "percentile bootstrap"

BLOCK = 2**22
"""Entries of the largest temporary array: 32 MiB in float64."""

TILE = 256
"""Resamples of one matrix product, so that its result stays in cache."""

EXACT = 2**24
"""Integers up to here are exact in float32."""

PAIRS_PER_ENTRY = 200
"""The pair kernel wins up to about this many pairs per labelled entry (measured on one EPYC core, 1,000 resamples)."""


class Interval(NamedTuple):
    """Bounds and the number of replicates that they rest on, one entry a statistic."""

    low: Floats
    high: Floats
    n_defined: npt.NDArray[np.int64]


def draw_counts(n_units: int, n_resamples: int, *, rng: np.random.Generator) -> Counts:
    """How often each unit occurs in each resample: [n_resamples, n_units], every row with the sum n_units.

    Args:
        n_units: studies, patients or images, drawn with replacement.
        n_resamples: resamples.
        rng: consumed; the same state gives the same counts.

    Raises:
        ValueError: a number below 1.

    Source: Efron, Annals of Statistics 1979.
    """
    if n_units < 1 or n_resamples < 1:
        raise ValueError(f"n_units and n_resamples must be at least 1, not {n_units} and {n_resamples}")
    counts = np.empty((n_resamples, n_units), dtype=np.min_scalar_type(n_units))  # a count is at most n_units
    for row in counts:
        row[:] = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
    return counts


def bootstrap_auroc(labels: npt.ArrayLike, scores: npt.ArrayLike, counts: Counts) -> Floats:
    """The AUROC of every model in every resample, exact with ties.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite, one row a model.
        counts: [b, n] how often each entry occurs in each resample; of clusters, the counts of their entries.

    Returns:
        [m, b] float64; NaN where a resample holds no positive or no negative.

    Raises:
        ValueError: a shape, label, score or count that is not as described.
    """
    labels, scores = check_labels(labels), check_scores(scores)
    _check_shapes(labels, scores, counts)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    replicates = np.full((len(scores), len(counts)), np.nan)
    if positive.size == 0 or negative.size == 0:
        return replicates
    step = max(1, BLOCK // labels.size)
    for start in range(0, len(counts), step):
        rows = slice(start, start + step)
        plus, minus = counts[rows, positive], counts[rows, negative]
        pairs = plus.sum(axis=1, dtype=np.float64) * minus.sum(axis=1, dtype=np.float64)
        twice_wins = _twice_wins(scores[:, positive], scores[:, negative], plus, minus, float(pairs.max()))
        replicates[:, rows] = np.divide(twice_wins, 2 * pairs, out=replicates[:, rows], where=pairs > 0)
    return replicates


def percentile_interval(replicates: Floats, level: float) -> Interval:
    """Percentile interval over the defined replicates; NaN where there are none.

    Args:
        replicates: [..., b], NaN where undefined.
        level: coverage between 0 and 1; the tails are of equal probability.

    Returns:
        Arrays [...]: low, high, and the number of defined replicates that they rest on.

    Raises:
        ValueError: a level outside (0, 1).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    flat = replicates.reshape(-1, replicates.shape[-1])
    bounds = np.full((2, len(flat)), np.nan)
    tails = [(1 - level) / 2, (1 + level) / 2]
    for i, row in enumerate(flat):
        defined = row[~np.isnan(row)]
        if defined.size:
            bounds[:, i] = np.quantile(defined, tails)
    shape = replicates.shape[:-1]
    n_defined = (~np.isnan(flat)).sum(axis=1)
    return Interval(bounds[0].reshape(shape), bounds[1].reshape(shape), n_defined.reshape(shape))


def two_sided_p(differences: Floats) -> Floats:
    """Two-sided bootstrap p-value of no difference: twice the smaller tail beyond 0, at most 1 and never 0.

    Args:
        differences: [..., b] replicates of a difference, NaN where undefined; B of them are defined.

    Returns:
        [...] 2 (1 + count) / (B + 1), or NaN where none is defined.

    Source: the (1 + count) / (B + 1) rule is Davison and Hinkley, Bootstrap Methods and their Application, 1997, 4.2.
    """
    n_defined = (~np.isnan(differences)).sum(axis=-1)
    tail = np.minimum((differences <= 0).sum(axis=-1), (differences >= 0).sum(axis=-1))
    p = np.minimum(1.0, 2 * (1 + tail) / (n_defined + 1))
    return np.where(n_defined > 0, p, np.nan)


def _check_shapes(labels: Floats, scores: Floats, counts: Counts) -> None:
    if scores.ndim != 2 or scores.shape[1] != labels.size:
        raise ValueError(f"scores must have shape [models, {labels.size}] as there are labels, not {scores.shape}")
    if counts.ndim != 2 or counts.shape[1] != labels.size:
        raise ValueError(f"counts must have shape [resamples, {labels.size}] as there are labels, not {counts.shape}")
    if counts.dtype.kind not in "iu" or (counts.size and counts.min() < 0):
        raise ValueError("counts must be whole numbers, none of them negative")


def _twice_wins(positive: Floats, negative: Floats, plus: Counts, minus: Counts, most_pairs: float) -> Floats:
    """Twice the pairs that the positive wins, a tie being half a pair: whole numbers [m, b]."""
    n_pairs = positive.shape[1] * negative.shape[1]
    few = n_pairs <= min(BLOCK, PAIRS_PER_ENTRY * (positive.shape[1] + negative.shape[1]))
    if few and 2 * most_pairs < EXACT:
        return _by_pairs(positive, negative, plus.astype(np.float32), minus.astype(np.float32))
    return _by_sorting(positive, negative, plus.T.astype(np.float64), minus.T.astype(np.float64))


def _by_pairs(
    positive: Floats, negative: Floats, plus: npt.NDArray[np.float32], minus: npt.NDArray[np.float32]
) -> Floats:
    """((C+ K) * C-).sum with K = 2 [s+ > s-] + [s+ = s-], in BLAS: every value is a whole number below EXACT."""
    twice_wins = np.empty((len(positive), len(plus)))
    for model, (s_plus, s_minus) in enumerate(zip(positive, negative, strict=True)):
        higher = (s_plus[:, None] > s_minus).view(np.uint8)
        kernel = (higher + (s_plus[:, None] >= s_minus)).astype(np.float32)
        with _blas().limit(limits=1):  # millisecond products: threads that wait for a busy core cost ten times as much
            for start in range(0, len(plus), TILE):
                rows = slice(start, start + TILE)
                twice_wins[model, rows] = np.vecdot(plus[rows] @ kernel, minus[rows])
    return twice_wins


@cache
def _blas() -> ThreadpoolController:
    """The handle on BLAS's threads; looking for the libraries takes milliseconds, so once."""
    return ThreadpoolController().select(user_api="blas")


def _by_sorting(positive: Floats, negative: Floats, plus: Floats, minus: Floats) -> Floats:
    """The same by cumulative sums over the sorted negatives; counts are [p, b] and [q, b] here."""
    twice_wins = np.empty((len(positive), plus.shape[1]))
    below = np.zeros((len(minus) + 1, plus.shape[1]))
    for model, (s_plus, s_minus) in enumerate(zip(positive, negative, strict=True)):
        order = np.argsort(s_minus)
        np.cumsum(minus[order], axis=0, out=below[1:])
        sorted_minus = s_minus[order]
        lower = np.searchsorted(sorted_minus, s_plus, side="left")
        upto = np.searchsorted(sorted_minus, s_plus, side="right")
        twice_wins[model] = np.einsum("pb,pb->b", below[lower] + below[upto], plus)
    return twice_wins
