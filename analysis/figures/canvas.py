"""What figures are drawn on: panels of a journal's width, sentences above them, rows that fit on a page."""

import textwrap
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import FONTS, GREY, MM, Format
from analysis.tables import count

NOTE = 7.0
"""Size of the sentences above the panels, points."""
LINE = 3.6
"""Height of a line of them, mm."""
CHARACTER = 1.3
"""Width of a character of them, mm, on average and a little over."""
HANDLE = 10.0
"""Width of a legend's symbol with the space around it, mm."""
PAGE = 200.0
"""Height that the rows of a figure may take, mm: they still fit on a page with what stands above and below."""
ROW, CELL = 5.6, 0.9
"""Height of a row with a name, and what each thing in it takes at least, mm."""
NAMED = 2.4
"""Height of a row from which its name can be read, mm."""
GAP = 0.5
"""Between families, in rows."""
DRAWN: WeakKeyDictionary[Line2D, pd.DataFrame] = WeakKeyDictionary()
"""The rows that a line or its markers stand for, in the order of its points; filled by `plot`."""


def canvas(
    form: Format, height: float, notes: Sequence[str] = (), *, rows: int = 1, columns: int = 1, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with its panels, row by row; to be called within `rc_context(form.rc)`.

    Args:
        height: of all panels and what belongs to them, mm; the notes come on top.
        shared: of `Figure.subplots`, such as sharey.
    """
    lines = [line for note in notes for line in textwrap.wrap(note, int(form.mm / CHARACTER))]
    size = (form.mm * MM, (height + LINE * len(lines)) * MM)
    made = Figure(figsize=size, layout="constrained")
    if lines:
        made.suptitle("\n".join(lines), x=0.01, ha="left", color=GREY, fontsize=NOTE, parse_math=False)
    axes = list(made.subplots(rows, columns, squeeze=False, **shared).flat)
    for ax in axes:
        ax.tick_params(labelfontfamily=FONTS[form.font][0])  # ticks are made when saving, outside of these settings
    return made, axes


def plot(ax: Axes, rows: pd.DataFrame, x: str, y: str, *, per: float = 1.0, **style: Any) -> None:
    """Draws rows of a points table, so that each point can say what it is (`page.tips`).

    Args:
        ax: to draw on.
        rows: of the table.
        x, y: columns.
        per: units of the column `x` in one of the axis.
        style: of `Axes.plot`.
    """
    (line,) = ax.plot(rows[x] / per, rows[y], **style)
    DRAWN[line] = rows


def legend(made: Figure, handles: Sequence[Line2D], form: Format) -> None:
    """A legend below the panels, in as many columns as fit; none without handles."""
    if not handles:
        return
    widest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, int(form.mm / (CHARACTER * widest + HANDLE)))
    columns = -(-len(handles) // -(-len(handles) // columns))  # as even rows as can be
    drawn = made.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=NOTE)
    for text in drawn.get_texts():
        text.set_parse_math(False)


def settle(made: Figure) -> None:
    """Lays the figure out for good: what is placed in its pixels from now on stays where it is, in every file."""
    made.draw_without_rendering()
    made.set_layout_engine("none")


def nothing(ax: Axes, why: str) -> None:
    """Says in a panel why it is empty."""
    text = "\n".join(textwrap.wrap(why, 38))
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY, parse_math=False)
    ax.set_xticks([])
    ax.set_yticks([])


def interval_note(frame: pd.DataFrame, extra: str = "") -> str:
    """What the bars are: `Bars: 95 % percentile bootstrap interval, n = 200 studies, 1000 resamples.` as a sentence.

    Args:
        frame: low, level, method, n_units, unit, n_resamples; the first row with an interval speaks for all.
        extra: put after the name of the interval, such as `paired`.
    """
    if frame.empty:
        return "There is nothing to compare."
    known = frame[frame["low"].notna()] if "low" in frame else frame
    if known.empty:
        return f"There are no bars: {frame['method'].iloc[0]}."
    first = known.iloc[0]
    words = [f"{100 * first['level']:.4g} % {first['method']} interval", extra]
    words += [f"n = {count(int(first['n_units']), str(first['unit']))}"]
    words += [f"{first['n_resamples']} resamples"] if first["n_resamples"] else []
    return f"Bars: {', '.join(word for word in words if word)}."


def row_height(n_rows: float, cells: int = 1) -> float:
    """Height of each of the rows, mm: enough for a name and `cells` things one below the other, unless a page ends."""
    return min(max(ROW, CELL * cells), PAGE / max(n_rows, 1))


def name_rows(ax: Axes, rows: pd.DataFrame, height: float, *, families: bool = True) -> None:
    """Names on the left of the rows and families on the right, where they can be read; the first row on top.

    Args:
        ax: with a unit of y for each row.
        height: of a row, mm.
    """
    shown = rows if height >= NAMED else rows.iloc[:0]
    ax.set_yticks(shown["row"], shown["name"], parse_math=False, fontsize=min(8.0, 2.6 * height))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(bottom(rows), -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    for family, members in rows.groupby("family", sort=False):
        if families and family and height * (len(members) + GAP) >= NAMED:
            ax.text(
                1.015, members["row"].mean(), str(family), transform=ax.get_yaxis_transform(), va="center",
                color=GREY, fontsize=7, parse_math=False,
            )  # fmt: skip


def bottom(table: pd.DataFrame) -> float:
    """Where the rows end."""
    return 0.6 if table.empty else float(table["row"].max()) + 0.6


def unnamed_note(height: float) -> list[str]:
    """A sentence where rows are too low for names."""
    return (
        [] if height >= NAMED else ["There are too many rows to name: in this order they are in the CSV file beside."]
    )


def faintness(n: int) -> float:
    """How opaque the bars of n points in one panel are, so that the points stay in front of them."""
    return min(0.45, 8 / max(n, 1))


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


def around(values: Any, least: float = 0.0) -> tuple[float, float]:
    """Limits around all defined values and a little beyond, at least `least` apart; 0 to 1 where there are none."""
    known = pd.Series(values, dtype=float).dropna()
    if known.empty:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = max(0.06 * (high - low), (least - (high - low)) / 2, 0.002)
    return low - margin, high + margin
