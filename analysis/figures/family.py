"""Mean AUROC against size, the networks of a family joined by a line: does the family or the size decide?"""

import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.figures.style import FAMILIES, GREY, MM, OTHER_FAMILY, RC

WIDTH, HEIGHT = 150.0, 70.0
"""Of the figure without its notes, mm."""
MILLIONS = (1, 2, 5, 10, 20, 50, 100, 200)
NOTE_CHARACTERS = 110
"""Of a line above the axes, at most."""
TITLES = {"pretrained": "pretrained", "scratch": "from scratch"}


def table(points: pd.DataFrame) -> pd.DataFrame:
    """The points: one row an architecture and subset, by family and size.

    Args:
        points: what `scatter.points_table` gives; those of parameters against AUROC count.

    Returns:
        subset, arch, family, parameters, estimate, low, high.
    """
    chosen = points[(points["x"] == "parameters") & (points["y"] == "auroc")].rename(columns={"x_value": "parameters"})
    kept = chosen[["subset", "arch", "family", "parameters", "estimate", "low", "high"]]
    return kept.sort_values(["subset", "family", "parameters"], ignore_index=True)


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws one subset: a marker an architecture with its interval, a line a family.

    Args:
        table: rows of one subset.
        ax: to draw on.
    """
    for family, members in table.groupby("family", sort=False):
        colour, marker = FAMILIES.get(str(family), OTHER_FAMILY)
        millions = members["parameters"] / 1e6
        ax.vlines(millions, members["low"], members["high"], color=colour, linewidth=0.6, alpha=0.4)
        ax.plot(
            millions, members["estimate"], color=colour, marker=marker, markersize=4, linewidth=1, label=str(family)
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(MILLIONS))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(color="0.94", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel("Parameters (million)")
    ax.set_title(TITLES.get(str(table["subset"].iloc[0]), str(table["subset"].iloc[0])), loc="left", parse_math=False)


def figure(drawn: pd.DataFrame, notes: Sequence[str] = ()) -> Figure:
    """The whole figure, a panel a subset with one axis of AUROC.

    Args:
        drawn: what `table` gives, not empty.
        notes: sentences above the panels; what the bars are must be among them.
    """
    lines = [line for note in notes for line in textwrap.wrap(note, NOTE_CHARACTERS)]
    subsets = list(dict.fromkeys(drawn["subset"]))
    with rc_context(RC | {"axes.spines.left": True}):
        made = Figure(figsize=(WIDTH * MM, (HEIGHT + 3.5 * len(lines)) * MM), layout="constrained")
        axes = made.subplots(1, len(subsets), sharey=True, squeeze=False)[0]
        for subset, ax in zip(subsets, axes, strict=True):
            draw(drawn[drawn["subset"] == subset], ax)
        axes[0].set_ylabel("Mean AUROC")
        handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        made.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize=7)
        if lines:
            made.suptitle("\n".join(lines), x=0.01, ha="left", color=GREY, fontsize=7, parse_math=False)
    return made
