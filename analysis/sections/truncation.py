"""What truncation costs, and how far one may go."""

import pandas as pd

from analysis.evaluation import MEAN
from analysis.figures import truncation as figures
from analysis.questions import truncation
from analysis.results import Results
from analysis.sections.notes import over_networks
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import NETWORK, Columns, millions, p_value, ratio, shown, signed, yes

PLACE = 70
SIZE: Columns = {"Truncated": "truncate", "Parameters": ("parameters", millions), "Factor": ("factor", ratio)}
COLUMNS: Columns = {
    **NETWORK,
    **SIZE,
    "Difference": ("difference", signed),
    "Low": ("low", signed),
    "High": ("high", signed),
    "p": ("p_value", p_value),
    "Worse": ("worse", yes),
    "Non-inferior": ("noninferior", yes),
}
SMALLEST: Columns = {**NETWORK, "Rule": "rule", **SIZE}
FACTORS: Columns = {
    "Pretrained": ("pretrained", yes),
    "Mean": "mean",
    "Factor": ("estimate", ratio),
    "Low": ("low", ratio),
    "High": ("high", ratio),
    "Networks": "n_networks",
    "Families": "n_families",
}


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`truncation` and `truncation_smallest`; `truncation_factors` is among what the verdicts rest on."""
    settings, groups = results.settings, results.groups
    made = truncation.truncation_table(groups, results.grouped, level=settings.level, margin=settings.margin)
    return {"truncation": made, "truncation_smallest": truncation.smallest_table(made, groups)}


def section(results: Results) -> Section:
    """Each truncated network against its full one, the smallest that is no worse, and the average factor."""
    raw = results.tables["truncation"]
    first = f"Truncated minus full network, in the same resamples; the margin is {results.settings.margin:g} AUROC."
    mine = [first, truncation.NOTE, *over_networks(results)]
    pictures = []
    if len(raw):
        points = figures.table(raw)
        drawn = figures.figure(raw, points, results.heads, results.form)
        pictures.append(Picture("truncation", drawn, points, "AUROC lost against parameters kept"))
    made = [Table("truncation", raw, shown(raw[raw["task"] == MEAN], COLUMNS), mine)]
    for name, columns in (("truncation_smallest", SMALLEST), ("truncation_factors", FACTORS)):
        made.append(Table(name, results.tables[name], shown(results.tables[name], columns), mine))
    absent = "" if len(raw) else "No truncated cell stands beside its full network."
    return Section("Truncation", made, pictures, absent)
