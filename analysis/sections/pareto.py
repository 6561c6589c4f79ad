"""Accuracy and cost."""

import pandas as pd

from analysis.figures import pareto as figures
from analysis.questions import pareto
from analysis.results import Results
from analysis.sections.notes import over_networks
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import NETWORK, Columns, number, ratio, shown, significant

PLACE = 80
COLUMNS: Columns = {
    "Cost": "cost",
    "At": ("x", significant),
    **NETWORK,
    "Truncated": "truncate",
    "Mean": ("estimate", number),
    "Low": ("low", number),
    "High": ("high", number),
    "Share of resamples": ("share", ratio),
}


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`pareto`."""
    return {"pareto": pareto.pareto_table(results.groups, results.grouped, level=results.settings.level)}


def section(results: Results) -> Section:
    """The networks that no other beats at their cost."""
    raw, pictures = results.tables["pareto"], []
    front = shown(raw[raw["on_front"].astype(bool)], COLUMNS)
    if len(raw):
        points = figures.table(raw)
        drawn = figures.figure(raw, points, results.heads, results.form)
        pictures.append(Picture("pareto", drawn, points, "Mean AUROC against cost"))
    table = Table("pareto", raw, front, [pareto.NOTE, *over_networks(results)])
    return Section("Accuracy and cost", [table], pictures)
