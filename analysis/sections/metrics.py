"""Metrics beside AUROC: average precision, sensitivity at a specificity."""

from functools import partial

import numpy as np
import pandas as pd

from analysis.questions import metrics
from analysis.results import Results, read_evaluation
from analysis.sections.auroc import CELL
from analysis.sections.boost import boost_display
from analysis.sections.notes import over_networks
from analysis.sections.parts import Section, Table
from analysis.statistics.streams import stream
from analysis.tables import by_task, count, heading, shown

PLACE = 35


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`metrics` and `metrics_boost`, of what `metrics=` asks for."""
    settings, words = results.settings, results.settings.more()
    at = np.full((len(results.cells), len(results.replicates.columns())), np.nan)
    if metrics.AT_CUT[0] in words:
        words = [*words, metrics.AT_CUT[1]]
        at = metrics.cuts(read_evaluation(settings, results.cells, "valid"), settings.specificity)
    made, boosts = metrics.metric_tables(
        words, results.cells, results.replicates, at, level=settings.level, seed=partial(stream, settings.seed, "seeds")
    )
    return {"metrics": made, "metrics_boost": boosts}


def section(results: Results) -> Section:
    """One row a cell and metric, and the boosts."""
    raw, boosts = results.tables["metrics"], results.tables["metrics_boost"]
    mine = [metrics.note(results.settings.specificity), *over_networks(results)]
    firsts = shown(raw.drop_duplicates(["metric", "cell"]), {"Metric": ("metric", heading), **CELL})
    values = [by_task(rows) for _, rows in raw.groupby(["metric", "cell"], sort=False)]
    gains = {heading(str(name)): boost_display(rows) for name, rows in boosts.groupby("metric", sort=False)}
    gained = pd.concat(gains, names=["Metric"]).reset_index(0) if gains else pd.DataFrame()
    folded = f"Every cell ({count(len(firsts), 'row')})"
    made = [
        Table("metrics", raw, firsts.join(pd.DataFrame(values)), mine, folded=folded),
        Table("metrics_boost", boosts, gained, mine),
    ]
    asked = "" if len(raw) else "metrics=[auroc,average_precision,sensitivity] adds others to AUROC."
    return Section("Other metrics", made, absent=asked)
