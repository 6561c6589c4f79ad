"""What the verdicts rest on: one interval a statistic, taken from the report's tables."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.evaluation import MEAN, Replicates
from analysis.questions.associations import correlation_statistics, correlation_table
from analysis.questions.boosts import MEAN_BOOST, RANDOM, pooled_table
from analysis.questions.family import family_table
from analysis.questions.scatter import AUROC
from analysis.questions.truncation import factors_table
from analysis.questions.verdicts import STATISTIC_COLUMNS
from analysis.statistics.streams import stream

COLUMNS = [*STATISTIC_COLUMNS, "n_effective", "level", "reliability"]


def over_networks(
    groups: pd.DataFrame, grouped: Replicates, *, level: float, margin: float, n_permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables that the verdicts rest on, by name.

    Args:
        groups: the networks, their seeds together (`group_seeds`).
        seed: of the report; each table has a random stream of its own.
    """
    drawn: dict[str, Any] = {"level": level, "n_permutations": n_permutations}
    return {
        "boost_pooled": pooled_table(groups, grouped, level=level),
        "correlations": correlation_table(groups, grouped, rng=stream(seed, "correlations"), **drawn),
        "family": family_table(groups, grouped, rng=stream(seed, "family"), **drawn),
        "truncation_factors": factors_table(groups, grouped, level=level, margin=margin),
    }


def gather(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The statistics of conf/claims.yaml; always the interval that carries the choice of architectures.

    Args:
        tables: `correlations`; `boost_pooled`, whose mean boost over tasks of a sample of families becomes `mean
            boost`; `family`, whose `family_minus_size` keeps its name; `truncation_factors`, whose geometric mean of
            pretrained networks, the smaller of its two means, becomes `truncation factor`.

    Returns:
        COLUMNS; a statistic that its table does not hold has no row. `reliability` is that of the AUROCs of the same
        cells, known of correlations and of `family_minus_size`.
    """
    correlations, pooled, family, factors = (
        tables[name] for name in ("correlations", "boost_pooled", "family", "truncation_factors")
    )
    boost = pooled[
        (pooled["statistic"] == MEAN_BOOST) & (pooled["architectures"] == RANDOM) & (pooled["task"] == MEAN)
    ].assign(subset="paired", n=lambda frame: frame["n_architectures"])
    of_auroc = correlations[correlations["y"] == AUROC].groupby("subset")["reliability"].first()
    apart = family[family["statistic"] == "family_minus_size"]
    apart = apart.assign(reliability=apart["subset"].map(of_auroc).astype(float))
    cut = factors[
        (factors["pretrained"] == True) & (factors["mean"] == "geometric")  # noqa: E712 (of an empty table no bool)
    ].assign(statistic="truncation factor", subset="pretrained", n=lambda frame: frame["n_networks"])
    parts = [correlation_statistics(correlations), boost, apart, cut]
    filled = [part.reindex(columns=COLUMNS) for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)
