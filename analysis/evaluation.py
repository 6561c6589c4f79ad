"""Every model on the same rows, and every model in the same resamples."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.errors import AnalysisError
from analysis.statistics.auroc import Floats, auroc, labelled
from analysis.statistics.bootstrap import METHOD, Counts, bootstrap_auroc, draw_counts
from analysis.units import FEWEST, too_few, unit_codes, unit_strata

MEAN = "mean"
SEEDS = ", seeds resampled"
"""Added to the name of a method."""


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
class Source:
    """What replicates were made from: enough to draw the same resamples again, in no memory.

    Attributes:
        evaluation: the data.
        unit: what is resampled.
        codes: [n] the unit of each row, from 0.
        n_units: how many units there are.
        n_resamples: resamples.
        rng: as it was before the first draw; copied before each use.
        stratified: whether each task draws units with a positive and units without apart.
    """

    evaluation: Evaluation
    unit: str
    codes: npt.NDArray[np.int64]
    n_units: int
    n_resamples: int
    rng: np.random.Generator
    stratified: bool

    @property
    def method(self) -> str:
        """What the column `method` of a table says of a percentile interval of these resamples."""
        return f"{'stratified ' if self.stratified else ''}{METHOD}"

    def counts(self) -> list[Counts]:
        """How often each unit occurs in each resample, [b, u] for each task: one array for all, or strata of its own.

        Tasks share their draws either way (see `draw_counts`), and all models share everything.
        """
        labels = self.evaluation.labels
        strata = [unit_strata(row, self.codes, self.n_units) for row in labels] if self.stratified else [None]
        drawn = [draw_counts(self.n_units, self.n_resamples, rng=deepcopy(self.rng), strata=s) for s in strata]
        return drawn if self.stratified else drawn * len(labels)


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
        stratified: whether positives and negatives of each task were drawn apart.
        source: what other intervals are made from; None where the replicates were put together later.
        parts: of each mean, the last entries of `tasks`, the tasks that it is over; without, all of them.
        few: [t + 1] why there is no interval, such as `too few positives (3)`; empty where there is one. What is
            resampled is NaN there, so that no table has an interval of it.
        members: of each model the rows of the source, its training seeds; None where each is a cell of its own.
    """

    tasks: tuple[str, ...]
    estimates: Floats
    resampled: Floats
    n: npt.NDArray[np.int64]
    n_positive: Floats
    unit: str
    n_units: int
    stratified: bool = False
    source: Source | None = None
    parts: tuple[tuple[int, ...], ...] = ()
    few: tuple[str, ...] = ()
    members: tuple[npt.NDArray[np.int64], ...] | None = None

    @property
    def seeds(self) -> bool:
        """Whether a model is the mean over several training seeds."""
        return self.members is not None and any(len(rows) > 1 for rows in self.members)

    @property
    def method(self) -> str:
        """What the column `method` of a table says of a percentile interval of these replicates."""
        return f"{'stratified ' if self.stratified else ''}{METHOD}{SEEDS if self.seeds else ''}"

    def take(self, rows: npt.NDArray[np.intp]) -> "Replicates":
        """The same of some of the models, in that order."""
        source, members = self.source, self.members
        if members is not None:
            members = tuple(members[row] for row in rows)
        elif source is not None:
            kept = replace(source.evaluation, scores=source.evaluation.scores[rows])
            source = replace(source, evaluation=kept)
        return replace(
            self, estimates=self.estimates[rows], resampled=self.resampled[rows], source=source, members=members
        )

    def columns(self) -> list[tuple[int, ...]]:
        """The tasks that each entry of `tasks` is made of: one, or those of a mean."""
        n = len(self.tasks) - max(1, len(self.parts))
        return [*((t,) for t in range(n)), *(self.parts or (tuple(range(n)),))]


def align(frames: Mapping[str, pd.DataFrame], tasks: Sequence[str]) -> Evaluation:
    """The models' labels and scores side by side.

    Args:
        frames: by run name, in the order wanted: what `aggregate_views` gave.

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


def resample(
    evaluation: Evaluation,
    *,
    unit: str,
    n_resamples: int,
    rng: np.random.Generator,
    stratified: bool = False,
    fewest: int = FEWEST,
) -> Replicates:
    """AUROC on the data and in resamples of whole units, the same resamples for every model and task.

    Args:
        unit: study, patient or image; all rows of a unit are drawn together.
        stratified: for each task, draw the units with a positive, with negatives only and without a label apart, each
            to its own number. Tasks still share their draws but for the few that this takes, so the mean over tasks
            keeps their correlation nearly, not exactly.
        fewest: units with a positive, and with a negative, below which a task's replicates are NaN, and those of every
            mean that it is part of; the mean over the other tasks is then an entry of its own.

    Raises:
        AnalysisError: the rows hold no such unit.
        ValueError: labels or scores that have no AUROC.
    """
    codes, n_units = unit_codes(evaluation.keys, unit)
    # strata take several passes over the same draws, so they get a generator of their own
    before = rng.spawn(1)[0] if stratified else deepcopy(rng)
    source = Source(evaluation, unit, codes, n_units, n_resamples, before, stratified)
    labels, scores, known = evaluation.labels, evaluation.scores, labelled(evaluation.labels)
    if stratified:
        by_row = [counts[:, codes] for counts in source.counts()]
    else:
        by_row = [draw_counts(n_units, n_resamples, rng=rng)[:, codes]] * len(labels)
    values = np.stack([bootstrap_auroc(y, scores[:, t], by_row[t]) for t, y in enumerate(labels)], axis=1)
    estimates = np.array([[auroc(y, model[t]) for t, y in enumerate(labels)] for model in scores])
    few = [too_few(y, codes, n_units, fewest) for y in labels]
    values[:, [bool(why) for why in few]] = np.nan
    means, parts = _means(evaluation.tasks, few)
    return Replicates(
        tasks=(*evaluation.tasks, *means),
        estimates=with_mean(estimates, parts),
        resampled=with_mean(values, parts),
        n=np.append(known.sum(axis=1), [known[list(part)].any(axis=0).sum() for part in parts]),
        n_positive=np.append((labels == 1).sum(axis=1), [np.nan] * len(parts)),
        unit=unit,
        n_units=n_units,
        stratified=stratified,
        source=source,
        parts=parts,
        few=(*few, *(of_tasks(evaluation.tasks, few, part) for part in parts)),
    )


def with_mean(values: Floats, parts: Sequence[Sequence[int]] = ()) -> Floats:
    """Appends means over tasks, the second axis; NaN wherever one of their tasks is.

    Args:
        values: [m, t, ...].
        parts: the tasks of each mean; without, one mean over all.
    """
    means = [values[:, list(part)].mean(axis=1, keepdims=True) for part in parts or [range(values.shape[1])]]
    return np.concatenate([values, *means], axis=1)


def _means(tasks: Sequence[str], few: Sequence[str]) -> tuple[list[str], tuple[tuple[int, ...], ...]]:
    """Names of the means and their tasks: over all, and before it over those with an interval where some have none."""
    every, left = tuple(range(len(tasks))), tuple(t for t, why in enumerate(few) if not why)
    if len(left) in (len(tasks), 0, 1):
        return [MEAN], (every,)
    without = "_and_".join(task for task, why in zip(tasks, few, strict=True) if why)
    return [f"{MEAN}_without_{without}", MEAN], (left, every)


def of_tasks(tasks: Sequence[str], few: Sequence[str], part: Sequence[int]) -> str:
    """Why a mean has no interval, of its tasks' reasons.

    Args:
        tasks: names.
        few: the reason of each, empty where it has an interval.
        part: the tasks of the mean.
    """
    return "; ".join(f"{tasks[t]}: {few[t]}" for t in part if few[t])


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
