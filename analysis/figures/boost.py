"""Boost of pretraining: one row an architecture, and against size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import reference
from analysis.evaluation import MEAN
from analysis.figures.canvas import (
    GAP,
    bottom,
    canvas,
    faintness,
    interval_note,
    legend,
    name_rows,
    nothing,
    plot,
    row_height,
    settle,
    ticks_in_millions,
    unnamed_note,
)
from analysis.figures.labels import place
from analysis.figures.style import GREY, MM, TWO, Format, family_handles, mark
from analysis.questions.boosts import FIXED, MEAN_BOOST, significant
from analysis.questions.seeds import numbers

POINTS = ["kind", "arch", "family", "row", "estimate", "low", "high", "p_holm", "significant"]
SIZE_POINTS = ["arch", "family", "parameters", "estimate", "low", "high"]
ARCHITECTURE, POOLED = "architecture", "pooled"
POOLED_NAME = "mean of all"
HEIGHT, LOW = 85.0, 68.0
"""Of the figure against size, across two columns and across one, mm."""


def table(boosts: pd.DataFrame, pooled: pd.DataFrame | None = None) -> pd.DataFrame:
    """The points: one row a boost of the mean AUROC, and below them the mean boost.

    Args:
        boosts: what `corrected` gives.
        pooled: what `pooled_table` gives; its mean boost of these architectures is the last row.

    Returns:
        POINTS; `row` counts from the top.
    """
    rows = boosts[boosts["task"] == MEAN].reset_index(drop=True)
    changes = (rows["family"] != rows["family"].shift()).cumsum() - 1
    level = float(rows["level"].iloc[0]) if len(rows) else 0.95
    points = rows.assign(
        kind=ARCHITECTURE, row=np.arange(len(rows)) + GAP * changes, significant=significant(rows, level)
    )[POINTS]
    if pooled is None or points.empty:
        return points
    chosen = (pooled["statistic"] == MEAN_BOOST) & (pooled["architectures"] == FIXED) & (pooled["task"] == MEAN)
    mean = pooled[chosen].reindex(columns=POINTS)
    last = float(points["row"].max()) + 1 + 2 * GAP
    mean = mean.assign(kind=POOLED, arch=POOLED_NAME, family="", row=last, significant=mean["low"] > 0)
    return pd.concat([points, mean], ignore_index=True)


def draw(table: pd.DataFrame, ax: Axes, form: Format = TWO) -> None:
    """Draws the points: filled where significant after correction, open where not; the mean of all in black.

    Args:
        table: what `table` gives.
    """
    ax.axvline(0, color="0.6", linewidth=0.8)
    height = row_height(bottom(table))
    size = min(4.0, 0.7 * height * MM * 72)
    for (kind, family, filled), rows in table.groupby(["kind", "family", "significant"], sort=False):
        colour, marker = ("black", "*") if kind == POOLED else mark(family)
        ax.hlines(rows["row"], rows["low"], rows["high"], color=colour, linewidth=min(1.1, size / 3))
        plot(
            ax, rows, "estimate", "row", linestyle="none", marker=marker,
            markersize=2 * size if kind == POOLED else size, color=colour, markeredgewidth=min(0.9, size / 4),
            markerfacecolor=colour if filled or kind == POOLED else "white",
        )  # fmt: skip
    names = table["arch"].map(lambda arch: reference.label(str(arch)))
    name_rows(ax, table.assign(name=names), height, families=not form.narrow)
    if table.empty:
        nothing(ax, "no architecture has both a pretrained and a scratch network")


def figure(boosts: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """The whole forest plot, as tall as its rows need.

    Args:
        boosts: the table that the points come from; what is said of the intervals is read there.
        points: what `table` gives.
    """
    mean, height = boosts[boosts["task"] == MEAN], row_height(bottom(points))
    about = [interval_note(mean, "paired"), *_test_note(mean), *unnamed_note(height)]
    with rc_context(form.rc):
        made, (ax,) = canvas(form, 20 + height * (bottom(points) + 0.6), [*notes, *about])
        draw(points, ax, form)
        if len(points):
            ax.set_xlabel("Boost of pretraining in mean AUROC")
            legend(made, _handles(points), form)
        settle(made)
        return made


def size_table(boosts: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """SIZE_POINTS: the boost of the mean AUROC and the pretrained network's parameters, where they are known.

    Args:
        boosts: what `boost_table` or `corrected` gives.
    """
    sizes = dict(zip(groups["cell"], numbers(groups, "parameters"), strict=True))
    rows = boosts[boosts["task"] == MEAN]
    rows = rows.assign(parameters=rows["cell_pretrained"].map(sizes).astype(float))
    return rows[rows["parameters"].notna()].reset_index(drop=True)[SIZE_POINTS]


def draw_size(table: pd.DataFrame, ax: Axes) -> None:
    """Draws boost against parameters, on a logarithmic axis; a colour and a marker for each family.

    Args:
        table: what `size_table` gives.
        ax: to draw on; `size_figure` names the points once it is laid out.
    """
    ax.axhline(0, color="0.6", linewidth=0.8)
    for family, rows in table.groupby("family", sort=False):
        colour, marker = mark(family)
        millions = rows["parameters"] / 1e6
        ax.vlines(millions, rows["low"], rows["high"], color=colour, linewidth=0.9, alpha=faintness(len(table)))
        plot(ax, rows, "parameters", "estimate", per=1e6, linestyle="none", marker=marker, markersize=4, color=colour)
    ax.set_xscale("log")
    ticks_in_millions(ax, table["parameters"] / 1e6)
    ax.grid(color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel("Parameters of the pretrained network (millions)")
    ax.set_ylabel("Boost in mean AUROC")
    if table.empty:
        nothing(ax, "no boost with a known number of parameters")


def size_figure(boosts: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """Boost against size.

    Args:
        boosts: the table that the points come from; what is said of the intervals is read there.
        points: what `size_table` gives.
    """
    about = interval_note(boosts[boosts["task"] == MEAN], "paired")
    with rc_context(form.rc):
        made, (ax,) = canvas(form, LOW if form.narrow else HEIGHT, [*notes, about])
        draw_size(points, ax)
        legend(made, family_handles(points["family"]), form)
        settle(made)
        colours = [mark(family)[0] for family in points["family"]]
        names = [reference.label(str(arch)) for arch in points["arch"]]
        place(ax, points["parameters"] / 1e6, points["estimate"], names, colours=colours)
        return made


def _test_note(mean: pd.DataFrame) -> list[str]:
    if mean.empty or "n_tests" not in mean:
        return []
    alpha = f"{1 - mean['level'].iloc[0]:.2g}"
    return [f"Filled: p < {alpha} after Holm's correction over {mean['n_tests'].iloc[0]} architectures, two-sided."]


def _handles(points: pd.DataFrame) -> list[Line2D]:
    style: Any = {"linestyle": "none", "color": GREY, "marker": "o", "markersize": 4}
    handles = [Line2D([], [], **style, markerfacecolor=GREY, label="significant after Holm's correction")]
    handles += [Line2D([], [], **style, markerfacecolor="white", label="not so")]
    if (points["kind"] == POOLED).any():
        star: Any = {"linestyle": "none", "color": "black", "marker": "*", "markersize": 8}
        handles.append(Line2D([], [], **star, label="mean of these architectures, not corrected"))
    return handles
