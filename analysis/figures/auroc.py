"""Mean AUROC of every untruncated cell with its interval, pretrained beside scratch."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.evaluation import MEAN
from analysis.figures.style import GREY, MM, PRETRAINED, RC, SCRATCH
from analysis.tables import count

POINTS = ["cell", "arch", "family", "pretrained", "seed", "row", "y", "estimate", "low", "high"]
SPREAD = 0.5
"""Of a row's height, taken up by its cells."""
FAMILY_GAP = 0.5
"""Between families, in rows."""
ROW = 5.6
"""Height of a row, mm."""
NOTE_CHARACTERS = 110
"""Of a line above the axes, at most."""
WIDTH = 150.0
"""Of the whole figure, mm."""


def table(auroc: pd.DataFrame) -> pd.DataFrame:
    """The points: one row a cell, in the order in which the architectures come in `auroc`.

    Args:
        auroc: what `auroc_table` gives.

    Returns:
        POINTS: `row` is the architecture's place and `y` the cell's within it, in rows from the top; estimate, low and
        high are the mean over tasks, 0 to 1.
    """
    cells = auroc[(auroc["task"] == MEAN) & (auroc["truncate"] == 0)].reset_index(drop=True)
    rows = _rows(cells[["arch", "family"]].drop_duplicates())
    row = cells["arch"].map(rows).to_numpy(dtype=float)
    return cells.assign(row=row, y=row + _offsets(cells))[POINTS]


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws the points, named by architecture on the left and by family on the right.

    Args:
        table: what `table` gives; a cell whose mean is undefined is named and not drawn.
        ax: to draw on.
    """
    for pretrained, colour, marker in ((True, PRETRAINED, "o"), (False, SCRATCH, "D")):
        side = table[table["pretrained"] == pretrained]
        ax.hlines(side["y"], side["low"], side["high"], color=colour, linewidth=1.1)
        ax.plot(side["estimate"], side["y"], linestyle="none", marker=marker, markersize=3.6, color=colour)
    rows = table[["arch", "family", "row"]].drop_duplicates()
    ax.set_yticks(rows["row"], rows["arch"], parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(_bottom(table), -0.6)
    ax.set_xlim(*_limits(table))
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    for family, members in rows.groupby("family", sort=False):
        ax.text(
            1.015, members["row"].mean(), str(family),
            transform=ax.get_yaxis_transform(), va="center", color=GREY, fontsize=7, parse_math=False,
        )  # fmt: skip
    if table.empty:
        ax.text(0.5, 0.5, "no untruncated cell", transform=ax.transAxes, ha="center", va="center", color=GREY)


def figure(auroc: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = ()) -> Figure:
    """The whole figure, as tall as its rows need.

    Args:
        auroc: the table that the points come from, for what the axis says about them.
        points: what `table` gives.
        notes: sentences above the axes, such as a warning that belongs to every copy.
    """
    with rc_context(RC):
        lines = [line for note in notes for line in textwrap.wrap(note, NOTE_CHARACTERS)]
        height = 24 + 3.5 * len(lines) + ROW * (_bottom(points) + 0.6)
        made = Figure(figsize=(WIDTH * MM, height * MM), layout="constrained")
        ax = made.add_subplot()
        draw(points, ax)
        ax.set_xlabel(axis_label(auroc))
        ax.legend(handles=_handles(points), loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        if lines:
            made.suptitle("\n".join(lines), x=0.01, ha="left", color=GREY, fontsize=7, parse_math=False)
        return made


def axis_label(auroc: pd.DataFrame) -> str:
    """What the points and their bars are: `95 % percentile bootstrap interval, n = 200 studies, 1000 resamples`."""
    mean = auroc[auroc["task"] == MEAN].iloc[0]
    tasks = auroc["task"].nunique() - 1
    level = f"{100 * mean['level']:.4g}"
    return (
        f"Mean AUROC of {tasks} tasks\n({level} % {mean['method']} interval, "
        f"n = {count(mean['n_units'], mean['unit'])}, {mean['n_resamples']} resamples)"
    )


def _rows(architectures: pd.DataFrame) -> dict[str, float]:
    """Place of each architecture from the top, with a gap where the family changes."""
    changes = (architectures["family"] != architectures["family"].shift()).cumsum() - 1
    places = np.arange(len(architectures)) + FAMILY_GAP * changes.to_numpy(dtype=float)
    return dict(zip(architectures["arch"], places, strict=True))


def _offsets(cells: pd.DataFrame) -> pd.Series:
    """Where a cell lies within its row: evenly spread, in the order of the frame."""
    groups = cells.groupby("arch", sort=False)["cell"]
    place, size = groups.cumcount(), groups.transform("size")
    return SPREAD * ((place + 0.5) / size - 0.5)


def _bottom(table: pd.DataFrame) -> float:
    return 0.6 if table.empty else float(table["row"].max()) + 0.6


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """Around all points and bars, at least 0.04 wide."""
    values = table[["estimate", "low", "high"]].to_numpy(dtype=float)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = max(0.05 * (high - low), (0.04 - (high - low)) / 2, 0.002)
    return low - margin, high + margin


def _handles(table: pd.DataFrame) -> list[Line2D]:
    sides = [(True, "pretrained", PRETRAINED, "o"), (False, "from scratch", SCRATCH, "D")]
    return [
        Line2D([], [], color=colour, marker=marker, markersize=3.6, linewidth=1.1, label=label)
        for pretrained, label, colour, marker in sides
        if (table["pretrained"] == pretrained).any()
    ]
