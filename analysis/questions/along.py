"""What changes along an axis: each network at each level against itself at the first one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.axes import COLUMNS as AXES
from analysis.axes import Axis, variants
from analysis.evaluation import MEAN, Replicates
from analysis.questions.boosts import MEAN_BOOST, carried, with_corrections
from analysis.questions.compare import TAIL, differences, tail
from analysis.questions.interval_methods import contrast
from analysis.questions.seeds import GROUP
from analysis.statistics.auroc import Floats

PRETRAINED, SCRATCH, BOOST, ALL = "pretrained", "scratch", "boost", "mean of all"
HEAD = ["axis", "at", "against", "elsewhere", "subset", "truncate"]
"""What is compared: the axis and two of its levels, where the two networks are not at the first level of another axis,
and whether the networks are pretrained, from scratch, or their difference, the boost."""
COLUMNS = [
    *HEAD,
    *(
        "arch",
        "family",
        "seed",
        "task",
        "estimate",
        "low",
        "high",
        "p_value",
        "se",
        "p_normal",
        "p_holm",
        "p_bh",
        "n_tests",
    ),
    *("n_architectures", "cell", "cell_against", *TAIL),
]
NOTE = (
    "A level against the first one of its axis: the same architecture, weights, depth and seeds, and the same levels "
    "of all other axes, in the same resamples. Boost: how much more pretraining gains there than at the first level. "
    "Holm's correction is over the architectures of a row's level and kind. mean of all: over the architectures, as a "
    "sample of families."
)
"""What belongs below the table."""


def along(
    groups: pd.DataFrame, replicates: Replicates, varied: Mapping[Axis, Sequence[str]], *, level: float, interval: str
) -> pd.DataFrame:
    """The table `axes`; without rows where no axis varies.

    Args:
        groups: networks at all levels, with the columns of the axes.
        replicates: of the same networks.
        varied: the axes with their levels (`axes.levels`).
        level: coverage of the intervals.
        interval: as for `boost_table`.

    Returns:
        COLUMNS: one row a pair of networks and task, and of each kind the mean AUROC's mean over the architectures.
    """
    heads, contrasts = [], []
    for head, weights in _contrasts(groups, varied):
        heads.append(head)
        contrasts.append(weights)
    found = differences(replicates, np.array(contrasts), level=level, interval=interval)
    rows = [head | row for head, tasks in zip(heads, found, strict=True) for row in tasks]
    table = with_corrections(pd.DataFrame(rows, columns=COLUMNS), [*HEAD, "task"])
    means = pd.DataFrame(_means(heads, np.array(contrasts), replicates, level) if heads else [], columns=COLUMNS)
    both = pd.concat([table, means], ignore_index=True) if len(table) else table
    return both[COLUMNS].astype({"n_positive": "Int64", "n_architectures": "Int64", "n_tests": "Int64"})


def _contrasts(groups: pd.DataFrame, varied: Mapping[Axis, Sequence[str]]) -> Iterator[tuple[dict[str, Any], Floats]]:
    """What each contrast is about, and the weights of the networks in it."""
    key, alike = [*GROUP, *AXES], ["arch", "truncate", *AXES]
    records = groups.to_dict("records")
    place = {tuple(row[name] for name in key): i for i, row in enumerate(records)}
    scratch = {tuple(row[name] for name in alike): i for i, row in enumerate(records) if not row["pretrained"]}
    for axis, (base, *others) in varied.items():
        elsewhere = variants(groups, {other: levels for other, levels in varied.items() if other != axis})
        for at in others:
            there = [i for i, row in enumerate(records) if row[axis.column] == at]
            first = {i: place.get(tuple((records[i] | {axis.column: base})[name] for name in key)) for i in there}
            for i in there:
                row, j, weights = records[i], first[i], np.zeros(len(groups))
                if j is None:
                    continue
                weights[[i, j]] = 1, -1
                head: dict[str, Any] = {"axis": axis.name, "at": at, "against": base, "elsewhere": elsewhere[i]}
                head |= {name: row[name] for name in ("truncate", "arch", "family", "seed", "cell")}
                head |= {"cell_against": records[j]["cell"], "n_architectures": 1}
                yield head | {"subset": PRETRAINED if row["pretrained"] else SCRATCH}, weights
                partner = scratch.get(tuple(row[name] for name in alike)) if row["pretrained"] else None
                other = None if partner is None else first.get(partner)
                if partner is not None and other is not None:
                    weights = weights.copy()
                    weights[[partner, other]] = -1, 1
                    yield head | {"subset": BOOST}, weights


def _means(heads: Sequence[dict[str, Any]], contrasts: Floats, replicates: Replicates, level: float) -> list[Any]:
    t, rows = replicates.tasks.index(MEAN), []
    estimates, draws = contrast(contrasts, replicates.estimates)[:, t], contrast(contrasts, replicates.resampled)[:, t]
    for positions in pd.DataFrame(heads).groupby(HEAD, sort=False).indices.values():
        chosen, first = np.asarray(positions), heads[positions[0]]
        families = np.array([heads[k]["family"] for k in chosen])
        _, row = carried(MEAN_BOOST, estimates[chosen], draws[chosen].T, np.zeros(len(chosen)), families, level)
        about = {name: first[name] for name in HEAD} | {"arch": ALL, "task": MEAN, "n_architectures": len(chosen)}
        rows.append(about | tail(replicates, t, level) | row)
    return rows
