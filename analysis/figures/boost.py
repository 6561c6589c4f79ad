"""Boost of pretraining: one row an architecture, and against size."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.boosts import FIXED, MEAN_BOOST, significant
from analysis.evaluation import MEAN
from analysis.figures.labels import kinds, place
from analysis.figures.style import GREY, MM, PRETRAINED, RC
from analysis.seeds import numbers
from analysis.tables import count

POINTS = ["kind", "arch", "family", "row", "estimate", "low", "high", "p_holm", "significant"]
SIZE_POINTS = ["arch", "family", "parameters", "estimate", "low", "high"]
ARCHITECTURE, POOLED = "architecture", "pooled"
POOLED_NAME = "mean of all"
GAP = 0.5
"""Between families, in rows."""
ROW = 5.0
"""Height of a row, mm."""
WIDTH = 150.0
HEIGHT = 95.0
"""Of the figure against size; both mm."""
NOTE_CHARACTERS = 110


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


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws the points: filled where significant after correction, open where not, a diamond for the mean of all.

    Args:
        table: what `table` gives.
        ax: to draw on.
    """
    ax.axvline(0, color="0.6", linewidth=0.8)
    for kind, marker, colour in ((ARCHITECTURE, "o", PRETRAINED), (POOLED, "D", "black")):
        rows = table[table["kind"] == kind]
        ax.hlines(rows["row"], rows["low"], rows["high"], color=colour, linewidth=1.1)
        for filled, face in ((True, colour), (False, "white")):
            some = rows if kind == POOLED else rows[rows["significant"].astype(bool) == filled]
            if len(some) and (kind == ARCHITECTURE or filled):
                ax.plot(
                    some["estimate"], some["row"], linestyle="none", marker=marker, markersize=4,
                    color=colour, markerfacecolor=face,
                )  # fmt: skip
    ax.set_yticks(table["row"], table["arch"], parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(_bottom(table), -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    for family, members in table[table["kind"] == ARCHITECTURE].groupby("family", sort=False):
        ax.text(
            1.015, members["row"].mean(), str(family),
            transform=ax.get_yaxis_transform(), va="center", color=GREY, fontsize=7, parse_math=False,
        )  # fmt: skip
    if table.empty:
        _nothing(ax, "no architecture has both a pretrained and a scratch network")


def figure(boosts: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = ()) -> Figure:
    """The whole forest plot, as tall as its rows need; `boosts` is the table that the points come from."""
    with rc_context(RC):
        made, ax = _canvas(WIDTH, 32 + ROW * (_bottom(points) + 0.6), notes)
        draw(points, ax)
        ax.set_xlabel(f"Boost of pretraining in mean AUROC\n({_about(boosts)})")
        handles = [
            Line2D(
                [], [], linestyle="none", marker="o", markersize=4, color=PRETRAINED, markerfacecolor=face, label=text
            )
            for text, face in (("significant after Holm's correction", PRETRAINED), ("not so", "white"))
        ]
        made.legend(handles=handles, loc="outside lower center", ncols=2)
        return made


def size_table(boosts: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """SIZE_POINTS: the boost of the mean AUROC and the pretrained network's parameters, where they are known.

    Args:
        boosts: what `boost_table` or `corrected` gives.
        groups: what the boosts come from, with `cell` and `parameters`.
    """
    sizes = dict(zip(groups["cell"], numbers(groups, "parameters"), strict=True))
    rows = boosts[boosts["task"] == MEAN]
    rows = rows.assign(parameters=rows["cell_pretrained"].map(sizes).astype(float))
    return rows[rows["parameters"].notna()].reset_index(drop=True)[SIZE_POINTS]


def draw_size(table: pd.DataFrame, ax: Axes) -> None:
    """Draws boost against parameters, on a logarithmic axis; a colour and a marker for each family.

    Args:
        table: what `size_table` gives.
        ax: to draw on; `label_size` names the points once its figure is laid out.
    """
    ax.axhline(0, color="0.6", linewidth=0.8)
    for family, (colour, marker) in kinds([str(name) for name in table["family"]]).items():
        rows = table[table["family"] == family]
        millions = rows["parameters"] / 1e6
        ax.vlines(millions, rows["low"], rows["high"], color=colour, linewidth=0.9, alpha=0.6)
        ax.plot(millions, rows["estimate"], linestyle="none", marker=marker, markersize=4, color=colour, label=family)
    ax.set_xscale("log")
    ticks_in_millions(ax, table["parameters"] / 1e6)
    ax.grid(color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    if table.empty:
        _nothing(ax, "no boost with a known number of parameters")


def size_figure(boosts: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = ()) -> Figure:
    """Boost against size; `boosts` is the table that the points come from."""
    with rc_context(RC | {"axes.spines.left": True}):
        made, ax = _canvas(WIDTH, HEIGHT, notes)
        draw_size(points, ax)
        ax.set_xlabel(f"Parameters of the pretrained network (millions)\n({_about(boosts)})")
        ax.set_ylabel("Boost in mean AUROC")
        if len(points):
            made.legend(*ax.get_legend_handles_labels(), loc="outside right center")
        made.draw_without_rendering()
        place(ax, points["parameters"] / 1e6, points["estimate"], [str(name) for name in points["arch"]])
        return made


def ticks_in_millions(ax: Axes, millions: pd.Series) -> None:
    """Ticks of a logarithmic x axis around the values, plain numbers: 1, 2, 5, 10, or closer where few of these fit."""
    known = millions[millions > 0].to_numpy(dtype=float)
    if known.size == 0:
        return
    low, high = known.min() / 1.25, known.max() * 1.25
    decades = [10.0**e for e in range(-4, 6)]
    for steps in ((1, 2, 5), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [m * decade for decade in decades for m in steps if low <= m * decade <= high]
        if len(ticks) > 2:
            break
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)


def _canvas(width: float, height: float, notes: Sequence[str]) -> tuple[Figure, Axes]:
    lines = [line for note in notes for line in textwrap.wrap(note, NOTE_CHARACTERS)]
    made = Figure(figsize=(width * MM, (height + 3.5 * len(lines)) * MM), layout="constrained")
    if lines:
        made.suptitle("\n".join(lines), x=0.01, ha="left", color=GREY, fontsize=7, parse_math=False)
    return made, made.add_subplot()


def _about(boosts: pd.DataFrame) -> str:
    mean = boosts[boosts["task"] == MEAN]
    if mean.empty:
        return "nothing to compare"
    first = mean.iloc[0]
    return (
        f"{100 * first['level']:.4g} % {first['method']} interval, paired; "
        f"n = {count(int(first['n_units']), str(first['unit']))}, {first['n_resamples']} resamples"
    )


def _bottom(table: pd.DataFrame) -> float:
    return 0.6 if table.empty else float(table["row"].max()) + 0.6


def _nothing(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)
