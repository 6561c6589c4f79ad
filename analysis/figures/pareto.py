"""Mean AUROC against parameters, MACs and latency, with the Pareto front."""

import textwrap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.boost import ticks_in_millions
from analysis.figures.labels import place
from analysis.figures.style import GREY, MM, PRETRAINED, RC, SCRATCH
from analysis.pareto import COSTS
from analysis.tables import count

POINTS = [
    *("cost", "x", "shown", "name", "arch", "pretrained", "truncate"),
    *("estimate", "low", "high", "on_front", "share"),
]
UNITS = {
    "parameters": ("Parameters (millions)", 1e6),
    "macs": ("Multiply-accumulates an image (millions)", 1e6),
    "latency_ms": ("Latency of an image (ms)", 1.0),
}
"""What the axis says, and what it is divided by."""
WIDTH, PANEL = 150.0, 85.0
"""Of the figure, and height of a panel; mm."""
NOTE_CHARACTERS = 110


def table(pareto: pd.DataFrame) -> pd.DataFrame:
    """The points: one row a cost and network.

    Args:
        pareto: what `pareto_table` gives.

    Returns:
        POINTS: `shown` is the cost in the unit of the axis; `name` the architecture, with its depth where truncated.
    """
    divisor = pareto["cost"].map({cost: divisor for cost, (_, divisor) in UNITS.items()}).astype(float)
    cut = pareto["truncate"].astype(int)
    name = pareto["arch"].astype(str).where(cut == 0, pareto["arch"].astype(str) + " -" + cut.astype(str))
    return pareto.assign(shown=pareto["x"].astype(float) / divisor, name=name)[POINTS].reset_index(drop=True)


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws one cost: the front in black, its networks solid with intervals, the others pale; truncated ones square.

    Args:
        table: rows of one cost, of what `table` gives.
        ax: to draw on; `figure` names the networks on the front once it is laid out.
    """
    for pretrained, colour in ((True, PRETRAINED), (False, SCRATCH)):
        for whole, marker in ((True, "o"), (False, "s")):
            side = table[(table["pretrained"] == pretrained) & ((table["truncate"] == 0) == whole)]
            for on, alpha in ((False, 0.35), (True, 1.0)):
                some = side[side["on_front"].astype(bool) == on]
                if on:  # the bars of all the others would bury the front
                    ax.vlines(some["shown"], some["low"], some["high"], color=colour, linewidth=0.8, alpha=0.7)
                ax.plot(
                    some["shown"], some["estimate"], linestyle="none", marker=marker, markersize=4,
                    color=colour, alpha=alpha, markeredgewidth=0, zorder=3,
                )  # fmt: skip
    line = table[table["on_front"].astype(bool)]
    ax.plot(line["shown"], line["estimate"], color="black", linewidth=0.9, drawstyle="steps-post", zorder=2)
    ax.set_xscale("log")
    ticks_in_millions(ax, table["shown"])
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    if table.empty:
        ax.text(0.5, 0.5, "no network has this cost", transform=ax.transAxes, ha="center", va="center", color=GREY)


def figure(pareto: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = ()) -> Figure:
    """The whole figure, a panel for each cost that is known.

    Args:
        pareto: the table that the points come from, for what the axes say about them.
        points: what `table` gives.
        notes: sentences above the axes, such as a warning that belongs to every copy.
    """
    costs = [cost for cost in COSTS if (points["cost"] == cost).any()] or [COSTS[0]]
    lines = [line for note in notes for line in textwrap.wrap(note, NOTE_CHARACTERS)]
    with rc_context(RC | {"axes.spines.left": True}):
        size = (WIDTH * MM, (PANEL * len(costs) + 10 + 3.5 * len(lines)) * MM)
        made = Figure(figsize=size, layout="constrained")
        axes = made.subplots(len(costs), 1, squeeze=False)[:, 0]
        for ax, cost in zip(axes, costs, strict=True):
            draw(points[points["cost"] == cost], ax)
            ax.set_xlabel(UNITS[cost][0])
            ax.set_ylabel("Mean AUROC")
        axes[-1].set_xlabel(f"{axes[-1].get_xlabel()}\n\n{_about(pareto)}")
        made.legend(handles=_handles(points), loc="outside lower center", ncols=5)
        if lines:
            made.suptitle("\n".join(lines), x=0.01, ha="left", color=GREY, fontsize=7, parse_math=False)
        made.draw_without_rendering()  # names are placed in its pixels
        for ax, cost in zip(axes, costs, strict=True):
            rows = points[points["cost"] == cost]
            best = rows[rows["on_front"].astype(bool)]
            names = [f"{name} ({100 * share:.0f} %)" for name, share in zip(best["name"], best["share"], strict=True)]
            place(ax, best["shown"], best["estimate"], names, _obstacles(rows, best))
        return made


def _obstacles(rows: pd.DataFrame, best: pd.DataFrame) -> npt.NDArray[np.float64]:
    """What names keep off: every point, and the level stretches of the front."""
    x, y = (best[name].to_numpy(dtype=float) for name in ("shown", "estimate"))
    along = [np.column_stack([np.geomspace(a, b, 40), np.full(40, h)]) for a, b, h in zip(x, x[1:], y, strict=False)]
    return np.concatenate([rows[["shown", "estimate"]].to_numpy(dtype=float), *along])


def _about(pareto: pd.DataFrame) -> str:
    if pareto.empty:
        return "nothing to compare"
    first = pareto.iloc[0]
    return (
        f"{100 * first['level']:.4g} % {first['method']} interval, n = "
        f"{count(int(first['n_units']), str(first['unit']))}, {first['n_resamples']} resamples;\n"
        "in brackets: share of the resamples in which a network is on the front"
    )


def _handles(points: pd.DataFrame) -> list[Line2D]:
    kinds = [
        (True, True, "pretrained", PRETRAINED, "o"),
        (False, True, "from scratch", SCRATCH, "o"),
        (True, False, "pretrained, truncated", PRETRAINED, "s"),
        (False, False, "from scratch, truncated", SCRATCH, "s"),
    ]
    shown = [
        Line2D([], [], linestyle="none", marker=marker, markersize=4, color=colour, label=label)
        for pretrained, whole, label, colour, marker in kinds
        if ((points["pretrained"] == pretrained) & ((points["truncate"] == 0) == whole)).any()
    ]
    return [*shown, Line2D([], [], color="black", linewidth=0.9, label="Pareto front")]
