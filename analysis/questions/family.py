"""Does the family of an architecture explain its AUROC, and more than its size does?"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.evaluation import MEAN, Replicates
from analysis.questions.seeds import numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.families import codes, jackknife
from analysis.statistics.variance import Codes, Explained, explained, permutation_p

JACKKNIFE = "jackknife over architectures, t"
COVERS = {"family_minus_size": "81 to 99 %"}
"""How often 95 % intervals of a statistic cover what such architectures measure on average, by simulation
(docs/verdicts.md); of every other by the jackknife 72 to 100 %. Fewest where families explain nearly everything."""
COLUMNS = [
    *("subset", "statistic", "estimate", "low", "high", "p_value", "n", "n_families", "level", "method", "status"),
]
NOTE = (
    "Families of few architectures: an R^2 of family is large by chance, so compare the adjusted ones. Intervals leave "
    "out one architecture at a time, and may leave the range from 0 to 1; each row says how often such an interval "
    "covers (docs/verdicts.md). The noise of the test set and of training is in every variance; where it is alike "
    "within families it passes for a family's effect."
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

    Returns:
        Two rows, statistic, estimate, low, high, p_value, status: the slope (AUROC for ten times the parameters) and
        the family share, family variance / (family + residual variance). The slope's t has n - families - 1 degrees of
        freedom. `status` is `ok`, or what went wrong in words: an estimate that is not to be relied on is marked, has
        neither interval nor p-value where the fit did not converge, and is NaN where there is none.

    Source: Pinheiro and Bates, Mixed-Effects Models in S and S-PLUS, 2000, 2.4.2: degrees of freedom of a covariate
        that varies within groups, as R's nlme counts them.
    """
    names = ["mixed model: slope", "mixed model: family share"]
    empty = pd.DataFrame({"statistic": names, **dict.fromkeys(("estimate", "low", "high", "p_value"), np.nan)})
    order = np.lexsort((y, x, families))  # whether the optimiser converges must not depend on the order of the rows
    y, x, families, scale = y[order], x[order], families[order], float(y.std())
    if len(np.unique(families)) < 2 or len(np.unique(families)) > y.size - 2 or scale == 0 or np.ptp(x) == 0:
        return empty.assign(status="not fitted: too few architectures or families, or nothing varies")
    design = np.column_stack([np.ones(y.size), x - x.mean()])
    with warnings.catch_warnings(record=True) as caught:  # what statsmodels warns of is told in `status`
        warnings.simplefilter("always")
        try:  # in units of the standard deviation: the optimiser's tolerances are absolute
            fit = MixedLM((y - y.mean()) / scale, design, groups=families).fit(reml=True)
            variance, residual = float(fit.cov_re[0, 0]), float(fit.scale)
            at, se = float(fit.fe_params[1]) * scale, float(fit.bse_fe[1]) * scale
        except (np.linalg.LinAlgError, ValueError) as error:
            return empty.assign(status=f"not fitted: {error}")
    rows = empty.assign(status=_status(bool(fit.converged), variance, residual, [str(w.message) for w in caught]))
    rows["estimate"] = [at, variance / (variance + residual)]
    df = y.size - len(np.unique(families)) - 1
    if fit.converged and df > 0:
        half = float(student.ppf((1 + level) / 2, df)) * se
        for name, value in (("low", at - half), ("high", at + half), ("p_value", 2 * student.sf(abs(at) / se, df))):
            rows.loc[0, name] = value
    return rows


def family_table(
    groups: pd.DataFrame, replicates: Replicates, *, level: float, n_permutations: int = 9999, rng: np.random.Generator
) -> pd.DataFrame:
    """Family against size, for pretrained and scratch networks apart, on the mean AUROC over tasks.

    Args:
        groups: what `group_seeds` gives, with `parameters`; untruncated ones count.

    Returns:
        COLUMNS; one row a subset and statistic. An architecture without parameters or with an undefined mean is left
        out.
    """
    t = replicates.tasks.index(MEAN)
    parts = []
    for subset, pretrained in (("pretrained", True), ("scratch", False)):
        x = np.log10(numbers(groups, "parameters"))
        chosen = (groups["pretrained"] == pretrained).to_numpy(dtype=bool) & (groups["truncate"] == 0).to_numpy(bool)
        chosen &= np.isfinite(x) & np.isfinite(replicates.estimates[:, t])
        if chosen.any():
            families = codes(groups["family"].to_numpy(dtype=str)[chosen])
            rows = _subset(replicates.estimates[chosen, t], x[chosen], families, level, n_permutations, rng)
            parts.append(rows.assign(subset=subset, n=int(chosen.sum()), n_families=int(families.max()) + 1))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(parts, ignore_index=True).assign(level=level)[COLUMNS]


def _subset(
    y: Floats, x: Floats, families: Codes, level: float, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    left_out = explained(np.tile(y, (y.size, 1)), x, families, 1 - np.eye(y.size)) if y.size > 1 else None
    rows: list[dict[str, Any]] = []
    for i, (name, value) in enumerate(zip(Explained._fields, explained(y, x, families), strict=True)):
        carried = jackknife(float(value), np.empty(0) if left_out is None else left_out[i], level=level)
        row = {"statistic": name, "estimate": float(value), "low": carried.low, "high": carried.high}
        method = f"{JACKKNIFE} (at 95 % covers {COVERS.get(name, '72 to 100 %')})"
        rows.append(row | {"p_value": np.nan, "method": method, "status": ""})
    for name, given in (("eta2", None), ("family_beside_size", x)):
        p = permutation_p(y, families, x=given, n_permutations=n_permutations, rng=rng)
        rows[Explained._fields.index(name)]["p_value"] = p
    mixed = mixed_model(y, x, families, level).assign(method="REML, t")
    return pd.concat([pd.DataFrame(rows), mixed], ignore_index=True)


def _status(converged: bool, variance: float, residual: float, messages: list[str]) -> str:
    retried = ("failed to converge", "Retrying")  # of an earlier optimiser, where a later one came through
    messages = [text for text in messages if not (converged and any(word in text for word in retried))]
    parts = [] if converged else ["did not converge"]
    if variance <= SINGULAR * residual:
        parts.append("singular: the family variance is estimated as 0")
    return "; ".join([*parts, *(" ".join(message.split()) for message in dict.fromkeys(messages))]) or "ok"
