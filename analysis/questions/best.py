"""Which cells cannot be told apart from the best one: ties by significance, not by digits."""

import numpy as np
import pandas as pd

from analysis.evaluation import Replicates
from analysis.questions.compare import normal_p, standard_error
from analysis.statistics.multiplicity import holm

BEST_COLUMNS = ["difference_from_best", "p_from_best", "p_from_best_holm", "tied_with_best"]


def with_best(auroc: pd.DataFrame, replicates: Replicates, *, level: float) -> pd.DataFrame:
    """The table with BEST_COLUMNS: each cell against the one with the highest AUROC in the same task.

    Args:
        auroc: what `auroc_table` gives, of the same replicates.
        level: of the intervals; a difference is significant where its corrected p-value is below 1 - level.

    Returns:
        `difference_from_best` at most 0; `p_from_best` two-sided and paired, by the normal distribution from the
        bootstrap's standard error, NaN for the best itself; `p_from_best_holm` corrected over the other cells of the
        task; `tied_with_best`: the best, and every cell whose corrected difference is not significant. False, and NaN,
        where an AUROC is undefined. Of a task with too few positives nothing is told apart: all tie, without a p-value.

    Source: Holm, Scandinavian Journal of Statistics 1979. The best is chosen on the same studies, so that its own lead
        is flattered, which makes ties rarer; the correction makes them more frequent.
    """
    m, t = replicates.estimates.shape
    difference, p, p_holm = (np.full((m, t), np.nan) for _ in range(3))
    tied = np.zeros((m, t), dtype=bool)
    for task in range(t):
        values = replicates.estimates[:, task]
        if np.isnan(values).all():
            continue
        best = int(np.nanargmax(values))
        draws = replicates.resampled[:, task] - replicates.resampled[best, task]
        difference[:, task] = values - values[best]
        if np.isnan(draws).all():  # too few positives: nothing can be told apart
            tied[:, task] = ~np.isnan(values)
            continue
        p[:, task] = normal_p(difference[:, task], standard_error(draws))
        p[best, task] = np.nan
        tested = ~np.isnan(p[:, task])
        if tested.any():
            p_holm[tested, task] = holm(p[tested, task])
        tied[:, task] = p_holm[:, task] >= 1 - level
        tied[best, task] = True
    columns = dict(zip(BEST_COLUMNS, (difference, p, p_holm, tied), strict=True))
    return auroc.assign(**{name: values.ravel() for name, values in columns.items()})


def best_note(level: float) -> str:
    """The rule behind the bold figures, in a sentence."""
    return (
        f"Bold: the highest AUROC of a column, and every cell whose paired difference from it is not significant at "
        f"{1 - level:.2g} (bootstrap standard error, Holm's correction over the other cells of the column): not told "
        "apart by these studies, which is not the same as equal. p-values are in auroc.csv."
    )
