"""Mean AUROC of every untruncated cell with its interval, pretrained beside scratch."""

from collections.abc import Sequence

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
    around,
    bottom,
    canvas,
    interval_note,
    legend,
    name_rows,
    plot,
    row_height,
    settle,
    unnamed_note,
)
from analysis.figures.style import GREY, MM, TWO, Format, mark

POINTS = ["cell", "arch", "family", "pretrained", "seed", "row", "y", "estimate", "low", "high"]
SPREAD, CROWDED = 0.5, 0.9
"""Of a row's height, taken up by its cells: by few of them and by more."""
FEW = 4


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


def draw(table: pd.DataFrame, ax: Axes, form: Format = TWO) -> None:
    """Draws the points in their family's colour and marker, filled where pretrained and open where from scratch.

    Args:
        table: what `table` gives; a cell whose mean is undefined is named and not drawn.
    """
    height = _height(table)
    points = height * MM * 72 * CROWDED / max(1, _most(table))  # between the cells of a row, points
    width, size = min(1.1, 0.8 * points), min(3.6, 1.6 * points)
    for (family, pretrained), side in table.groupby(["family", "pretrained"], sort=False):
        colour, marker = mark(family)
        ax.hlines(side["y"], side["low"], side["high"], color=colour, linewidth=width)
        plot(
            ax, side, "estimate", "y", linestyle="none", marker=marker, markersize=size, color=colour,
            markerfacecolor=colour if pretrained else "white", markeredgewidth=min(0.9, 0.3 * size),
        )  # fmt: skip
    rows = table[["arch", "family", "row"]].drop_duplicates()
    name_rows(ax, rows.assign(name=rows["arch"].map(reference.label)), height, families=not form.narrow)
    ax.set_xlim(*around(table[["estimate", "low", "high"]].to_numpy(dtype=float).ravel(), 0.04))
    if table.empty:
        ax.text(0.5, 0.5, "no untruncated cell", transform=ax.transAxes, ha="center", va="center", color=GREY)


def figure(auroc: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """The whole figure, as tall as its rows need.

    Args:
        points: what `table` gives.
        notes: sentences above the axes, such as a warning that belongs to every copy.
    """
    mean, height = auroc[auroc["task"] == MEAN], _height(points)
    about = [interval_note(mean), *unnamed_note(height)]
    n_tasks = auroc.loc[~auroc["task"].str.startswith(MEAN), "task"].nunique()
    with rc_context(form.rc):
        made, (ax,) = canvas(form, 18 + height * (bottom(points) + 0.6), [*notes, *about])
        draw(points, ax, form)
        ax.set_xlabel(f"Mean AUROC of {n_tasks} tasks")
        legend(made, _handles(points), form)
        settle(made)
        return made


def _rows(architectures: pd.DataFrame) -> dict[str, float]:
    """Place of each architecture from the top, with a gap where the family changes."""
    changes = (architectures["family"] != architectures["family"].shift()).cumsum() - 1
    places = np.arange(len(architectures)) + GAP * changes.to_numpy(dtype=float)
    return dict(zip(architectures["arch"], places, strict=True))


def _offsets(cells: pd.DataFrame) -> pd.Series:
    """Where a cell lies within its row: evenly spread, in the order of the frame."""
    groups = cells.groupby("arch", sort=False)["cell"]
    place, size = groups.cumcount(), groups.transform("size")
    return (place + 0.5) / size * _spread(size) - _spread(size) / 2


def _spread(cells: pd.Series) -> pd.Series:
    return cells.map(lambda n: SPREAD if n <= FEW else CROWDED)


def _most(table: pd.DataFrame) -> int:
    """Cells in the fullest row."""
    return 0 if table.empty else int(table.groupby("row").size().max())


def _height(table: pd.DataFrame) -> float:
    return row_height(bottom(table), _most(table))


def _handles(table: pd.DataFrame) -> list[Line2D]:
    sides = [(True, "pretrained (filled)", GREY), (False, "from scratch (open)", "white")]
    return [
        Line2D([], [], color=GREY, marker="o", markersize=3.6, linewidth=1.1, label=label, markerfacecolor=face)
        for pretrained, label, face in sides
        if (table["pretrained"] == pretrained).any()
    ]
