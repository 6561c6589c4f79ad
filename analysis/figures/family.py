"""Mean AUROC against size, the networks of a family joined by a line: does the family or the size decide?"""

from collections.abc import Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.canvas import canvas, faintness, legend, nothing, plot, settle, ticks_in_millions
from analysis.figures.style import TWO, Format, family_handles, mark

HEIGHT = 66.0
"""Of a row of panels, mm."""
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
    """Draws one subset: a marker an architecture with its interval, a line a family."""
    for family, members in table.groupby("family", sort=False):
        colour, marker = mark(family)
        millions = members["parameters"] / 1e6
        ax.vlines(millions, members["low"], members["high"], color=colour, linewidth=0.6, alpha=faintness(len(table)))
        style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1, "label": str(family)}
        plot(ax, members, "parameters", "estimate", per=1e6, **style)
    ax.set_xscale("log")
    ticks_in_millions(ax, table["parameters"] / 1e6)
    ax.grid(color="0.94", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel("Parameters (millions)")
    ax.set_ylabel("Mean AUROC")
    if table.empty:
        nothing(ax, "no network with a known number of parameters")


def figure(drawn: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """The whole figure, a panel a subset with one axis of AUROC.

    Args:
        drawn: what `table` gives, not empty.
    """
    subsets = list(dict.fromkeys(drawn["subset"]))
    rows, columns = (len(subsets), 1) if form.narrow else (1, len(subsets))
    with rc_context(form.rc):
        made, axes = canvas(form, HEIGHT * rows + 6, notes, rows=rows, columns=columns, sharey=True)
        for subset, ax in zip(subsets, axes, strict=True):
            draw(drawn[drawn["subset"] == subset], ax)
            ax.set_title(TITLES.get(str(subset), str(subset)), loc="left", parse_math=False)
            if ax is not axes[0] and not form.narrow:
                ax.set_ylabel("")
        legend(made, family_handles(drawn["family"], linestyle="-", linewidth=1), form)
        settle(made)
    return made
