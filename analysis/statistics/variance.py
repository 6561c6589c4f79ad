"""Variance of AUROC explained by family, by size and by both: arrays in, arrays out."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.statistics.auroc import Floats

Codes = npt.NDArray[np.int64]

ROUNDING = 1e-24
"""Sums of squares below this share of the largest value's square are rounding errors."""


class Explained(NamedTuple):
    """How much of the variance of y is explained, each [...].

    `between` and `within` are variance components by the method of moments, in squares of y; `between` is negative
    where families differ less than chance would make them. eta2 is R^2 of family alone, omega2 its nearly unbiased
    cousin. The `adjusted` R^2 pay for the number of families: 6 families of 16 architectures have an R^2 of 1/3 by
    chance.
    """

    between: Floats
    within: Floats
    eta2: Floats
    omega2: Floats
    r2_size: Floats
    r2_both: Floats
    adjusted_family: Floats
    adjusted_size: Floats
    adjusted_both: Floats
    family_minus_size: Floats
    family_beside_size: Floats
    size_beside_family: Floats


def explained(y: Floats, x: Floats, families: Codes, weights: Floats | None = None) -> Explained:
    """Variance of y explained by family, by size and by both.

    Args:
        y: [..., n] mean AUROC of n architectures.
        x: [n] log10 parameters.
        families: [n] codes from 0.
        weights: [..., n] of the architectures in resamples, 0 where one was not drawn; None is 1 throughout.

    Returns:
        Arrays [...]. Degrees of freedom count the distinct architectures and families with positive weight; NaN where
        too few are left (each model needs one more architecture than it has coefficients), where y is NaN, or y or x
        constant. `family_minus_size` is the difference of the adjusted R^2, `family_beside_size` of those of both and
        of size.

    Source: one-way random effects of unequal sizes, Searle, Casella and McCulloch, Variance Components, 1992, 3.6;
        omega^2: Hays, Statistics, 1963; adjusted R^2: Ezekiel 1929; the common slope within families is analysis of
        covariance.
    """
    w = np.broadcast_to(np.ones(x.size) if weights is None else weights, y.shape)
    w = w / w.sum(axis=-1, keepdims=True)
    member = (families[:, None] == np.arange(families.max() + 1)).astype(np.float64)
    size = w @ member  # [..., k] weight of each family
    n = (w > 0).sum(axis=-1).astype(np.float64)
    k = (size > 0).sum(axis=-1).astype(np.float64)
    yc, xc = y - _mean(y, w), x - _mean(x, w)
    yw, xw = (value - _family_means(value, w, size, member) for value in (yc, xc))
    total, inside = (w * yc**2).sum(-1), (w * yw**2).sum(-1)
    floor = ROUNDING * float((x**2).max())
    by_size = _ratio((w * yc * xc).sum(-1) ** 2, (w * xc**2).sum(-1), floor)
    by_slope = _ratio((w * yw * xw).sum(-1) ** 2, (w * xw**2).sum(-1), floor)
    slope_within = np.where((w * xw**2).sum(-1) > floor, by_slope, 0 * total)  # sizes equal within families add nothing
    sums = (total - inside, by_size, total - inside + slope_within)
    r2 = [_ratio(part, total, ROUNDING * (y**2).max(-1)) for part in sums]
    enough = ((k > 1) & (n > k), n > 2, (k > 1) & (n > k + 1))
    r2 = [np.where(where, value, np.nan) for where, value in zip(enough, r2, strict=True)]
    adjusted = [_adjust(value, n, count) for value, count in zip(r2, (k, np.full_like(k, 2), k + 1), strict=True)]
    ms_within = _ratio(n * inside, n - k)
    ms_between = _ratio(n * (total - inside), k - 1)
    per_family = _ratio(n * (1 - (size**2).sum(-1)), k - 1)
    omega2 = np.where(k > 1, _ratio(n * (total - inside) - (k - 1) * ms_within, n * total + ms_within), np.nan)
    between = (ms_between - ms_within) / per_family
    family, alone, both = adjusted
    return Explained(
        between, ms_within, r2[0], omega2, r2[1], r2[2],
        family, alone, both, family - alone, both - alone, both - family,
    )  # fmt: skip


def permutation_p(
    y: Floats, families: Codes, *, x: Floats | None = None, n_permutations: int, rng: np.random.Generator
) -> float:
    """P-value of no difference between families, by permuting the architectures over them.

    Args:
        y: [n] finite.
        families: [n] codes from 0.
        x: [n]; where given, the residuals of y on x are permuted: do families differ beside size?
        n_permutations: B, drawn at random.

    Returns:
        (1 + count) / (B + 1), or NaN where there is no F-value: one family only, or families of one each.

    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 2010; with x, Freedman and
        Lane, Journal of Business and Economic Statistics 1983.
    """
    nothing = np.zeros(y.size)
    fitted = nothing if x is None else y.mean() + slope_line(y, x)
    permuted = fitted + rng.permuted(np.tile(y - fitted, (n_permutations, 1)), axis=1)
    observed = _partial(y, nothing if x is None else x, families)
    if np.isnan(observed):
        return float("nan")
    draws = _partial(permuted, nothing if x is None else x, families)
    return float((1 + (draws >= observed - 1e-9).sum()) / (n_permutations + 1))


def slope_line(y: Floats, x: Floats) -> Floats:
    """The least-squares line of y on x less its mean: [n]; 0 where x is constant."""
    xc = x - x.mean()
    return np.asarray(xc * (xc @ y) / (xc @ xc)) if np.ptp(x) > 0 else np.zeros(y.size)


def _partial(y: Floats, x: Floats, families: Codes) -> Floats:
    """Partial R^2 of the families beside x, which rises with F: [...]; with x constant, R^2 of the families alone."""
    found = explained(y, x, families)
    if np.ptp(x) == 0:
        return found.eta2
    return np.asarray(_ratio(found.r2_both - found.r2_size, 1 - found.r2_size))


def _mean(value: Floats, w: Floats) -> Floats:
    return np.asarray((w * value).sum(axis=-1, keepdims=True))


def _family_means(value: Floats, w: Floats, size: Floats, member: Floats) -> Floats:
    """Each architecture's family mean: [..., n]."""
    sums = (w * value) @ member
    means = np.divide(sums, size, out=np.zeros_like(sums), where=size > 0)
    return np.asarray(means @ member.T)


def _ratio(top: Floats, bottom: Floats, floor: Floats | float = 0.0) -> Floats:
    """top / bottom, NaN where bottom is not above the floor."""
    top, bottom = np.broadcast_arrays(top, bottom)
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > floor))


def _adjust(r2: Floats, n: Floats, coefficients: Floats) -> Floats:
    return np.asarray(1 - _ratio((1 - r2) * (n - 1), n - coefficients))
