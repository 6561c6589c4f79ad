"""The table of correlations: point clouds in, long frame out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.evaluation import Replicates
from analysis.questions.scatter import Scatter, collect
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval
from analysis.statistics.correlation import (
    METHODS,
    closed_form,
    correlate,
    leave_one_out,
    permutation_p,
    resample_points,
)
from analysis.statistics.families import codes, effective_number

FAMILIES, POINTS, DIGITISED = "architectures, alike within families", "architectures, as if independent", "digitisation"
"""What an interval carries, and what it assumes of the architectures. The first is the one of record.

`alike within families` is the closed form at the effective number of architectures; `as if independent` is the
percentile bootstrap of architectures, with a permutation p-value, both of which promise too much where sizes and AUROCs
are alike within families (docs/verdicts.md); `digitisation` is what reading points off a figure does, the architectures
held fixed.
"""
RELIABLE, ATTENUATED = 0.8, "attenuated"
"""A row is noted as attenuated where `reliability` is below this, or not known: its interval is of the coefficient that
a test set of this size measures, which it covers as often as it says, and not of the one without noise, which it covers
40 % of the time at worst (docs/verdicts.md)."""
COVERS = "at 95 % covers 93 to 100 %"
"""What the note of a row of record says: of what is measured, by simulation (docs/verdicts.md)."""
ATTENUATION = (
    f"Attenuated: more than {1 - RELIABLE:.1f} of the variance between the architectures is noise of the test set and "
    "of training, or how much is not known, which takes two seeds of every network. Noise pulls a coefficient towards "
    "0; the interval covers what a test set of this size measures (93 to 100 of 100 do at 95 %, docs/verdicts.md), and "
    "not the coefficient without noise."
)
"""What belongs below a table with such a row."""
CORRELATION_COLUMNS = [
    *("x", "y", "subset", "method", "estimate", "low", "high", "p_value", "n", "level", "interval"),
    *("n_effective", "n_resamples", "n_defined", "loo_low", "loo_high", "n_permutations", "n_runs", "x_scale"),
    "reliability",
    *("n_left_out", "left_out", "note"),
]


N_RESAMPLES = 10_000
"""Of the architectures: at 1,000 the Monte Carlo error of a bound shows in the second decimal."""


def correlation_table(
    groups: pd.DataFrame, replicates: Replicates, *, level: float, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    """ImageNet top-1 and size against AUROC, and size against the boost, by three methods with two intervals.

    Args:
        groups: m rows in the order of the replicates, as `collect` wants them.

    Returns:
        CORRELATION_COLUMNS; the interval of record comes first of its method. A correlation of fewer than three
        architectures is NaN, with its n.

    Raises:
        AnalysisError: as `collect`.
    """
    clouds = collect(groups, replicates)
    return correlations(clouds, level=level, n_resamples=N_RESAMPLES, n_permutations=n_permutations, rng=rng)


def correlations(
    clouds: Sequence[Scatter], *, level: float, n_resamples: int, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The same for given point clouds."""
    rows = [
        row
        for cloud in clouds
        for method in METHODS
        for row in _rows(cloud, method, level, n_resamples, n_permutations, rng)
    ]
    counts = ["n", "n_resamples", "n_defined", "n_permutations", "n_runs", "n_left_out"]
    return pd.DataFrame(rows, columns=CORRELATION_COLUMNS).astype(dict.fromkeys(counts, "int64"))


def digitisation_rows(
    clouds: Sequence[Scatter], *, error: float, level: float, n_resamples: int, rng: np.random.Generator
) -> pd.DataFrame:
    """What an error of reading does to the coefficients: y moved evenly by up to `error` either way.

    Args:
        clouds: points read off a figure; a boost is a difference of two readings and moves by two errors.
        error: the largest, in units of y.

    Returns:
        CORRELATION_COLUMNS with interval `digitisation`: one row a cloud and method.
    """
    rows = []
    for cloud in clouds:
        shape = (n_resamples, cloud.y.size)
        moved = cloud.y + rng.uniform(-error, error, size=shape)
        if cloud.y_name == "boost":
            moved += rng.uniform(-error, error, size=shape)
        for method in METHODS:
            row = _head(cloud, method, level) | _bounds(correlate(cloud.x_scaled, moved, method), level)
            rows.append(row | {"interval": DIGITISED})
    return pd.DataFrame(rows, columns=CORRELATION_COLUMNS)


def of_record(table: pd.DataFrame) -> pd.DataFrame:
    """One row a correlation: the one whose interval holds where architectures are alike within families."""
    return table[table["interval"] == FAMILIES].reset_index(drop=True)


def correlation_statistics(table: pd.DataFrame) -> pd.DataFrame:
    """The intervals of record as verdicts take them.

    Args:
        table: what `correlation_table` gives.

    Returns:
        statistic (`spearman(parameters, auroc)`), subset, estimate, low, high, n, n_effective, level, reliability.
    """
    rows = of_record(table)
    names = [f"{row['method']}({row['x']}, {row['y']})" for row in rows.to_dict("records")]
    kept = ["statistic", "subset", "estimate", "low", "high", "n", "n_effective", "level", "reliability"]
    return rows.assign(statistic=names)[kept]


def _rows(
    cloud: Scatter, method: str, level: float, n_resamples: int, n_permutations: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    x, y = cloud.x_scaled, cloud.y
    head = _head(cloud, method, level)
    estimate = float(correlate(x, y, method))
    others = leave_one_out(x, y, method)
    others = others[~np.isnan(others)]
    if others.size:
        head |= {"loo_low": others.min(), "loo_high": others.max()}
    n_effective = effective_number(x, y, codes(cloud.families), ranks=method != "pearson")
    low, high, p = closed_form(estimate, n_effective, method, level)
    record = {"low": low, "high": high, "p_value": p, "n_effective": n_effective, "interval": FAMILIES}
    record["note"] = "; ".join(filter(None, [str(head["note"]), COVERS]))
    points = resample_points(x, y, method, n_resamples=n_resamples, rng=rng)
    p, tried, _ = permutation_p(x, y, method, n_permutations=n_permutations, rng=rng)
    alone = {"p_value": p, "n_permutations": tried, "n_effective": float(y.size), "interval": POINTS}
    return [head | {"n_resamples": 0, "n_defined": 0} | record, head | _bounds(points, level) | alone]


def _head(cloud: Scatter, method: str, level: float) -> dict[str, object]:
    return {
        "x": cloud.x_name,
        "y": cloud.y_name,
        "subset": cloud.subset,
        "method": method,
        "estimate": float(correlate(cloud.x_scaled, cloud.y, method)),
        "p_value": np.nan,
        "n": cloud.y.size,
        "level": level,
        "loo_low": np.nan,
        "loo_high": np.nan,
        "n_permutations": 0,
        "n_runs": int(cloud.n_seeds.sum()),
        "x_scale": cloud.x_scale,
        "reliability": cloud.reliability,
        "n_left_out": len(cloud.left_out),
        "left_out": "; ".join(cloud.left_out),
        "note": "; ".join(filter(None, [cloud.note, "" if cloud.reliability >= RELIABLE else ATTENUATED])),
    }


def _bounds(replicates: Floats, level: float) -> dict[str, object]:
    low, high, n_defined = percentile_interval(replicates, level)
    return {"low": float(low), "high": float(high), "n_resamples": replicates.size, "n_defined": int(n_defined)}
