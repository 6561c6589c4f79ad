"""What else was varied: each axis of the sweep."""

import numpy as np
import pandas as pd

from analysis.axes import COLUMNS as AXES
from analysis.evaluation import MEAN
from analysis.figures import along as figures
from analysis.figures.canvas import interval_note
from analysis.questions import along
from analysis.questions.compare import auroc_table
from analysis.results import Results
from analysis.sections.notes import over_networks
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import INTERVAL, Columns, p_value, shown

PLACE = 75
COLUMNS: Columns = {
    "Axis": "axis",
    "Level": "at",
    "Against": "against",
    "Elsewhere": "elsewhere",
    "Cells": "subset",
    "Architecture": "arch",
    "Truncated": "truncate",
    **INTERVAL,
    "p": ("p_value", p_value),
    "p (Holm)": ("p_holm", p_value),
}
TITLE = "Along the axes"


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`axes`."""
    every, settings = results.every, results.settings
    made = along.along(every.groups, every.grouped, results.varied, level=settings.level, interval=settings.interval)
    return {"axes": made}


def section(results: Results) -> Section:
    """Each network at each level against itself at the first one."""
    raw = results.tables["axes"]
    made = Table("axes", raw, shown(raw[raw["task"] == MEAN], COLUMNS), [along.NOTE, *over_networks(results)])
    if not results.varied:
        return Section(TITLE, [made], absent="All cells are at one level of every axis (docs/report.md).")
    every, settings = results.every, results.settings
    networks = auroc_table(every.groups, every.grouped, level=settings.level, interval=settings.interval)
    places = np.repeat(np.arange(len(every.groups)), len(every.grouped.tasks))
    networks[[*AXES, "variant"]] = every.groups[[*AXES, "variant"]].iloc[places].to_numpy()
    points = figures.table(networks, results.varied)
    about = [*results.heads, interval_note(networks[networks["task"] == MEAN])]
    drawn = figures.figure(points, {axis.name: axis.title for axis in results.varied}, about, results.form)
    return Section(TITLE, [made], [Picture("axes", drawn, points, "Mean AUROC of each network along each axis")])
