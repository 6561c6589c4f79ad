"""Intervals of joint estimates without resampling: single AUROCs, their means, and paired differences."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.evaluation import Replicates, Source
from analysis.statistics.auroc import Floats
from analysis.statistics.delong import (
    freedom,
    influence,
    logit_t_interval,
    mover,
    satterthwaite,
    score_interval,
    separable_bound,
    t_interval,
    t_p,
)

SCORE, EXACT, LOGIT, PAIRED = "DeLong score", "exact, one-sided", "DeLong logit t", "paired DeLong t"
"""What the column `method` says: of one AUROC, of one that is 0 or 1, of a mean over seeds, of a difference."""
MEAN_OF, WITH_SEEDS = ", MOVER", ", with seeds"
THIN = 50
"""Units of the smaller class below which a difference of single AUROCs is not sure to be covered as it says."""
COVERS = f" (below {THIN} positives or negatives it covers 84 to 99 %)"
"""By simulation at 95 %: fewest near an AUROC of 0.95 (docs/statistics.md)."""


class Bounds(NamedTuple):
    """Intervals of k statistics on t tasks and their means, and what a table says of each: arrays [k, t + 1].

    Attributes:
        low, high: NaN where there is no interval.
        n_defined: resamples that the interval rests on; 0 where it needs none.
        p_value: two-sided, of the statistic being 0, by the interval: below 1 - level where that leaves 0 out.
        se: standard error.
        method: text.
    """

    low: Floats
    high: Floats
    n_defined: npt.NDArray[np.int64]
    p_value: Floats
    se: Floats
    method: npt.NDArray[np.object_]


class _Joint(NamedTuple):
    """One statistic on every task.

    Attributes:
        covariance: [t, t] by unit.
        freedoms: [t] of its diagonal.
        seeds: [s, t + 1] variance of each column that the seeds of a model add.
        seeds_freedoms: [s, t + 1] of it.
        one_model: whether it is a model and no difference.
        one_cell: whether that has one seed.
        alone: [t] DeLong's variance as if each row were a unit; of one cell.
    """

    covariance: Floats
    freedoms: Floats
    seeds: Floats
    seeds_freedoms: Floats
    one_model: bool
    one_cell: bool
    alone: Floats


class _Task(NamedTuple):
    sizes: tuple[int, int]
    rarest: int
    n_pairs: int


def closed_bounds(replicates: Replicates, source: Source, weights: Floats, estimates: Floats, level: float) -> Bounds:
    """Intervals of contrasts of models from DeLong's influences, by unit, and from the spread of the seeds.

    Args:
        weights: [k, m] of the models in each statistic.
        estimates: [k, t + 1] the statistics on the data.
        level: coverage between 0 and 1.

    Returns:
        A single cell has the score interval, its means MOVER's of these. All else has Student's t by Satterthwaite:
        means over seeds on the logit scale, with the variance of the seeds over their number added (independent of the
        studies' part, so that what a finite test set makes of the seeds counts twice and errs on the wide side).
    """
    shape = estimates.shape
    low, high, p_values, errors = (np.full(shape, np.nan) for _ in range(4))
    bounds = Bounds(low, high, np.zeros(shape, np.int64), p_values, errors, np.full(shape, "", dtype=object))
    columns = replicates.columns()
    tasks = [_task(source, row) for row in source.evaluation.labels]
    joint = [_joint(replicates, source, row) for row in weights]
    single = np.array([made.one_cell for made in joint], dtype=bool)
    lows, highs = _single_tasks(joint, single, tasks, estimates[:, : len(tasks)], level)
    for k, made in enumerate(joint):
        shares = [made.covariance[np.ix_(part, part)].sum(axis=1) / len(part) ** 2 for part in columns]
        variance = np.array([share.sum() for share in shares]).clip(min=0)
        bounds.se[k] = np.sqrt(variance + made.seeds.sum(axis=0))
        if single[k]:
            _fill_single(bounds, k, made, columns, lows[k], highs[k], estimates[k])
            continue
        of_part = [satterthwaite(share, made.freedoms[list(part)]) for share, part in zip(shares, columns, strict=True)]
        freedoms = satterthwaite(np.stack([variance, *made.seeds]), np.stack([np.array(of_part), *made.seeds_freedoms]))
        interval = logit_t_interval if made.one_model else t_interval
        bounds.low[k], bounds.high[k] = interval(estimates[k], bounds.se[k], freedoms, level)
        bounds.p_value[k] = t_p(estimates[k], bounds.se[k], freedoms)
        name = (LOGIT if made.one_model else PAIRED) + (WITH_SEEDS if len(made.seeds) else "")
        bounds.method[k] = [_said(name, part, bounds.se[k, c], made, tasks) for c, part in enumerate(columns)]
    return bounds


def _joint(replicates: Replicates, source: Source, row: Floats) -> _Joint:
    """Influences of all tasks multiplied, for the models that take part."""
    models = np.flatnonzero(row)
    members = [np.array([m]) if replicates.members is None else replicates.members[m] for m in models]
    cells = np.concatenate(members) if members else np.zeros(0, dtype=np.int64)
    share = np.concatenate([np.full(len(rows), row[m] / len(rows)) for m, rows in zip(models, members, strict=True)]
                           or [np.zeros(0)])  # fmt: skip
    labels, scores = source.evaluation.labels, source.evaluation.scores
    made = [influence(y, scores[cells, t], source.codes, source.n_units) for t, y in enumerate(labels)]
    values = np.stack([share @ part.values for part in made])
    values[[bool(why) for why in replicates.few[: len(made)]]] = np.nan
    freedoms = np.array([freedom(row, part.positive, part.known) for row, part in zip(values, made, strict=True)])
    several = [(row[m], np.isin(cells, rows)) for m, rows in zip(models, members, strict=True) if len(rows) > 1]
    aurocs = np.stack([part.auroc for part in made], axis=1)  # [cells, t]
    of_columns = np.stack([aurocs[:, list(part)].mean(axis=1) for part in replicates.columns()], axis=1)
    seeds = [w**2 * of_columns[mine].var(axis=0, ddof=1) / mine.sum() for w, mine in several]
    counts = [np.full(of_columns.shape[1], mine.sum() - 1.0) for _, mine in several]
    empty = np.zeros((0, of_columns.shape[1]))
    one = len(models) == 1 and row[models[0]] == 1
    return _Joint(
        values @ values.T, freedoms, np.array(seeds) if seeds else empty, np.array(counts) if counts else empty,
        one, one and len(cells) == 1, np.array([part.alone.sum() for part in made]),
    )  # fmt: skip


def _task(source: Source, labels: Floats) -> _Task:
    """Sizes of the classes in rows; units of the smaller one; pairs of units without one in common."""
    of_plus, of_minus = (np.unique(source.codes[labels == label]) for label in (1, 0))
    together = np.union1d(of_plus, of_minus).size
    rarest = min(of_plus.size, of_minus.size)
    return _Task((int((labels == 1).sum()), int((labels == 0).sum())), rarest, min(rarest, together // 2))


def _single_tasks(
    joint: list[_Joint], single: npt.NDArray[np.bool_], tasks: list[_Task], estimates: Floats, level: float
) -> tuple[Floats, Floats]:
    """Bounds [k, t] of single cells on each task."""
    lows, highs = (np.full(estimates.shape, np.nan) for _ in range(2))
    chosen = np.flatnonzero(single)
    if not chosen.size:
        return lows, highs
    for t, task in enumerate(tasks):
        aurocs = estimates[chosen, t]
        variance = np.array([joint[k].covariance[t, t] for k in chosen])
        freedoms, alone = (np.array([getattr(joint[k], name)[t] for k in chosen]) for name in ("freedoms", "alone"))
        lows[chosen, t], highs[chosen, t] = score_interval(
            aurocs, variance, freedoms, alone=alone, sizes=task.sizes, level=level
        )
        _set_exact(lows[:, t], highs[:, t], np.where(single, estimates[:, t], np.nan), task, level)
    return lows, highs


def set_separable(bounds: Bounds, source: Source, estimates: Floats, level: float) -> None:
    """Puts the exact bound where an AUROC is 0 or 1: no resample can show an error that the data do not.

    Args:
        bounds: of single models, changed in place.
        estimates: [m, t + 1] the AUROCs.
        level: coverage between 0 and 1.
    """
    for t, labels in enumerate(source.evaluation.labels):
        exact = np.isin(estimates[:, t], (0.0, 1.0))
        if exact.any():
            _set_exact(bounds.low[:, t], bounds.high[:, t], estimates[:, t], _task(source, labels), level)
            bounds.method[exact, t] = EXACT


def _set_exact(lows: Floats, highs: Floats, aurocs: Floats, task: _Task, level: float) -> None:
    for value in (0.0, 1.0):
        rows = aurocs == value
        if rows.any():
            bound = separable_bound(task.n_pairs, level)
            lows[rows], highs[rows] = (bound, 1.0) if value else (0.0, 1 - bound)


def _fill_single(
    bounds: Bounds, k: int, made: _Joint, columns: list[tuple[int, ...]], lows: Floats, highs: Floats, estimates: Floats
) -> None:
    """Bounds of a single cell: each task's, and the means' from them."""
    roots = np.sqrt(np.diag(made.covariance))
    correlations = np.divide(
        made.covariance, np.outer(roots, roots), out=np.eye(len(roots)), where=np.outer(roots, roots) > 0
    )
    np.fill_diagonal(correlations, 1.0)
    for c, part in enumerate(columns):
        rows = list(part)
        exact = [t for t in rows if estimates[t] in (0.0, 1.0)]
        if len(rows) == 1:
            bounds.low[k, c], bounds.high[k, c] = lows[rows[0]], highs[rows[0]]
            bounds.method[k, c] = EXACT if exact else SCORE
            continue
        bounds.low[k, c], bounds.high[k, c] = mover(
            estimates[rows], lows[rows], highs[rows], correlations[np.ix_(rows, rows)]
        )
        bounds.method[k, c] = SCORE + MEAN_OF + (f" ({len(exact)} of them {EXACT})" if exact else "")


def _said(name: str, part: tuple[int, ...], error: float, made: _Joint, tasks: list[_Task]) -> str:
    """The method of one column of a statistic that has Student's t."""
    if error == 0:
        return "none: no two studies are ranked differently"
    still = sum(made.covariance[t, t] == 0 for t in part)
    if still:
        return f"{name} ({still} of its tasks without a visible error)"
    thin = len(part) == 1 and tasks[part[0]].rarest < THIN
    return name + (COVERS if thin and not made.one_model else "")
