"""Mean AUROC with pretraining against that without, a point an architecture."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.evaluation import MEAN
from analysis.figures.canvas import around, faintness, nothing, plot
from analysis.figures.style import mark

POINTS = ["arch", "family", "scratch", "scratch_low", "scratch_high", "estimate", "low", "high"]


def table(networks: pd.DataFrame) -> pd.DataFrame:
    """The points: one row an architecture that has both networks, untruncated.

    Args:
        networks: what `auroc_table` gives, of groups of seeds.

    Returns:
        POINTS: `scratch` is the mean AUROC from scratch, `estimate` that with pretraining, each with its interval.
    """
    rows = networks[(networks["task"] == MEAN) & (networks["truncate"] == 0)]
    sides = [
        rows.loc[rows["pretrained"] == side, ["arch", "family", "estimate", "low", "high"]] for side in (True, False)
    ]
    scratch = (
        sides[1]
        .drop(columns="family")
        .rename(columns={"estimate": "scratch", "low": "scratch_low", "high": "scratch_high"})
    )
    both = sides[0].merge(scratch, on="arch")
    return both[both["scratch"].notna() & both["estimate"].notna()][POINTS].reset_index(drop=True)


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws the points with both intervals; on the broken line pretraining makes no difference.

    Args:
        table: what `table` gives.
    """
    if table.empty:
        nothing(ax, "no architecture has both a pretrained and a scratch network")
        return
    limits = [around(table[names].to_numpy(dtype=float).ravel(), 0.01) for names in (POINTS[2:5], POINTS[5:])]
    ends = np.array([min(limits[0][0], limits[1][0]), max(limits[0][1], limits[1][1])])
    ax.plot(ends, ends, color="0.6", linewidth=0.8, linestyle="--")
    for family, rows in table.groupby("family", sort=False):
        colour, marker = mark(family)
        faint = faintness(len(table))
        ax.vlines(rows["scratch"], rows["low"], rows["high"], color=colour, linewidth=0.6, alpha=faint)
        ax.hlines(rows["estimate"], rows["scratch_low"], rows["scratch_high"], color=colour, linewidth=0.6, alpha=faint)
        plot(ax, rows, "scratch", "estimate", linestyle="none", marker=marker, markersize=4.2, color=colour)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.grid(color="0.94", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel("Mean AUROC from scratch")
    ax.set_ylabel("Mean AUROC, pretrained")
