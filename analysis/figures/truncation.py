"""What truncation costs: AUROC against the share of the parameters kept, a panel for each family."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.evaluation import MEAN
from analysis.figures.labels import COLOURS, MARKERS
from analysis.figures.style import GREY, MM, RC
from analysis.tables import count

POINTS = ["arch", "family", "pretrained", "weights", "truncate", "x", "kept", "difference", "low", "high"]
POINTS += ["noninferior", "margin"]
COLUMNS = 3
"""Panels side by side, at most."""
WIDTH, PANEL = 170.0, 58.0
"""Of the figure, and height of a row of panels; mm."""
NOTE_CHARACTERS = 125
DODGE = 0.05
"""Sideways distance of the networks of a panel, as a share of x, so that their bars do not lie upon each other."""


def table(truncation: pd.DataFrame) -> pd.DataFrame:
    """The points: one row a truncated network, mean AUROC only, and one at 100 % for each full one.

    Args:
        truncation: what `truncation_table` gives; networks whose parameters are not known have no place.

    Returns:
        POINTS: `kept` in percent of the full network's parameters, `x` the same moved a little aside; the difference of
        a full network to itself is 0.
    """
    rows = truncation[(truncation["task"] == MEAN) & truncation["factor"].notna()]
    rows = rows.assign(kept=100 / rows["factor"].astype(float))
    network = ["arch", "pretrained", "weights"]
    full = rows.drop_duplicates(network).assign(
        truncate=0, kept=100.0, difference=0.0, low=0.0, high=0.0, noninferior=True
    )
    points = pd.concat([rows, full], ignore_index=True)
    order = rows.drop_duplicates(network)[network].assign(order=lambda frame: np.arange(len(frame)))
    points = points.merge(order, on=network).sort_values(["order", "truncate"], ignore_index=True)
    firsts = points.groupby("family")["order"].transform("min")
    lasts = points.groupby("family")["order"].transform("max")
    aside = (points["order"] - (firsts + lasts) / 2).where(points["truncate"] > 0, 0.0)
    points["x"] = points["kept"] * (1 + DODGE) ** aside
    return points[POINTS]


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws one family's networks: filled where no worse by the margin, open where that is not shown.

    Args:
        table: rows of what `table` gives.
        ax: to draw on.
    """
    ax.axhline(0, color="0.6", linewidth=0.8)
    handles = []
    for i, ((arch, pretrained, _), rows) in enumerate(table.groupby(["arch", "pretrained", "weights"], sort=False)):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        ax.plot(rows["x"], rows["difference"], color=colour, linewidth=0.9, alpha=0.7)
        cut = rows[rows["truncate"] > 0]
        ax.vlines(cut["x"], cut["low"], cut["high"], color=colour, linewidth=0.9)
        for shown, face in ((True, colour), (False, "white")):
            some = cut[cut["noninferior"].astype(bool) == shown]
            ax.plot(
                some["x"], some["difference"], linestyle="none", marker=marker, markersize=3.8,
                color=colour, markerfacecolor=face,
            )  # fmt: skip
        label = str(arch) if pretrained else f"{arch} (scratch)"
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=3.8, linewidth=0.9, label=label))
    if table.empty:
        ax.text(0.5, 0.5, "no truncated network", transform=ax.transAxes, ha="center", va="center", color=GREY)
        return
    ax.axhline(-float(table["margin"].iloc[0]), color="0.35", linewidth=0.8, linestyle="--")
    ax.set_title(str(table["family"].iloc[0]), loc="left", parse_math=False)
    ax.legend(handles=handles, fontsize=6, loc="lower right")
    ax.set_xscale("log")
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)


def figure(truncation: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = ()) -> Figure:
    """The whole figure, a panel for each family, all with the same axes.

    Args:
        truncation: the table that the points come from, for what the axes say about them.
        points: what `table` gives.
        notes: sentences above the axes, such as a warning that belongs to every copy.
    """
    families = list(dict.fromkeys(points["family"])) or [""]
    columns = min(COLUMNS, len(families))
    lines = [line for note in notes for line in textwrap.wrap(note, NOTE_CHARACTERS)]
    n_rows = -(-len(families) // columns)
    with rc_context(RC | {"axes.spines.left": True}):
        size = (WIDTH * MM, (PANEL * n_rows + 14 + 3.5 * len(lines)) * MM)
        made = Figure(figsize=size, layout="constrained")
        axes = made.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
        for ax, family in zip(axes.flat, families, strict=False):
            draw(points[points["family"] == family], ax)
        for ax in axes.flat[len(families) :]:
            ax.set_axis_off()
        for below in range(max(0, len(families) - columns), len(families)):
            axes.flat[below].tick_params(labelbottom=True)
        _ticks(axes.flat[0], points)
        made.supxlabel(f"Parameters kept (% of the full network)\n{_about(truncation)}", fontsize=8)
        made.supylabel("AUROC less that of the full network", fontsize=8)
        if lines:
            made.suptitle("\n".join(lines), x=0.01, ha="left", color=GREY, fontsize=7, parse_math=False)
        return made


def _ticks(ax: Axes, points: pd.DataFrame) -> None:
    if points.empty:
        return
    low, high = float(points["x"].min()) / 1.2, float(points["x"].max()) * 1.2
    ticks = [m * 10.0**e for e in range(-3, 3) for m in (1, 2, 5) if low <= m * 10.0**e <= 100]
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)


def _about(truncation: pd.DataFrame) -> str:
    if truncation.empty:
        return "(nothing to compare)"
    first = truncation.iloc[0]
    return (
        f"({100 * first['level']:.4g} % {first['method']} interval, paired; n = "
        f"{count(int(first['n_units']), str(first['unit']))}, {first['n_resamples']} resamples; "
        f"dashed: margin {first['margin']:g}; filled: non-inferior)"
    )
