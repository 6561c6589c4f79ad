"""Every model on the same rows, and every model in the same resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.auroc import Floats, auroc, labelled
from analysis.bootstrap import bootstrap_auroc, draw_counts
from analysis.errors import AnalysisError

MEAN = "mean"
UNITS = {"study": ["patient", "study"], "patient": ["patient"], "image": ["path"]}
"""What is resampled, and the key columns that name it."""


@dataclass(frozen=True)
class Evaluation:
    """What m models said about the same n rows.

    Attributes:
        keys: n rows: patient, study (and path at image level).
        tasks: t names.
        labels: [t, n] 0, 1 or NaN.
        scores: [m, t, n] finite.
    """

    keys: pd.DataFrame
    tasks: tuple[str, ...]
    labels: Floats
    scores: Floats


@dataclass(frozen=True)
class Replicates:
    """AUROC of m models on t tasks and on their mean, the last one, in b joint resamples.

    Attributes:
        tasks: t names, then `mean`.
        estimates: [m, t + 1] on the data; NaN where undefined.
        resampled: [m, t + 1, b] in the resamples; NaN where undefined, the mean wherever one of its tasks is.
        n: [t + 1] labelled rows; of the mean, the rows labelled for any of its tasks.
        n_positive: [t + 1] positive rows; NaN for the mean, whose tasks have different positives.
        unit: what was resampled.
        n_units: how many of them there are.
    """

    tasks: tuple[str, ...]
    estimates: Floats
    resampled: Floats
    n: npt.NDArray[np.int64]
    n_positive: Floats
    unit: str
    n_units: int


def align(frames: Mapping[str, pd.DataFrame], tasks: Sequence[str]) -> Evaluation:
    """The models' labels and scores side by side.

    Args:
        frames: by run name, in the order wanted: what `aggregate_views` gave.
        tasks: to be scored.

    Raises:
        AnalysisError: a task is missing, or two runs differ in their rows or labels.
    """
    for run, frame in frames.items():
        missing = [name for task in tasks for name in (f"label/{task}", f"score/{task}") if name not in frame.columns]
        if missing:
            raise AnalysisError(f"the predictions of run {run} have no column {', '.join(missing)}")
    first, *others = frames.items()
    for other in others:
        _check_same(first, other, tasks)
    keys = [name for name in ("patient", "study", "path") if name in first[1].columns]
    return Evaluation(
        keys=first[1][keys],
        tasks=tuple(tasks),
        labels=_stack(first[1], "label", tasks),
        scores=np.stack([_stack(frame, "score", tasks) for frame in frames.values()]),
    )


def unit_codes(keys: pd.DataFrame, unit: str) -> tuple[npt.NDArray[np.int64], int]:
    """Which resampling unit each row belongs to: codes [n] from 0, and how many units there are.

    Raises:
        AnalysisError: an unknown unit, or images where the rows are studies.
    """
    if unit not in UNITS:
        raise AnalysisError(f"unit={unit} is not one of {', '.join(UNITS)}")
    if any(name not in keys.columns for name in UNITS[unit]):
        raise AnalysisError(f"unit={unit} needs rows that are images, but the runs are evaluated by study")
    codes = np.asarray(keys.groupby(UNITS[unit], sort=True).ngroup(), dtype=np.int64)
    return codes, int(codes.max()) + 1


def resample(evaluation: Evaluation, *, unit: str, n_resamples: int, rng: np.random.Generator) -> Replicates:
    """AUROC on the data and in resamples of whole units, the same resamples for every model and task.

    Raises:
        AnalysisError: the rows hold no such unit.
        ValueError: labels or scores that have no AUROC.
    """
    codes, n_units = unit_codes(evaluation.keys, unit)
    counts = draw_counts(n_units, n_resamples, rng=rng)[:, codes]
    labels, scores = evaluation.labels, evaluation.scores
    values = np.stack([bootstrap_auroc(labels[t], scores[:, t], counts) for t in range(len(labels))], axis=1)
    estimates = np.array([[auroc(labels[t], model[t]) for t in range(len(labels))] for model in scores])
    known = labelled(labels)
    return Replicates(
        tasks=(*evaluation.tasks, MEAN),
        estimates=np.concatenate([estimates, estimates.mean(axis=1, keepdims=True)], axis=1),
        resampled=np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1),
        n=np.append(known.sum(axis=1), known.any(axis=0).sum()),
        n_positive=np.append((labels == 1).sum(axis=1), np.nan),
        unit=unit,
        n_units=n_units,
    )


def _stack(frame: pd.DataFrame, kind: str, tasks: Sequence[str]) -> Floats:
    return frame[[f"{kind}/{task}" for task in tasks]].to_numpy(dtype=np.float64).T


def _check_same(first: tuple[str, pd.DataFrame], other: tuple[str, pd.DataFrame], tasks: Sequence[str]) -> None:
    (name, frame), (other_name, other_frame) = first, other
    pair = f"runs {name} and {other_name} cannot be compared"
    keys = [key for key in ("patient", "study", "path") if key in frame.columns]
    both = frame[keys].merge(other_frame[keys], how="outer", indicator="where")
    alone = both[both["where"] != "both"]
    if len(alone):
        row = alone.iloc[0]
        holder = name if row["where"] == "left_only" else other_name
        what = ", ".join(f"{key} {row[key]}" for key in keys)
        raise AnalysisError(f"{pair}: {what} is in {holder} only ({len(alone)} such rows)")
    for task in tasks:
        column = f"label/{task}"
        left, right = frame[column].to_numpy(), other_frame[column].to_numpy()
        differ = ~((left == right) | (np.isnan(left) & np.isnan(right)))
        if differ.any():
            i = int(np.flatnonzero(differ)[0])
            what = ", ".join(f"{key} {frame[key].iloc[i]}" for key in keys)
            raise AnalysisError(f"{pair}: {column} of {what} is {left[i]} and {right[i]}")
