"""Does the family of an architecture explain its AUROC, and more than its size does?"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.evaluation import MEAN, Replicates
from analysis.questions.seeds import draw_weights, numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval
from analysis.statistics.variance import Codes, Explained, explained, permutation_p

BASIC = "basic bootstrap"
STUDIES, BOTH = "studies", "studies and architectures"
COLUMNS = [
    *("subset", "statistic", "estimate", "low", "high", "p_value", "bias", "resampled", "n", "n_families"),
    *("level", "method", "n_resamples", "n_defined", "unit", "n_units", "status"),
]
NOTE = (
    "Families of few architectures: an R^2 of family is large by chance, so compare the adjusted ones. The noise of "
    "the test set is in every variance; the basic bootstrap interval takes it out and may leave the range from 0 to 1."
)
"""What belongs below the table of families."""
SINGULAR = 1e-6
"""A family variance below this share of the residual one counts as 0."""


def mixed_model(y: Floats, x: Floats, families: Codes, level: float) -> pd.DataFrame:
    """AUROC ~ log10 parameters + (1 | family), by REML.

    Args:
        y: [n] finite AUROCs.
        x: [n] log10 parameters.
        families: [n] codes.
        level: of the Wald interval of the slope.

    Returns:
        Two rows, statistic, estimate, low, high, p_value, status: the slope (AUROC for ten times the parameters) and
        the family share, family variance / (family + residual variance). `status` is `ok`, or what went wrong in
        words: an estimate that is not to be relied on is marked, and NaN where there is none.
    """
    names = ["mixed model: slope", "mixed model: family share"]
    empty = pd.DataFrame({"statistic": names, **dict.fromkeys(("estimate", "low", "high", "p_value"), np.nan)})
    scale = float(y.std())
    if len(np.unique(families)) < 2 or len(np.unique(families)) > y.size - 2 or scale == 0 or np.ptp(x) == 0:
        return empty.assign(status="not fitted: too few architectures or families, or nothing varies")
    design = np.column_stack([np.ones(y.size), x - x.mean()])
    with warnings.catch_warnings(record=True) as caught:  # what statsmodels warns of is told in `status`
        warnings.simplefilter("always")
        try:  # in units of the standard deviation: the optimiser's tolerances are absolute
            fit = MixedLM((y - y.mean()) / scale, design, groups=families).fit(reml=True)
            variance, residual = float(fit.cov_re[0, 0]), float(fit.scale)
            bounds = fit.conf_int(alpha=1 - level)[1] * scale
            slope = [float(fit.fe_params[1]) * scale, *map(float, bounds), float(fit.pvalues[1])]
        except (np.linalg.LinAlgError, ValueError) as error:
            return empty.assign(status=f"not fitted: {error}")
    rows = empty.assign(status=_status(bool(fit.converged), variance, residual, [str(w.message) for w in caught]))
    rows.loc[0, ["estimate", "low", "high", "p_value"]] = slope
    rows.loc[1, "estimate"] = variance / (variance + residual)
    return rows


def family_table(
    groups: pd.DataFrame, replicates: Replicates, *, level: float, n_permutations: int = 9999, rng: np.random.Generator
) -> pd.DataFrame:
    """Family against size, for pretrained and scratch networks apart, on the mean AUROC over tasks.

    Args:
        groups: what `group_seeds` gives, with `parameters`; untruncated ones count.
        replicates: of the same models.
        level: coverage of the intervals.
        n_permutations: of the two permutation tests.
        rng: of the permutations and of the resampled architectures.

    Returns:
        COLUMNS; one row a subset, statistic and kind of resampling. `bias` is what the replicates lie above the
        estimate on average: the noise of a finite test set inflates every variance. The interval is therefore the
        basic one, 2 x estimate - quantile, which takes it out (a percentile interval would put it in twice) and may
        leave the range that the statistic itself has. An architecture without parameters or with an undefined mean is
        left out.
    """
    t = replicates.tasks.index(MEAN)
    parts = []
    for subset, pretrained in (("pretrained", True), ("scratch", False)):
        x = np.log10(numbers(groups, "parameters"))
        chosen = (groups["pretrained"] == pretrained).to_numpy(dtype=bool) & (groups["truncate"] == 0).to_numpy(bool)
        chosen &= np.isfinite(x) & np.isfinite(replicates.estimates[:, t])
        if chosen.any():
            families = np.unique(groups["family"].to_numpy(dtype=str)[chosen], return_inverse=True)[1].astype(np.int64)
            y, draws = replicates.estimates[chosen, t], replicates.resampled[chosen, t].T
            rows = _subset(y, draws, x[chosen], families, level, n_permutations, rng)
            parts.append(rows.assign(subset=subset, n=int(chosen.sum()), n_families=int(families.max()) + 1))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(parts, ignore_index=True)
    return table.assign(level=level, unit=replicates.unit, n_units=replicates.n_units)[COLUMNS]


def _subset(
    y: Floats, draws: Floats, x: Floats, families: Codes, level: float, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    estimate = explained(y, x, families)
    weights = draw_weights(y.size, len(draws), rng=rng)
    rows: list[dict[str, Any]] = []
    for resampled, w in ((STUDIES, None), (BOTH, weights)):
        replicated = explained(draws, x, families, w)
        for name, value, values in zip(Explained._fields, estimate, replicated, strict=True):
            rows.append({"statistic": name, "resampled": resampled, **_basic(float(value), values, level)})
    for name, given in (("eta2", None), ("family_beside_size", x)):
        p = permutation_p(y, families, x=given, n_permutations=n_permutations, rng=rng)
        for row in rows:
            if row["statistic"] == name:
                row["p_value"] = p
    mixed = mixed_model(y, x, families, level).assign(method="REML, Wald", resampled="none")
    return pd.concat([pd.DataFrame(rows).reindex(columns=COLUMNS), mixed], ignore_index=True)


def _basic(estimate: float, draws: Floats, level: float) -> dict[str, Any]:
    interval = percentile_interval(draws, level)
    defined = draws[~np.isnan(draws)]
    return {
        "estimate": estimate,
        "low": 2 * estimate - float(interval.high),
        "high": 2 * estimate - float(interval.low),
        "bias": float(defined.mean()) - estimate if defined.size else np.nan,
        "method": BASIC,
        "n_resamples": draws.size,
        "n_defined": int(interval.n_defined),
    }


def _status(converged: bool, variance: float, residual: float, messages: list[str]) -> str:
    retried = ("failed to converge", "Retrying")  # of an earlier optimiser, where a later one came through
    messages = [text for text in messages if not (converged and any(word in text for word in retried))]
    parts = [] if converged else ["did not converge"]
    if variance <= SINGULAR * residual:
        parts.append("singular: the family variance is estimated as 0")
    return "; ".join([*parts, *(" ".join(message.split()) for message in dict.fromkeys(messages))]) or "ok"
