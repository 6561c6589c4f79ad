"""Bootstrap of the AUROC by resample counts: drawn once, shared by every model and task."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from analysis.statistics.auroc import Floats, check_models
from analysis.statistics.intervals import Interval as Interval
from analysis.statistics.intervals import p_of_tails, tails_at
from analysis.statistics.intervals import percentile_interval as percentile_interval

Counts = npt.NDArray[np.unsignedinteger[Any]]

METHOD = "percentile bootstrap"

BLOCK = 2**23
"""Entries of the largest temporary array: 64 MiB in float64, mostly integers of 2 or 4 bytes."""

TILE = 1024
"""Most resamples at a time: a row of them in 16 bits is 2 KiB, and the rows of 500 studies stay in cache."""

EXACT = 2**24
"""Integers up to here are exact in float32."""


class _Ranked(NamedTuple):
    """Where the larger class falls among the sorted smaller one, for several models.

    Attributes:
        order: [m, p] rows of the smaller class by rising score.
        above: [m (p + 1), q] sparse: row g of a model gives 2 for each entry of the larger class with exactly g of the
            smaller one below it; one that is tied gives 1 for those below it and 1 for those below or equal.
    """

    order: npt.NDArray[np.int64]
    above: csr_array


def draw_counts(
    n_units: int, n_resamples: int, *, rng: np.random.Generator, strata: npt.NDArray[np.integer[Any]] | None = None
) -> Counts:
    """How often each unit occurs in each resample: [n_resamples, n_units], every row with the sum n_units.

    Args:
        n_units: studies, patients or images, drawn with replacement.
        strata: [n_units] to draw each stratum by itself, to its own size. The draws are then those without strata, of
            which a stratum keeps the first it needs and is topped up where there were too few. That is a stratified
            bootstrap exactly, and generators in the same state give draws that differ between two sets of strata
            (two tasks) no more than they must: means over tasks keep their correlation.

    Raises:
        ValueError: a number below 1, or strata of another length.

    >>> draw_counts(4, 2, rng=np.random.default_rng(0))
    array([[0, 1, 2, 1],
           [3, 1, 0, 0]], dtype=uint8)
    >>> draw_counts(4, 2, rng=np.random.default_rng(0), strata=np.array([0, 0, 0, 1]))
    array([[0, 1, 2, 1],
           [2, 1, 0, 1]], dtype=uint8)

    Source: Efron, Annals of Statistics 1979; stratified: Davison and Hinkley 1997, 3.2.
    """
    if n_units < 1 or n_resamples < 1:
        raise ValueError(f"n_units and n_resamples must be at least 1, not {n_units} and {n_resamples}")
    if strata is not None and strata.shape != (n_units,):
        raise ValueError(f"strata must have shape ({n_units},), one a unit, not {strata.shape}")
    members = [] if strata is None else [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    more = rng if strata is None else rng.spawn(1)[0]  # topping up leaves the draws themselves as they are
    counts = np.empty((n_resamples, n_units), dtype=np.min_scalar_type(n_units))  # a count is at most n_units
    for row in counts:
        drawn = rng.integers(n_units, size=n_units)
        if strata is not None:
            drawn = _stratify(drawn, strata, members, more)
        row[:] = np.bincount(drawn, minlength=n_units)
    return counts


def bootstrap_auroc(labels: npt.ArrayLike, scores: npt.ArrayLike, counts: Counts) -> Floats:
    """The AUROC of every model in every resample, exact with ties, in O(m b n) after sorting.

    Args:
        labels: [n] 0, 1, or NaN for an entry that takes no part.
        scores: [m, n] finite, one row a model.
        counts: [b, n] how often each entry occurs in each resample; of clusters, the counts of their entries.

    Returns:
        [m, b] float64; NaN where a resample holds no positive or no negative.

    Raises:
        ValueError: a shape, label, score or count that is not as described.

    >>> bootstrap_auroc([0, 0, 1, 1], [[0.1, 0.4, 0.4, 0.8]], np.array([[1, 1, 1, 1], [0, 3, 1, 0], [2, 2, 0, 0]]))
    array([[0.875, 0.5  ,   nan]])
    """
    labels, scores = check_models(labels, scores)
    check_counts(counts, labels.size)
    small, large = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    swapped = small.size > large.size
    if swapped:
        small, large = large, small
    replicates = np.full((len(scores), len(counts)), np.nan)
    if small.size == 0 or len(counts) == 0:
        return replicates
    few = max(1, BLOCK // (4 * max(large.size, small.size + 1)))  # models, so that a tile of theirs is worth its calls
    for first in range(0, len(scores), few):
        models = slice(first, first + few)
        ranked = _rank(scores[models][:, small], scores[models][:, large])
        step = min(TILE, max(1, BLOCK // max(large.size, ranked.above.shape[0])))
        for start in range(0, len(counts), step):
            rows = slice(start, start + step)
            of_small, of_large = counts[rows, small], counts[rows, large]
            pairs = of_small.sum(axis=1, dtype=np.float64) * of_large.sum(axis=1, dtype=np.float64)
            twice = _twice_below(ranked, of_small, of_large, float(pairs.max()))
            wins = twice if swapped else 2 * pairs - twice
            replicates[models, rows] = np.divide(wins, 2 * pairs, out=replicates[models, rows], where=pairs > 0)
    return replicates


def two_sided_p(differences: Floats) -> Floats:
    """Two-sided p-value of no difference that follows from the percentile interval, at most 1 and never 0.

    It is below 1 - level exactly where `percentile_interval` at that level leaves 0 out, unless so few replicates are
    defined that its floor is higher.

    Args:
        differences: [..., b] replicates of a difference, NaN where undefined; B of them are defined.

    Returns:
        [...] twice the smaller tail beyond 0, at least 2 / (B + 1), or NaN where none is defined.

    >>> float(two_sided_p(np.array([0.1] * 90 + [-0.1] * 10)).round(3)), float(two_sided_p(np.full(99, 0.1)))
    (0.192, 0.02)

    Source: the interval inverted; the floor is that of Davison and Hinkley, Bootstrap Methods, 1997, 4.2.
    """
    below, upto = tails_at(differences, np.zeros(differences.shape[:-1]))
    return p_of_tails(below, upto, (~np.isnan(differences)).sum(axis=-1))


def standard_error(replicates: Floats) -> Floats:
    """Standard deviation (n - 1) of the defined replicates: [..., b] to [...], NaN where fewer than two are.

    >>> float(standard_error(np.array([1.0, 2.0, 3.0, np.nan])))
    1.0

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 6.
    """
    defined = ~np.isnan(replicates)
    n = defined.sum(axis=-1)
    total = np.where(defined, replicates, 0.0).sum(axis=-1)
    mean = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
    squares = (np.where(defined, replicates - mean[..., None], 0.0) ** 2).sum(axis=-1)
    return np.asarray(np.sqrt(np.divide(squares, n - 1, out=np.full_like(total, np.nan), where=n > 1)))


def check_counts(counts: Counts, n: int) -> None:
    """Refuses what is not [b, n] whole numbers of at least 0.

    Raises:
        ValueError: another shape or kind, or a negative number.

    >>> check_counts(np.array([[0, 2], [1, 1]]), 2)
    """
    if counts.ndim != 2 or counts.shape[1] != n:
        raise ValueError(f"counts must have shape [resamples, {n}] as there are labels, not {counts.shape}")
    if counts.dtype.kind not in "iu" or (counts.size and counts.min() < 0):
        raise ValueError("counts must be whole numbers, none of them negative")


def _stratify(
    drawn: npt.NDArray[np.int64],
    strata: npt.NDArray[np.integer[Any]],
    members: list[npt.NDArray[np.int64]],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """The first draws of each stratum, topped up to its size: uniform within it, whichever units were drawn."""
    of_drawn = strata[drawn]
    kept = []
    for inside in members:
        own = drawn[of_drawn == strata[inside[0]]][: inside.size]
        kept += [own, inside[rng.integers(inside.size, size=inside.size - own.size)]]
    return np.concatenate(kept)


def _rank(small: Floats, large: Floats) -> _Ranked:
    """Sorts [m, p] and [m, q] scores against each other."""
    p, q = small.shape[1], large.shape[1]
    order = np.argsort(small, axis=1)
    entries, weights, bins = [], [], []
    for model, rising in enumerate(np.argsort(large, axis=1)):
        ranked, sought = small[model, order[model]], large[model, rising]
        lower, upto = (np.searchsorted(ranked, sought, side=side) for side in ("left", "right"))
        tied = lower < upto
        entries.append(np.concatenate([rising, rising[tied]]))
        weights.append(np.concatenate([np.where(tied, 1, 2), np.ones(tied.sum(), dtype=np.int64)]))
        bins.append(model * (p + 1) + np.concatenate([lower, upto[tied]]))
    row, column = np.concatenate(bins), np.concatenate(entries)
    values = np.concatenate(weights).astype(np.int8)
    return _Ranked(order, csr_array((values, (row, column)), shape=(len(small) * (p + 1), q)))


def _twice_below(ranked: _Ranked, of_small: Counts, of_large: Counts, most_pairs: float) -> Floats:
    """Twice the pairs in which the smaller class scores below the larger, a tie being half a pair: exact, [m, b].

    The sum over g of (counts of the g lowest of the smaller class) x (counts of the larger class with g below it).
    The narrowest integers and float32 are taken where every sum fits in them, since they move less memory.
    """
    most_large = 2 * int(of_large.sum(axis=1, dtype=np.int64).max())
    narrow = np.min_scalar_type(-most_large)  # the smallest signed integers that hold it
    exact = np.float32 if 2 * most_pairs <= EXACT else np.float64
    m, p = ranked.order.shape
    by_bin = (ranked.above.astype(narrow) @ of_large.T.astype(narrow, order="C")).reshape(m, p + 1, -1)
    rising = of_small.T.astype(exact, order="C")
    below, sums = np.zeros((2, m, rising.shape[1]), dtype=exact)
    product = np.empty_like(below)
    for g in range(p):
        below += rising[ranked.order[:, g]]
        sums += np.multiply(below, by_bin[:, g + 1], out=product)
    return sums.astype(np.float64)
