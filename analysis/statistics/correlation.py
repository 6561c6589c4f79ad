"""Rank and linear correlation of a few points, with intervals."""

import math
from itertools import permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from scipy.stats import t as student

from analysis.statistics.auroc import Floats

METHODS = ("spearman", "kendall", "pearson")
FEWEST = 3
"""Points below which a correlation is undefined here: two always lie on a line."""
ENUMERATED = 7
"""Points up to which every permutation is tried: 5,040 of them."""
BLOCK = 2**22
"""Entries of the largest temporary array: 32 MiB in float64."""
ROUNDING = 1e-12
"""Two coefficients that differ by less are equal: permutations of the same values are summed in different orders."""


class Permutation(NamedTuple):
    """A permutation test: its p-value, how many permutations it rests on, and whether those are all there are."""

    p_value: float
    n_permutations: int
    exact: bool


def correlate(x: npt.ArrayLike, y: npt.ArrayLike, method: str) -> Floats:
    """The correlation along the last axis; the other axes broadcast.

    Args:
        x: [..., n] in any unit.
        y: [..., n] in any unit.
        method: `spearman` (Pearson's of midranks), `kendall` (tau-b) or `pearson`.

    Returns:
        [...] float64 between -1 and 1; NaN where n < 3, where x or y is constant, or where either holds a NaN.

    Raises:
        ValueError: an unknown method, an infinite value, or shapes that do not match.

    Source: Kendall, Rank Correlation Methods, 1948: both rank coefficients with ties.

    >>> correlate([1, 2, 3, 4], [1, 3, 2, 4], "spearman").round(3).item()
    0.8
    """
    if method not in METHODS:
        raise ValueError(f"method={method} is not one of {', '.join(METHODS)}")
    xs, ys = _broadcast(x, y)
    shape, n = xs.shape[:-1], xs.shape[-1]
    if n < FEWEST:
        return np.full(shape, np.nan)
    xs, ys = xs.reshape(-1, n), ys.reshape(-1, n)
    defined = (np.ptp(xs, axis=1) > 0) & (np.ptp(ys, axis=1) > 0)  # a NaN anywhere makes the range NaN
    result = np.full(len(xs), np.nan)
    rows = np.flatnonzero(defined)
    step = max(1, BLOCK // (n * n if method == "kendall" else n))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        result[some] = _kendall(xs[some], ys[some]) if method == "kendall" else _linear(xs[some], ys[some], method)
    return result.reshape(shape)


def permutation_p(
    x: npt.ArrayLike, y: npt.ArrayLike, method: str, *, n_permutations: int, rng: np.random.Generator
) -> Permutation:
    """Two-sided p-value of no association: how often a shuffled y correlates as strongly, either way.

    Args:
        x: [n].
        y: [n].
        n_permutations: drawn where there are too many to try; up to seven points all are tried.

    Returns:
        p = count / n! over all permutations (the data's own is one of them), else (1 + count) / (B + 1): never 0.
        NaN where the correlation is undefined.

    Raises:
        ValueError: as `correlate`, or no permutations.

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, 4.3 and 4.2.

    >>> permutation_p([1, 2, 3, 4], [1, 2, 3, 4], "kendall", n_permutations=99, rng=np.random.default_rng(0)).p_value
    0.08333333333333333
    """
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1, not {n_permutations}")
    xs, ys = _points(x, y)
    observed = float(correlate(xs, ys, method))
    if math.isnan(observed):
        return Permutation(math.nan, 0, False)
    exact = xs.size <= ENUMERATED
    if exact:
        index = np.array(list(permutations(range(xs.size))))
    else:
        index = rng.permuted(np.tile(np.arange(xs.size), (n_permutations, 1)), axis=1)
    count = int((np.abs(correlate(xs, ys[index], method)) >= abs(observed) - ROUNDING).sum())
    p = count / len(index) if exact else (1 + count) / (len(index) + 1)
    return Permutation(p, len(index), exact)


def leave_one_out(x: npt.ArrayLike, y: npt.ArrayLike, method: str) -> Floats:
    """The correlation without each of the points in turn: [n], NaN where it is undefined.

    Args:
        x: [n].
        y: [n].

    >>> leave_one_out([1, 2, 3, 9], [1, 2, 3, 0], "spearman").round(2).tolist()
    [-0.5, -0.5, -0.5, 1.0]
    """
    xs, ys = _points(x, y)
    if xs.size < 2:
        return np.full(xs.size, np.nan)
    others = np.array([np.delete(np.arange(xs.size), i) for i in range(xs.size)])
    return correlate(xs[others], ys[others], method)


def resample_points(
    x: npt.ArrayLike, y: npt.ArrayLike, method: str, *, n_resamples: int, rng: np.random.Generator
) -> Floats:
    """The correlation in resamples of the points with replacement: what other points might have given.

    Args:
        x: [n].
        y: [n].

    Returns:
        [b]; NaN where a resample is degenerate (all its points the same), to be counted.

    Raises:
        ValueError: as `correlate`, or no resamples.

    Source: Efron, Annals of Statistics 1979.

    >>> resample_points([1, 2, 3, 4], [1, 2, 3, 4], "pearson", n_resamples=2, rng=np.random.default_rng(0)).tolist()
    [1.0, 1.0]
    """
    xs, ys = _points(x, y)
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, not {n_resamples}")
    drawn = rng.integers(max(1, xs.size), size=(n_resamples, xs.size))
    return correlate(xs[drawn], ys[drawn], method)


def closed_form(estimate: float, n: float, method: str, level: float) -> tuple[float, float, float]:
    """Interval of a correlation, and its two-sided p-value, from the coefficient and the number of points alone.

    Args:
        n: points, or the number of independent ones that they are worth (`families.effective_number`).
        level: coverage between 0 and 1.

    Returns:
        low, high, p_value: tanh(atanh(estimate) -+ t s) with t on n - 2 degrees of freedom, and the p-value at which
        the interval would just touch 0. NaN where the coefficient is undefined or +-1, or n is too small for s.

    Raises:
        ValueError: an unknown method, or a level outside (0, 1).

    Source: s² is 1 / (n - 3) for Pearson (Fisher, Metron 1921), (1 + r² / 2) / (n - 3) for Spearman (Bonett and
        Wright, Psychometrika 2000), 0.437 / (n - 4) for Kendall (Fieller, Hartley and Pearson, Biometrika 1957). t in
        place of the normal quantile, as few points estimate s.

    >>> [round(value, 3) for value in closed_form(0.0, 16, "spearman", 0.95)]
    [-0.533, 0.533, 1.0]
    """
    if method not in METHODS:
        raise ValueError(f"method={method} is not one of {', '.join(METHODS)}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    spare = n - (4 if method == "kendall" else 3)
    if not spare > 0 or not abs(estimate) < 1 - ROUNDING:
        return math.nan, math.nan, math.nan
    numerator = {"pearson": 1.0, "spearman": 1 + estimate**2 / 2, "kendall": 0.437}[method]
    error, centre = math.sqrt(numerator / spare), math.atanh(estimate)
    half = float(student.ppf((1 + level) / 2, n - 2)) * error
    p = float(2 * student.sf(abs(centre) / error, n - 2))
    return math.tanh(centre - half), math.tanh(centre + half), p


def _broadcast(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.ndim < 1 or ys.ndim < 1 or xs.shape[-1] != ys.shape[-1]:
        raise ValueError(f"x has shape {xs.shape} and y {ys.shape}: their last axes must be the same")
    if np.isinf(xs).any() or np.isinf(ys).any():
        raise ValueError("x and y must be finite (or NaN where undefined)")
    shape = np.broadcast_shapes(xs.shape, ys.shape)
    return np.broadcast_to(xs, shape), np.broadcast_to(ys, shape)


def _points(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.ndim != 1 or xs.shape != ys.shape:
        raise ValueError(f"x has shape {xs.shape} and y {ys.shape}: both must be [n]")
    return xs, ys


def _linear(x: Floats, y: Floats, method: str) -> Floats:
    if method == "spearman":
        x, y = rankdata(x, axis=1), rankdata(y, axis=1)
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    dx /= np.abs(dx).max(axis=1, keepdims=True)  # so that squares of tiny values do not underflow
    dy /= np.abs(dy).max(axis=1, keepdims=True)
    r = np.vecdot(dx, dy) / np.sqrt(np.vecdot(dx, dx) * np.vecdot(dy, dy))
    return np.asarray(np.clip(r, -1, 1))


def _kendall(x: Floats, y: Floats) -> Floats:
    i, j = np.triu_indices(x.shape[1], k=1)
    sx, sy = np.sign(x[:, i] - x[:, j]), np.sign(y[:, i] - y[:, j])
    untied = np.sqrt(np.abs(sx).sum(axis=1)) * np.sqrt(np.abs(sy).sum(axis=1))
    return np.asarray(np.clip(np.vecdot(sx, sy) / untied, -1, 1))
