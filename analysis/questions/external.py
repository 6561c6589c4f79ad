"""The same networks on further test sets: what the test set gets, the drop to it, and whether the order survives."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.evaluation import MEAN, Replicates
from analysis.questions.associations import correlation_table, correlations, of_record
from analysis.questions.boosts import corrected, with_corrections
from analysis.questions.compare import TAIL, auroc_table, boost_table, normal_p, tail
from analysis.questions.scatter import Scatter
from analysis.questions.truncation import truncation_table
from analysis.statistics.bootstrap import percentile_interval, standard_error, two_sided_p

AUROC, BOOST, TRUNCATION, CORRELATION, DROP, ORDER = "auroc", "boost", "truncation", "correlation", "drop", "order"
COLUMNS = [
    *(
        "set",
        "statistic",
        "arch",
        "family",
        "pretrained",
        "truncate",
        "seed",
        "task",
        "x",
        "y",
        "subset",
        "correlation",
    ),
    *("estimate", "low", "high", "p_value", "p_normal", "p_holm", "se", "n_architectures", "cell", *TAIL),
]
NOTE = (
    "Each set has resamples of its own, the same for every network. Drop: AUROC on the set's own test set less that on "
    "the external one, over the tasks that both have; the two are independent, so their variances add. Holm's "
    "correction of drops is over the networks. Order: correlation of the networks' mean AUROCs between the two sets, "
    "over untruncated architectures; its interval counts them as as many independent ones as families leave of them."
)
"""What belongs below the table."""


def external_tables(
    name: str,
    groups: pd.DataFrame,
    inside: Replicates,
    outside: Replicates,
    *,
    level: float,
    margin: float,
    n_permutations: int,
    interval: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Everything about one external set: COLUMNS.

    Args:
        name: of the set.
        groups: g networks, their seeds together.
        inside: their replicates on the test set, over the tasks that the external set has too.
        outside: theirs on the external set.
        level: coverage of the intervals.
        margin: AUROC that a truncated network may lose.
        n_permutations: of the permutation tests.
        interval: of AUROC and boost.
        rng: of the permutations and of resampled architectures.
    """
    drawn: dict[str, Any] = {"level": level, "n_permutations": n_permutations, "rng": rng}
    parts = [
        auroc_table(groups, outside, level=level, interval=interval).assign(statistic=AUROC),
        corrected(boost_table(groups, outside, level=level, interval=interval)).assign(
            statistic=BOOST, pretrained=True
        ),
        truncation_table(groups, outside, level=level, margin=margin)
        .rename(columns={"difference": "estimate"})
        .assign(statistic=TRUNCATION),
        _coefficients(of_record(correlation_table(groups, outside, **drawn)), CORRELATION),
        with_corrections(pd.DataFrame(list(_drops(groups, inside, outside, level))), ["task"]),
        _coefficients(_order(groups, inside, outside, **drawn), ORDER),
    ]
    filled = [part.reindex(columns=COLUMNS) for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True).assign(set=name).astype({"n_positive": "Int64"})


def _coefficients(table: pd.DataFrame, statistic: str) -> pd.DataFrame:
    named = table.rename(columns={"method": "correlation", "n": "n_architectures", "interval": "method"})
    return named.assign(statistic=statistic, task=MEAN)


def _drops(groups: pd.DataFrame, inside: Replicates, outside: Replicates, level: float) -> Iterator[dict[str, Any]]:
    """A row a network and task."""
    tasks = [task for task in outside.tasks if task in inside.tasks]  # a mean without some may be of one side alone
    of_in, of_out = ([side.tasks.index(task) for task in tasks] for side in (inside, outside))
    draws = inside.resampled[:, of_in] - outside.resampled[:, of_out]
    estimates = inside.estimates[:, of_in] - outside.estimates[:, of_out]
    found, errors, p_values = percentile_interval(draws, level), standard_error(draws), two_sided_p(draws)
    p_normals = normal_p(estimates, errors)
    for m, network in enumerate(groups.to_dict("records")):
        head = {name: network[name] for name in ("arch", "family", "pretrained", "truncate", "seed", "cell")}
        for t, task in enumerate(tasks):
            row = {"task": task, "estimate": estimates[m, t], "low": found.low[m, t], "high": found.high[m, t]}
            row |= {"p_value": p_values[m, t], "p_normal": p_normals[m, t], "se": errors[m, t], "statistic": DROP}
            yield head | row | tail(outside, of_out[t], level) | {"n_defined": int(found.n_defined[m, t])}


def _order(
    groups: pd.DataFrame,
    inside: Replicates,
    outside: Replicates,
    *,
    level: float,
    n_permutations: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Correlations of record between the mean AUROCs of the two sets, of pretrained and of scratch networks."""
    t, of_in, clouds = outside.tasks.index(MEAN), inside.tasks.index(MEAN), []
    whole = groups.assign(place=np.arange(len(groups)))
    whole = whole[whole["truncate"] == 0].drop_duplicates(["arch", "pretrained"])  # of several weights the first
    for side, subset in ((True, "pretrained"), (False, "scratch")):
        rows = whole[whole["pretrained"] == side]
        at = rows["place"].to_numpy()
        at = at[np.isfinite(inside.estimates[at, of_in]) & np.isfinite(outside.estimates[at, t])]
        archs, families = (tuple(groups[name].to_numpy(dtype=str)[at].tolist()) for name in ("arch", "family"))
        values = inside.estimates[at, of_in], outside.estimates[at, t], outside.resampled[at, t]
        clouds.append(Scatter("auroc", "external auroc", subset, archs, families, *values, np.ones(len(at), np.int64)))
    return of_record(correlations(clouds, level=level, n_resamples=1, n_permutations=min(n_permutations, 1), rng=rng))
