"""Mean AUROC along an axis or against training patients: a line a network, solid if pretrained, broken from scratch."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.axes import Axis
from analysis.evaluation import MEAN
from analysis.figures.canvas import canvas, faintness, legend, plot, settle
from analysis.figures.curves import line_style
from analysis.figures.style import TWO, Format, family_handles, mark
from analysis.questions.along import ALL
from analysis.questions.labels import AUROC

POINTS = ["panel", "place", "at", "arch", "family", "pretrained", "estimate", "low", "high"]
PANEL = 62.0
"""Height of a row of panels, mm."""


def table(networks: pd.DataFrame, varied: Mapping[Axis, Sequence[str]]) -> pd.DataFrame:
    """POINTS: a panel an axis, with the untruncated networks that are at the first level of every other axis.

    Args:
        networks: what `auroc_table` gives of all groups, with the columns of the axes and `variant`.
        varied: the axes with their levels; `place` is a level's number, from 0.
    """
    rows, parts = networks[(networks["task"] == MEAN) & (networks["truncate"] == 0)], []
    for axis, levels in varied.items():
        alone = rows["variant"].isin(["", *(f"{axis.name}={level}" for level in levels)])
        places = rows[axis.column].map({level: place for place, level in enumerate(levels)})
        parts.append(rows.assign(panel=axis.name, at=rows[axis.column], place=places)[alone][POINTS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=POINTS)


def patients_table(efficiency: pd.DataFrame) -> pd.DataFrame:
    """POINTS of what `efficiency_table` gives: a panel a way of training, each with the networks from scratch."""
    rows = efficiency[efficiency["statistic"] == AUROC]
    rows = rows.assign(place=rows["patients"], at=[f"{n:,.0f}" for n in rows["patients"]], panel=rows["adapt"])
    scratch = rows[rows["pretrained"] == False]  # noqa: E712  # of an empty table no bool
    mine = rows.drop(index=scratch.index)
    shown = scratch[scratch["adapt"] == "full"] if (scratch["adapt"] == "full").any() else scratch
    parts = [
        part for way in dict.fromkeys(mine["adapt"]) for part in (mine[mine["adapt"] == way], shown.assign(panel=way))
    ]
    drawn: pd.DataFrame = pd.concat(parts or [rows], ignore_index=True)[POINTS]
    return drawn


def draw(table: pd.DataFrame, ax: Axes, *, log: bool = False) -> None:
    """Draws one panel; where there is a mean of all, its band and the networks thin behind it.

    Args:
        table: rows of one panel.
        log: whether places are numbers on a logarithmic axis.
    """
    means, rows = (table["arch"] == ALL).any(), table.sort_values("place", kind="stable")
    for (arch, family, pretrained), line in rows.groupby(["arch", "family", "pretrained"], sort=False):
        colour, marker = ("black", "o") if arch == ALL else mark(family)
        if arch == ALL:
            ax.fill_between(line["place"], line["low"], line["high"], color=colour, alpha=0.12, linewidth=0)
        elif not means:
            ax.vlines(line["place"], line["low"], line["high"], color=colour, linewidth=0.7, alpha=faintness(len(rows)))
        plot(
            ax, line, "place", "estimate", color=colour, marker=marker, markersize=3.6 if arch == ALL else 3.0,
            linewidth=1.3 if arch == ALL else 0.8, alpha=0.6 if means and arch != ALL else 1.0,
            linestyle=line_style(pretrained), markerfacecolor=colour if pretrained else "white",
        )  # fmt: skip
    levels = rows.drop_duplicates("place")
    if log:
        ax.set_xscale("log")
    else:
        ax.set_xlim(-0.3, float(levels["place"].max()) + 0.3)
    ax.set_xticks(levels["place"], levels["at"], parse_math=False)
    ax.set_xticks([], minor=True)
    ax.grid(color="0.94", linewidth=0.5)
    ax.set_axisbelow(True)


def figure(
    points: pd.DataFrame, names: Mapping[str, str], notes: Sequence[str] = (), form: Format = TWO, *, log: bool = False
) -> Figure:
    """The whole figure.

    Args:
        points: POINTS, not empty.
        names: of each panel's x axis.
        log: as for `draw`.
    """
    panels, means = list(dict.fromkeys(points["panel"])), (points["arch"] == ALL).any()
    columns = 1 if form.narrow or len(panels) == 1 else 2
    n_rows = -(-len(panels) // columns)
    said = "Solid and filled: pretrained; broken and open: from scratch." + (
        f" Black: {ALL}, with band." if means else ""
    )
    with rc_context(form.rc):
        made, axes = canvas(form, PANEL * n_rows + 8, [*notes, said], rows=n_rows, columns=columns, sharey=log)
        for ax, panel in zip(axes, panels, strict=False):
            draw(points[points["panel"] == panel], ax, log=log)
            ax.set_xlabel(names[panel])
            ax.set_ylabel("Mean AUROC")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        black = [Line2D([], [], color="black", marker="o", markersize=3.6, label=ALL)] if means else []
        legend(made, [*family_handles(set(points["family"]) - {""}), *black], form)
        settle(made)
        return made
