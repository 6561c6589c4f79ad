"""What truncation costs: AUROC against the share of the parameters kept, a panel for each family."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import reference
from analysis.evaluation import MEAN
from analysis.figures.canvas import canvas, interval_note, nothing, plot, settle
from analysis.figures.style import TWO, Format, mark

POINTS = ["arch", "family", "pretrained", "weights", "truncate", "at", "kept", "difference", "low", "high"]
POINTS += ["noninferior", "margin"]
PANEL = 58.0
"""Height of a row of panels, mm."""
DODGE = 0.05
"""Sideways distance of the networks of a panel, as a share of x, so that their bars do not lie upon each other."""
PALEST = 0.55
"""How far the palest network of a family is from its colour to white."""
NAMES = 6
"""Architectures in a panel that a legend can still name."""


def table(truncation: pd.DataFrame) -> pd.DataFrame:
    """The points: one row a truncated network, mean AUROC only, and one at 100 % for each full one.

    Args:
        truncation: what `truncation_table` gives; networks whose parameters are not known have no place.

    Returns:
        POINTS: `kept` in percent of the full network's parameters, `at` the same moved aside; the difference of
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
    points["at"] = points["kept"] * (1 + DODGE) ** aside
    return points[POINTS]


def draw(table: pd.DataFrame, ax: Axes, *, faint: bool = False) -> list[Line2D]:
    """Draws networks in shades of their family's colour: filled where no worse by the margin, open where not shown.

    Args:
        table: rows of what `table` gives.
        faint: bars of many families in one panel stay in the background.

    Returns:
        An entry of a legend for each architecture; lines of networks from scratch are broken.
    """
    ax.axhline(0, color="0.6", linewidth=0.8)
    handles: dict[str, Line2D] = {}
    shades = _shades(table)
    for (family, arch, pretrained, _), rows in table.groupby(["family", "arch", "pretrained", "weights"], sort=False):
        colour, marker = shades[arch], mark(family)[1]
        line: Any = {"color": colour, "linewidth": 0.9, "linestyle": "-" if pretrained else (0, (3, 1.5))}
        plot(ax, rows, "at", "difference", **line, alpha=0.8)
        cut = rows[rows["truncate"] > 0]
        ax.vlines(cut["at"], cut["low"], cut["high"], color=colour, linewidth=0.9, alpha=0.35 if faint else 1)
        for shown, face in ((True, colour), (False, "white")):
            some = cut[cut["noninferior"].astype(bool) == shown]
            ax.plot(
                some["at"], some["difference"], linestyle="none", marker=marker, markersize=3.8,
                color=colour, markerfacecolor=face,
            )  # fmt: skip
        name = reference.label(str(arch))
        handles[name] = Line2D([], [], color=colour, linewidth=0.9, marker=marker, markersize=3.8, label=name)
    if table.empty:
        nothing(ax, "no truncated network stands beside its full one")
        return []
    ax.axhline(-float(table["margin"].iloc[0]), color="0.35", linewidth=0.8, linestyle=":")
    ax.set_xscale("log")
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    _ticks(ax, table)
    return list(handles.values())


def figure(truncation: pd.DataFrame, points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """The whole figure, a panel for each family, all with the same axes.

    Args:
        points: what `table` gives.
        notes: sentences above the axes, such as a warning that belongs to every copy.
    """
    families = list(dict.fromkeys(points["family"])) or [""]
    columns = min(2 if form.narrow else 3, len(families))
    n_rows = -(-len(families) // columns)
    with rc_context(form.rc):
        made, axes = canvas(
            form, PANEL * n_rows + 8, [*notes, *_about(truncation, points)], rows=n_rows, columns=columns,
            sharex=True, sharey=True,
        )  # fmt: skip
        for ax, family in zip(axes, families, strict=False):
            handles = draw(points[points["family"] == family], ax)
            ax.set_title(str(family), loc="left", parse_math=False)
            if 0 < len(handles) <= NAMES:
                for text in ax.legend(handles=handles, fontsize=5.5 if form.narrow else 6, loc="best").get_texts():
                    text.set_parse_math(False)
        for ax in axes[len(families) :]:
            ax.set_axis_off()
        for below in range(max(0, len(families) - columns), len(families)):
            axes[below].tick_params(labelbottom=True)
        if len(points):
            _ticks(axes[0], points)
            made.supxlabel("Parameters kept (% of the full network)", fontsize=8)
            made.supylabel("AUROC less that of the full network", fontsize=8)
        settle(made)
        return made


def _shades(table: pd.DataFrame) -> dict[object, tuple[float, float, float]]:
    """The colour of each architecture: its family's for the last, paler for those before."""
    shades = {}
    for family, rows in table.groupby("family", sort=False):
        archs, colour = list(dict.fromkeys(rows["arch"])), np.array(to_rgb(mark(family)[0]))
        for share, arch in zip(np.linspace(PALEST if len(archs) > 1 else 0, 0, len(archs)), archs, strict=True):
            red, green, blue = colour + share * (1 - colour)
            shades[arch] = (float(red), float(green), float(blue))
    return shades


def _ticks(ax: Axes, points: pd.DataFrame) -> None:
    low, high = float(points["at"].min()) / 1.2, float(points["at"].max()) * 1.2
    ticks = [m * 10.0**e for e in range(-3, 3) for m in (1, 2, 5) if low <= m * 10.0**e <= 100]
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)


def _about(truncation: pd.DataFrame, points: pd.DataFrame) -> list[str]:
    if points.empty:
        return [interval_note(truncation.iloc[:0])]
    sentences = f"Dotted: margin {truncation['margin'].iloc[0]:g}. Filled: non-inferior by it."
    scratch = "" if points["pretrained"].all() else " Broken lines: from scratch."
    shades = " Shades: the architectures of a family, in the order of truncation.csv."
    return [interval_note(truncation, "paired"), sentences + scratch + shades]
