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
    closed_form_interval,
    correlate,
    leave_one_out,
    permutation_p,
    resample_both,
    resample_points,
)
from analysis.tables import number, p_value

BOTH, POINTS, CLOSED, DIGITISED = "architectures and test set", "architectures", "closed form", "digitisation"
"""What an interval carries. The first that a correlation has is the one of record.

`architectures and test set` carries the training seeds too where there are several; `closed form` needs only the
coefficient and n; `digitisation` is what reading points off a figure does, the architectures held fixed.
"""
CORRELATION_COLUMNS = [
    *("x", "y", "subset", "method", "estimate", "low", "high", "p_value", "n", "level", "interval"),
    *("n_resamples", "n_defined", "loo_low", "loo_high", "n_permutations", "n_runs", "x_scale", "reliability"),
    *("n_left_out", "left_out", "note"),
]


def correlation_table(
    cells: pd.DataFrame, replicates: Replicates, *, level: float, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    """ImageNet top-1 and size against AUROC, and size against the boost, by three methods with three intervals.

    Args:
        cells: m rows in the order of the replicates, as `collect` wants them.
        replicates: of the same m models; the intervals take as many resamples.
        level: coverage of the intervals.
        n_permutations: of each permutation test.
        rng: consumed.

    Returns:
        CORRELATION_COLUMNS; the interval of record comes first of its method. A correlation of fewer than three
        architectures is NaN, with its n.

    Raises:
        AnalysisError: as `collect`.
    """
    n_resamples = replicates.resampled.shape[-1]
    return correlations(
        collect(cells, replicates), level=level, n_resamples=n_resamples, n_permutations=n_permutations, rng=rng
    )


def correlations(
    clouds: Sequence[Scatter], *, level: float, n_resamples: int, n_permutations: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The same for given point clouds; where nothing is known of the test set, without the interval that carries it.

    Args:
        clouds: each with its n architectures.
        level: coverage of the intervals.
        n_resamples: of the architectures; of the test set a cloud brings its own.
        n_permutations: of each permutation test.
        rng: consumed.
    """
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
        level: coverage of the intervals.
        n_resamples: simulated readings.
        rng: consumed.

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
    """One row a correlation: the one with the interval that carries most."""
    kept = table[table["interval"].isin([BOTH, POINTS])]
    order = kept["interval"].map({BOTH: 0, POINTS: 1})
    first = kept.assign(order=order).sort_values("order", kind="stable").drop_duplicates(["x", "y", "subset", "method"])
    return first.sort_index().drop(columns="order").reset_index(drop=True)


def correlation_statistics(table: pd.DataFrame) -> pd.DataFrame:
    """The intervals of record as verdicts take them.

    Args:
        table: what `correlation_table` gives.

    Returns:
        statistic (`spearman(parameters, auroc)`), subset, estimate, low, high, n, level, reliability.
    """
    rows = of_record(table)
    names = [f"{row['method']}({row['x']}, {row['y']})" for row in rows.to_dict("records")]
    return rows.assign(statistic=names)[["statistic", "subset", "estimate", "low", "high", "n", "level", "reliability"]]


def correlation_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a correlation and interval; all text.

    Args:
        table: what `correlation_table` gives.
    """
    names = {"imagenet_top1": "ImageNet top-1", "parameters": "Parameters", "auroc": "AUROC", "boost": "Boost"}
    rows = [
        {
            "x": names.get(str(row["x"]), str(row["x"])),
            "y": names.get(str(row["y"]), str(row["y"])),
            "Cells": str(row["subset"]),
            "Method": str(row["method"]).capitalize(),
            "n": str(row["n"]),
            "Estimate": number(row["estimate"], signed=True),
            "Low": number(row["low"], signed=True),
            "High": number(row["high"], signed=True),
            "Interval": str(row["interval"]),
            "p": p_value(row["p_value"]),
            "Without one, low": number(row["loo_low"], signed=True),
            "Without one, high": number(row["loo_high"], signed=True),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def _rows(
    cloud: Scatter, method: str, level: float, n_resamples: int, n_permutations: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    x, y = cloud.x_scaled, cloud.y
    head = _head(cloud, method, level)
    estimate = float(correlate(x, y, method))
    p, tried, _ = permutation_p(x, y, method, n_permutations=n_permutations, rng=rng)
    others = leave_one_out(x, y, method)
    others = others[~np.isnan(others)]
    head |= {"p_value": p, "n_permutations": tried}
    if others.size:
        head |= {"loo_low": others.min(), "loo_high": others.max()}
    rows: list[dict[str, object]] = []
    if cloud.y_resampled is not None:
        rows.append(head | _bounds(resample_both(x, cloud.y_resampled, method, rng=rng), level) | {"interval": BOTH})
    points = resample_points(x, y, method, n_resamples=n_resamples, rng=rng)
    rows.append(head | _bounds(points, level) | {"interval": POINTS})
    low, high = closed_form_interval(estimate, y.size, method, level)
    return [*rows, head | {"low": low, "high": high, "interval": CLOSED, "n_resamples": 0, "n_defined": 0}]


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
        "note": cloud.note,
    }


def _bounds(replicates: Floats, level: float) -> dict[str, object]:
    low, high, n_defined = percentile_interval(replicates, level)
    return {"low": float(low), "high": float(high), "n_resamples": replicates.size, "n_defined": int(n_defined)}
