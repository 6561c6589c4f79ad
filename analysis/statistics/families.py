"""What dependence within families does to a correlation and to a mean: arrays in, arrays out.

Architectures of one family have similar sizes and similar AUROCs, so that 16 of them in six families say less than 16
independent ones. How often the rules that rest on these functions err is measured in docs/verdicts.md.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from scipy.stats import t as student

from analysis.statistics.auroc import Floats

Codes = npt.NDArray[np.int64]


class Carried(NamedTuple):
    """An estimate's interval, standard error, degrees of freedom of its t, and two-sided p-value of no effect."""

    low: float
    high: float
    se: float
    df: float
    p_value: float


def codes(families: npt.ArrayLike) -> Codes:
    """Families as codes from 0: [n].

    >>> codes(["ResNet", "DenseNet", "ResNet"]).tolist()
    [1, 0, 1]
    """
    return np.unique(np.asarray(families, dtype=str), return_inverse=True)[1].astype(np.int64)


def intraclass(values: Floats, families: Codes) -> float:
    """Intraclass correlation: the share of the variance that lies between families, from 0 to 1.

    Args:
        values: [n] finite.
        families: [n] codes from 0.

    Returns:
        The method-of-moments estimate, cut off at 0 and 1; 0 where it cannot be estimated: one family, or families of
        one member each.

    Source: Donner and Koval, Biometrics 1980, unequal families; Searle, Casella and McCulloch, Variance Components,
        1992, 3.6.

    >>> intraclass(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    n, sizes = values.size, np.bincount(families)
    k = sizes.size
    if k < 2 or k >= n:
        return 0.0
    means = np.bincount(families, weights=values) / sizes
    within = float(((values - means[families]) ** 2).sum()) / (n - k)
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (k - 1)
    typical = (n - float((sizes**2).sum()) / n) / (k - 1)
    total = between + (typical - 1) * within
    return min(1.0, max(0.0, (between - within) / total)) if total > 0 else 0.0


def effective_number(x: npt.ArrayLike, y: npt.ArrayLike, families: Codes, *, ranks: bool) -> float:
    """How many independent points would fix the correlation of x and y as well as these do.

    Args:
        x: [n] finite.
        y: [n] finite.
        families: [n] codes from 0.
        ranks: whether the coefficient is one of ranks.

    Returns:
        n where either varies as much within families as between them, fewer where both are alike within families; NaN
        where x or y is constant. The dependence of y is that of what a line in x leaves of it.

    Source: Dutilleul, Biometrics 1993 (after Clifford, Richardson and Hemon, Biometrics 1989): 1 + tr(B Sx) tr(B Sy) /
        tr(B Sx B Sy), where B takes the mean out and the S are correlation matrices, here equal within families.

    >>> effective_number([1, 2, 3, 4], [4, 2, 3, 1], np.arange(4), ranks=True)
    4.0
    """
    xs, ys = (rankdata(v) if ranks else np.asarray(v, dtype=np.float64) for v in (x, y))
    n = xs.size
    if n < 2 or np.ptp(xs) == 0 or np.ptp(ys) == 0:
        return math.nan
    dx = xs - xs.mean()
    left = ys - dx * (dx @ ys) / (dx @ dx)
    same = families[:, None] == families
    centre = np.eye(n) - 1 / n
    sx, sy = (
        centre @ np.where(np.eye(n, dtype=bool), 1.0, same * intraclass(values, families)) for values in (xs, left)
    )
    return 1 + float(np.trace(sx) * np.trace(sy) / np.trace(sx @ sy))


def jackknife(estimate: float, left_out: Floats, *, level: float, variance: float = 0.0) -> Carried:
    """An interval from the estimates without each group in turn, t with as many degrees of freedom as groups less one.

    Args:
        left_out: [g] without each group: each family, or each architecture.
        level: coverage between 0 and 1.
        variance: squared standard error of what all groups share, such as the test set; it is added, and counts as
            known (Satterthwaite's degrees of freedom).

    Returns:
        estimate -+ t se; NaN throughout where there are fewer than two groups or an estimate is undefined.

    Source: Cameron and Miller, Journal of Human Resources 2015, VI.B (few clusters: jackknife and t with g - 1);
        Satterthwaite, Biometrics Bulletin 1946.

    >>> x = np.array([1.0, 2.0, 3.0, 6.0])  # of single members: the t interval of a mean
    >>> [round(bound, 3) for bound in jackknife(3.0, (12 - x) / 3, level=0.95)[:2]]
    [-0.437, 6.437]
    """
    g = left_out.size
    spread = (g - 1) / g * float(((left_out - left_out.mean()) ** 2).sum()) if g else math.nan
    total = spread + variance
    if g < 2 or not math.isfinite(total + estimate):
        return Carried(*[math.nan] * 5)
    if total == 0:
        return Carried(estimate, estimate, 0.0, g - 1, 1.0 if estimate == 0 else 0.0)
    se = math.sqrt(total)
    df = (g - 1) * (total / spread) ** 2 if spread > 0 else math.inf
    half = float(student.ppf((1 + level) / 2, df)) * se
    return Carried(estimate - half, estimate + half, se, df, float(2 * student.sf(abs(estimate) / se, df)))
