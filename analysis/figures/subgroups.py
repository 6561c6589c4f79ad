"""Gaps between groups of patients, pretrained beside scratch: a row a group, a point a network, and the mean."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.evaluation import MEAN
from analysis.figures.canvas import GAP as SPACE
from analysis.figures.canvas import bottom, canvas, interval_note, legend, name_rows, plot, row_height, settle
from analysis.figures.style import GREY, TWO, Format, family_handles, mark
from analysis.questions.along import ALL
from analysis.questions.subgroups import GAP

POINTS = ["group", "by", "arch", "family", "pretrained", "row", "place", "estimate", "low", "high"]
APART = 0.18
"""Of a row, between pretrained (above) and from scratch."""


def table(subgroups: pd.DataFrame) -> pd.DataFrame:
    """POINTS: the gaps of untruncated networks in mean AUROC; `row` counts groups from the top, `place` is drawn.

    Args:
        subgroups: what `subgroups_table` gives.
    """
    rows = subgroups[(subgroups["statistic"] == GAP) & (subgroups["task"] == MEAN) & (subgroups["truncate"] == 0)]
    rows = rows[rows["estimate"].notna()]
    names = rows[["by", "group"]].drop_duplicates().reset_index(drop=True)
    names["row"] = np.arange(len(names)) + SPACE * ((names["by"] != names["by"].shift()).cumsum() - 1)
    rows = rows.merge(names, on=["by", "group"])
    return rows.assign(place=rows["row"] + np.where(rows["pretrained"].astype(bool), -APART, APART))[POINTS]


def draw(table: pd.DataFrame, ax: Axes, form: Format = TWO) -> None:
    """Draws the networks pale and the mean over them black with its interval; filled where pretrained.

    Args:
        table: what `table` gives.
        form: narrow figures name no column.
    """
    ax.axvline(0, color="0.6", linewidth=0.8)
    for (arch, family, pretrained), rows in table.groupby(["arch", "family", "pretrained"], sort=False, dropna=False):
        colour, marker = ("black", "D") if arch == ALL else mark(family)
        if arch == ALL or ALL not in set(table["arch"]):
            ax.hlines(rows["place"], rows["low"], rows["high"], color=colour, linewidth=1.1)
        plot(
            ax, rows, "estimate", "place", linestyle="none", marker=marker, color=colour,
            markersize=4.2 if arch == ALL else 3.0, alpha=1.0 if arch == ALL else 0.6,
            markerfacecolor=colour if pretrained else "white",
        )  # fmt: skip
    rows = table.drop_duplicates("row")
    name_rows(
        ax, rows.assign(name=rows["group"], family=rows["by"]), row_height(bottom(table), 2), families=not form.narrow
    )
    ax.set_xlabel("Gap in mean AUROC to the largest group")


def figure(subgroups: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """The whole figure.

    Args:
        subgroups: the table that the points come from, for what is said about them.
        points: what `table` gives, not empty.
        notes: sentences above the panel.
    """
    gaps = subgroups[(subgroups["statistic"] == GAP) & (subgroups["task"] == MEAN) & (subgroups["arch"] == ALL)]
    about = [interval_note(gaps), f"Black: {ALL}. Filled: pretrained; open: from scratch."]
    with rc_context(form.rc):
        made, (ax,) = canvas(form, 20 + row_height(bottom(points), 2) * (bottom(points) + 0.6), [*notes, *about])
        draw(points, ax, form)
        black = Line2D(
            [], [], linestyle="none", color="black", marker="D", markersize=4.2, label=ALL, markeredgecolor=GREY
        )
        legend(made, [*family_handles(set(points["family"].dropna()) - {""}), black], form)
        settle(made)
        return made
