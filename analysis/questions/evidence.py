"""What the verdicts rest on: one interval a statistic, taken from the report's tables."""

import pandas as pd

from analysis.evaluation import MEAN
from analysis.questions.associations import correlation_statistics
from analysis.questions.boosts import MEAN_BOOST, RANDOM
from analysis.questions.family import BOTH
from analysis.questions.truncation import NONINFERIOR
from analysis.questions.verdicts import STATISTIC_COLUMNS

COLUMNS = [*STATISTIC_COLUMNS, "level", "reliability"]


def gather(
    correlations: pd.DataFrame, pooled: pd.DataFrame, family: pd.DataFrame, factors: pd.DataFrame
) -> pd.DataFrame:
    """The statistics of conf/claims.yaml; always the interval that carries the architectures too where there is one.

    Args:
        correlations: what `correlation_table` gives.
        pooled: what `pooled_table` gives; its mean boost over tasks, architectures resampled, becomes `mean boost`.
        family: what `family_table` gives; `family_minus_size` keeps its name.
        factors: the second table of `smallest_tables`; the geometric mean over pretrained networks of the non-inferior
            factors, the smaller of its two means, becomes `truncation factor`.

    Returns:
        COLUMNS; a statistic that its table does not hold has no row. `reliability` is known of correlations alone.
    """
    boost = pooled[
        (pooled["statistic"] == MEAN_BOOST) & (pooled["architectures"] == RANDOM) & (pooled["task"] == MEAN)
    ].assign(subset="paired", n=lambda frame: frame["n_architectures"])
    apart = family[(family["statistic"] == "family_minus_size") & (family["resampled"] == BOTH)]
    cut = factors[
        (factors["pretrained"] == True)  # noqa: E712 (of an empty table the column is no bool)
        & (factors["rule"] == NONINFERIOR)
        & (factors["mean"] == "geometric")
    ].assign(statistic="truncation factor", subset="pretrained", n=lambda frame: frame["n_networks"])
    parts = [correlation_statistics(correlations), boost, apart, cut]
    filled = [part.reindex(columns=COLUMNS) for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)
