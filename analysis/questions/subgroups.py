"""AUROC by group of patients, the gaps between groups, and what pretraining and truncation do to them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.evaluation import MEAN, Replicates, of_tasks
from analysis.questions.along import ALL
from analysis.questions.boosts import MEAN_BOOST, carried, with_corrections
from analysis.questions.compare import TAIL, auroc_table, differences, pair_cells, tail
from analysis.questions.metrics import under
from analysis.questions.seeds import group_seeds
from analysis.questions.truncation import truncated_pairs
from analysis.statistics.auroc import Floats, labelled
from analysis.statistics.bootstrap import Counts, bootstrap_auroc
from analysis.units import too_few

AUROC, GAP, FLOOR = "auroc", "gap", "floor"
BY_PRETRAINING, BY_TRUNCATION = "change of gap by pretraining", "change of gap by truncation"
ALONE, SHUFFLED = "sex, age and view alone", "shuffled labels"
AGES = (40, 60, 80)
"""Years at which an age band begins; ours."""
COLUMNS = [
    *("statistic", "by", "group", "against", "arch", "family", "pretrained", "truncate", "seed", "task"),
    *("estimate", "low", "high", "p_value", "se", "p_normal", "p_holm", "p_bh", "n_tests", "n_architectures", "cell"),
    *TAIL,
]
NOTE = (
    "Gap: AUROC of a group less that of the largest group of its column, in the same resamples of patients. A change "
    "of a gap: pretrained less scratch, or truncated less full. Holm's correction is over the groups of all columns. A "
    "group with fewer than 10 positives or negatives of a task has no interval there, nor of the mean. mean of all: "
    "over the architectures, as a sample of families. Groups differ in prevalence, severity and views, so that a gap "
    "is no proof of what causes it. Floors: a logistic model of sex, age and view alone, fitted on the validation "
    "studies; and labels shuffled over the test studies."
)
"""What belongs below the table."""

Masks = npt.NDArray[np.bool_]


def groups_of(facts: pd.DataFrame, by: str) -> dict[str, Masks]:
    """The rows of each group of a column, the largest group first; ages in bands, and what is unknown in none.

    Args:
        facts: n rows of what is known of them.
        by: a column of it.

    Returns:
        Masks [n] by name.
    """
    values = facts[by]
    if by == "age":
        edges = [-np.inf, *AGES, np.inf]
        names = [
            f"under {AGES[0]}",
            *(f"{a} to {b - 1}" for a, b in pairwise(AGES)),
            f"{AGES[-1]} on",
        ]
        values = pd.cut(values.astype(float), edges, right=False, labels=names).astype(object)
    known = values[values.notna() & (values != "Unknown")].astype(str)
    return {str(name): (values.astype(str) == name).to_numpy() for name in known.value_counts().index}


def within(replicates: Replicates, rows: Masks) -> Replicates:
    """The same models in the same resamples, on some of the rows."""
    source = replicates.source
    assert source is not None  # for the type checker: `under` asks for it
    labels = np.where(rows, source.evaluation.labels, np.nan)
    few = [too_few(y, source.codes, source.n_units) for y in labels]
    known, tasks, parts = labelled(labels), source.evaluation.tasks, replicates.parts
    counted = replace(
        replicates,
        few=(*few, *(of_tasks(tasks, few, part) for part in parts)),
        n=np.append(known.sum(axis=1), [known[list(part)].any(axis=0).sum() for part in parts]),
        n_positive=np.append((labels == 1).sum(axis=1), [np.nan] * len(parts)),
    )
    return under(counted, lambda t, _, scores, counts: bootstrap_auroc(labels[t], scores, counts))


def subgroups_table(
    cells: pd.DataFrame,
    replicates: Replicates,
    groups: dict[str, dict[str, Masks]],
    *,
    level: float,
    seed: Callable[[], np.random.Generator],
) -> pd.DataFrame:
    """AUROC of every network in every group, gaps and changes of gaps, and their means over architectures.

    Args:
        cells: m rows in the order of the replicates.
        replicates: of the cells, with their source.
        groups: by column, what `groups_of` gives.
        level: coverage of the intervals.
        seed: makes the generator of the resampled seeds, the same for every group.

    Returns:
        COLUMNS.
    """
    rows: list[dict[str, Any]] = []
    for by, masks in groups.items():
        found = {name: group_seeds(cells, within(replicates, mask), rng=seed()) for name, mask in masks.items()}
        for name, (networks, inside) in found.items():
            of_group = {"statistic": AUROC, "by": by, "group": name, "against": ""}
            made = auroc_table(networks, inside, level=level, interval="percentile")
            rows += [of_group | {str(key): value for key, value in row.items()} for row in made.to_dict("records")]
        for name in [*masks][1:]:
            first = next(iter(masks))
            head = {"by": by, "group": name, "against": first}
            rows += [head | row for row in _gaps(*found[name], found[first][1], level)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return with_corrections(table, ["statistic", "cell", "task"])[COLUMNS].astype({"n_positive": "Int64"})


def _gaps(networks: pd.DataFrame, inside: Replicates, first: Replicates, level: float) -> Iterator[dict[str, Any]]:
    """Rows of one group against the first: each network's gap, its changes, and the means over the architectures."""
    gap = replace(
        inside,
        estimates=inside.estimates - first.estimates,
        resampled=inside.resampled - first.resampled,
        few=tuple("; ".join(dict.fromkeys(filter(None, both))) for both in zip(inside.few, first.few, strict=True)),
    )
    m, t = len(networks), gap.tasks.index(MEAN)
    pairs = [(int(one), int(other)) for one, other in pair_cells(networks).both.to_numpy()]
    kinds: list[tuple[str, list[tuple[int, int | None]]]] = [
        (GAP, [(i, None) for i in range(m)]), (BY_PRETRAINING, [*pairs]), (BY_TRUNCATION, [*truncated_pairs(networks)]),
    ]  # fmt: skip
    for statistic, one in kinds:
        weights = np.zeros((len(one), m))
        for k, (i, other) in enumerate(one):
            weights[k, i] = 1
            if other is not None:
                weights[k, other] = -1
        about = networks.iloc[[i for i, _ in one]].to_dict("records")
        for row, tasks in zip(about, differences(gap, weights, level=level, interval="percentile"), strict=True):
            head: dict[str, Any] = {
                name: row[name] for name in ("arch", "family", "pretrained", "truncate", "seed", "cell")
            }
            yield from (head | {"statistic": statistic, "n_architectures": 1} | found for found in tasks)
        arms = pd.DataFrame(about, columns=["pretrained", "truncate"]).groupby(["pretrained", "truncate"], sort=False)
        for arm, positions in arms.indices.items():
            pretrained, truncate = cast("tuple[bool, int]", arm)
            at, draws = weights[positions] @ gap.estimates[:, t], weights[positions] @ gap.resampled[:, t]
            families = np.array([about[k]["family"] for k in positions])
            _, pooled = carried(MEAN_BOOST, at, draws.T, np.zeros(len(at)), families, level)
            all_of: dict[str, Any] = {"statistic": statistic, "arch": ALL, "task": MEAN}
            all_of |= {"pretrained": pretrained, "truncate": truncate}
            all_of |= {"n_architectures": len(at), "cell": f"{ALL} {pretrained} {truncate}"} | tail(gap, t, level)
            yield all_of | pooled | {"p_normal": pooled["p_value"]}  # which has no floor, and is what Holm corrects


def floors(replicates: Replicates, alone: Floats, *, level: float, rng: np.random.Generator) -> pd.DataFrame:
    """What needs no image: the rows of the two floors.

    Args:
        replicates: of the cells, with their source.
        alone: [t, n] scores of the test rows from sex, age and view; NaN where there are none.
        level: coverage of the intervals.
        rng: shuffles the labels.
    """
    source = replicates.source
    assert source is not None  # for the type checker: `under` asks for it
    order, parts = rng.permutation(len(source.codes)), []
    one = pd.DataFrame([dict.fromkeys(("cell", "arch", "family", "seed"), "") | {"pretrained": False, "truncate": 0}])
    for name, scores, rows in ((ALONE, alone, np.arange(len(order))), (SHUFFLED, source.evaluation.scores[0], order)):
        if np.isnan(scores).any():
            continue
        made = replace(source, evaluation=replace(source.evaluation, scores=scores[None]))
        found = under(replace(replicates, source=made), partial(_reordered, rows))
        parts.append(auroc_table(one, found, level=level, interval="percentile").assign(group=name))
    every = pd.concat(parts, ignore_index=True).assign(statistic=FLOOR, by="", against="", arch="")
    return every.reindex(columns=COLUMNS)


def _reordered(rows: npt.NDArray[np.int64], _: int, labels: Floats, scores: Floats, counts: Counts) -> Floats:
    return bootstrap_auroc(labels[rows], scores, counts)


def logistic_scores(known: Floats, labels: Floats, asked: Floats, ridge: float = 1.0) -> Floats:
    """Scores of rows from a logistic regression on others, by Newton's steps: [n] by [v, k], [v] and [n, k].

    Args:
        known: [v, k] finite, of the rows that it is fitted on.
        labels: [v] 0, 1 or NaN, which take no part.
        asked: [n, k] of the rows that are scored.
        ridge: penalty on the squared coefficients, so that rare groups stay finite.
    """
    x = np.column_stack([np.ones(len(known)), known])[labelled(labels)]
    y, beta = labels[labelled(labels)], np.zeros(known.shape[1] + 1)
    penalty = ridge * np.diag([0.0, *np.ones(known.shape[1])])
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(len(beta))
        beta += np.linalg.solve(hessian, x.T @ (y - p) - penalty @ beta)
    return np.column_stack([np.ones(len(asked)), asked]) @ beta
