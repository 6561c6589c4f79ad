"""Mean AUROC against parameters, MACs and latency, with the Pareto front."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis import reference
from analysis.figures.canvas import canvas, interval_note, legend, nothing, plot, settle, ticks_in_millions
from analysis.figures.labels import place
from analysis.figures.style import GREY, TWO, Format, family_handles, mark
from analysis.questions.pareto import COSTS

POINTS = [
    *("cost", "x", "shown", "name", "arch", "family", "pretrained", "truncate"),
    *("estimate", "low", "high", "on_front", "share"),
]
UNITS = {
    "parameters": ("Parameters (millions)", 1e6),
    "macs": ("Multiply-accumulates an image (millions)", 1e6),
    "latency_ms": ("Latency of an image (ms)", 1.0),
}
"""What the axis says, and what it is divided by."""
PANEL, LOW = 80.0, 60.0
"""Height of a panel, across two columns and across one, mm."""
SIZES = {True: 4.2, False: 2.6}
"""Of the marker of a whole and of a truncated network, points."""


def table(pareto: pd.DataFrame) -> pd.DataFrame:
    """The points: one row a cost and network.

    Args:
        pareto: what `pareto_table` gives.

    Returns:
        POINTS: `shown` is the cost in the unit of the axis; `name` the architecture, with its depth where truncated.
    """
    divisor = pareto["cost"].map({cost: divisor for cost, (_, divisor) in UNITS.items()}).astype(float)
    cut, name = pareto["truncate"].astype(int), pareto["arch"].map(lambda arch: reference.label(str(arch)))
    name = name.astype(str).where(cut == 0, name.astype(str) + " -" + cut.astype(str))
    return pareto.assign(shown=pareto["x"].astype(float) / divisor, name=name)[POINTS].reset_index(drop=True)


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws one cost: its front solid with intervals, all others pale; filled where pretrained, small where truncated.

    Args:
        table: rows of one cost, of what `table` gives.
        ax: to draw on; `figure` names the networks on the front once it is laid out.
    """
    whole, on = table["truncate"] == 0, table["on_front"].astype(bool)
    for (family, pretrained, full, best), some in table.groupby(["family", "pretrained", whole, on], sort=False):
        colour, marker = mark(family)
        if best:  # the bars of all the others would bury the front
            ax.vlines(some["shown"], some["low"], some["high"], color=colour, linewidth=0.8, alpha=0.7)
        plot(
            ax, some, "shown", "estimate", linestyle="none", marker=marker, markersize=SIZES[bool(full)],
            color=colour, markerfacecolor=colour if pretrained else "white", alpha=1.0 if best else 0.4,
            markeredgewidth=0.7, zorder=4 if best else 3,
        )  # fmt: skip
    line = table[on]
    ax.plot(line["shown"], line["estimate"], color="black", linewidth=0.9, drawstyle="steps-post", zorder=2)
    ax.set_xscale("log")
    ticks_in_millions(ax, table["shown"])
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    if table.empty:
        nothing(ax, "no network has this cost")


def figure(pareto: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """The whole figure, a panel for each cost that is known.

    Args:
        points: what `table` gives.
        notes: sentences above the axes, such as a warning that belongs to every copy.
    """
    costs = [cost for cost in COSTS if (points["cost"] == cost).any()] or [COSTS[0]]
    about = [interval_note(pareto), *([FRONT] if len(points) else [])]
    with rc_context(form.rc):
        made, axes = canvas(form, (LOW if form.narrow else PANEL) * len(costs) + 10, [*notes, *about], rows=len(costs))
        for ax, cost in zip(axes, costs, strict=True):
            draw(points[points["cost"] == cost], ax)
            ax.set_xlabel(UNITS[cost][0])
            ax.set_ylabel("Mean AUROC")
        if len(points):
            legend(made, _handles(points), form)
        settle(made)
        for ax, cost in zip(axes, costs, strict=True):
            rows = points[points["cost"] == cost]
            best = rows[rows["on_front"].astype(bool)]
            names = [f"{name} ({100 * share:.0f} %)" for name, share in zip(best["name"], best["share"], strict=True)]
            place(ax, best["shown"], best["estimate"], names, others=_obstacles(rows, best))
        return made


FRONT = "In brackets: share of the resamples in which a network is on the front; networks off the front are pale."


def _obstacles(rows: pd.DataFrame, best: pd.DataFrame) -> npt.NDArray[np.float64]:
    """What names keep off: every point, and the level stretches of the front."""
    x, y = (best[name].to_numpy(dtype=float) for name in ("shown", "estimate"))
    along = [np.column_stack([np.geomspace(a, b, 40), np.full(40, h)]) for a, b, h in zip(x, x[1:], y, strict=False)]
    return np.concatenate([rows[["shown", "estimate"]].to_numpy(dtype=float), *along])


def _handles(points: pd.DataFrame) -> list[Line2D]:
    kinds = [
        (True, True, "pretrained", GREY, SIZES[True]),
        (False, True, "from scratch", "white", SIZES[True]),
        (True, False, "pretrained, truncated", GREY, SIZES[False]),
        (False, False, "from scratch, truncated", "white", SIZES[False]),
    ]
    shown = [
        Line2D(
            [], [], linestyle="none", marker="o", markersize=size, color=GREY, markerfacecolor=face, label=label,
            markeredgewidth=0.7,
        )
        for pretrained, whole, label, face, size in kinds
        if ((points["pretrained"] == pretrained) & ((points["truncate"] == 0) == whole)).any()
    ]  # fmt: skip
    front = Line2D([], [], color="black", linewidth=0.9, label="Pareto front")
    return [*family_handles(points["family"]), *shown, front]
