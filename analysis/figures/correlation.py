"""AUROC against ImageNet top-1 and against size, one point an architecture, with a line and its band."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import t

from analysis import reference
from analysis.figures.canvas import canvas, faintness, legend, plot, settle, ticks_in_millions
from analysis.figures.labels import place
from analysis.figures.style import GREY, TWO, Format, family_handles, mark
from analysis.statistics.auroc import Floats
from analysis.tables import number

POINT, LINE = "point", "line"
COLUMNS = ["kind", "x", "y", "subset", "arch", "family", "x_value", "estimate", "low", "high", "level"]
STEPS = 41
"""Of the line and its band."""
HEIGHT, LOW = 72.0, 46.0
"""Of a row of panels, across two columns and across one, mm."""
X_LABELS = {"imagenet_top1": "ImageNet top-1 (%)", "parameters": "Parameters (millions)"}
Y_LABELS = {"auroc": "Mean AUROC", "boost": "Boost in mean AUROC"}
TITLES = {"pretrained": "pretrained", "scratch": "from scratch", "paired": "pretrained minus scratch"}


def table(points: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: the points, and per panel the least-squares line with the confidence band of its height.

    Args:
        points: what `scatter.points_table` gives.

    Returns:
        COLUMNS. kind `point`: one architecture, low and high being the interval of its y (NaN: unknown). kind `line`:
        the line at x_value, low and high being its band at `level`; none where fewer than three x differ.

    Source: the band is Student's t for a mean response; on log10 of the parameters.
    """
    parts = []
    for _, panel in points.groupby(["x", "y", "subset"], sort=False):
        parts += [panel.assign(kind=POINT), _line(panel).assign(kind=LINE)]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draws one panel without names (`name_points` needs the final layout).

    Args:
        table: what `table` gives, of one x, y and subset.
    """
    points, line = table[table["kind"] == POINT], table[table["kind"] == LINE]
    first = table.iloc[0]
    scale = _scale(str(first["x"]))
    ax.fill_between(line["x_value"] * scale, line["low"], line["high"], color="0.92", linewidth=0)
    ax.plot(line["x_value"] * scale, line["estimate"], color="0.55", linewidth=0.8)
    for family, members in points.groupby("family", sort=False):
        colour, marker = mark(family)
        x = members["x_value"] * scale
        ax.vlines(x, members["low"], members["high"], color=colour, linewidth=0.6, alpha=faintness(len(points)))
        style = {"linestyle": "none", "marker": marker, "markersize": 4.2, "color": colour}
        plot(ax, members, "x_value", "estimate", per=1 / scale, **style)
    if first["x"] == "parameters":
        ax.set_xscale("log")
        ticks_in_millions(ax, points["x_value"] * scale)
    else:
        ax.set_xlim(*_limits(points["x_value"].to_numpy() * scale))
    ax.set_ylim(*_limits(points[["estimate", "low", "high"]].to_numpy()))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.grid(color="0.94", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel(X_LABELS.get(str(first["x"]), str(first["x"])))
    ax.set_ylabel(Y_LABELS.get(str(first["y"]), str(first["y"])))


def figure(
    drawn: pd.DataFrame, correlations: pd.DataFrame | None = None, notes: Sequence[str] = (), form: Format = TWO
) -> Figure:
    """The whole figure: a panel for each x, y and subset, two in a row.

    Args:
        drawn: what `table` gives.
    """
    panels = [panel for _, panel in drawn.groupby(["subset", "x", "y"], sort=False)]
    columns = 1 if form.narrow or len(panels) < 2 else 2
    n_rows = max(1, math.ceil(len(panels) / columns))
    about = [note for note in [*notes, fit_note(drawn), _bars_note(drawn)] if note]
    with rc_context(form.rc):
        made, axes = canvas(form, 8 + (LOW if form.narrow else HEIGHT) * n_rows, about, rows=n_rows, columns=columns)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        for panel, ax in zip(panels, axes, strict=False):
            draw(panel, ax)
            ax.set_title(title(panel, correlations), loc="left", color="0.2", parse_math=False)
        if panels:
            legend(made, family_handles(drawn.loc[drawn["kind"] == POINT, "family"]), form)
        else:
            made.text(0.5, 0.4, "no architecture with both an x and an AUROC", ha="center", color=GREY)
        settle(made)
        for panel, ax in zip(panels, axes, strict=False):
            name_points(panel, ax)
        return made


def name_points(table: pd.DataFrame, ax: Axes) -> None:
    """Names the points where there is room."""
    points = table[(table["kind"] == POINT) & table["estimate"].notna()]
    names = [reference.label(str(arch)) for arch in points["arch"]]
    colours = [mark(family)[0] for family in points["family"]]
    place(ax, points["x_value"] * _scale(str(table["x"].iloc[0])), points["estimate"], names, colours=colours)


def _line(panel: pd.DataFrame) -> pd.DataFrame:
    known = panel[panel["estimate"].notna() & panel["x_value"].notna()]
    first = panel.iloc[0]
    log = first["x"] == "parameters"
    x, y = known["x_value"].to_numpy(dtype=float), known["estimate"].to_numpy(dtype=float)
    x = np.log10(x) if log else x
    if len(np.unique(x)) < 3:
        return pd.DataFrame(columns=panel.columns).astype(panel.dtypes)
    centred = x - x.mean()
    slope = centred @ y / (centred @ centred)
    residuals = y - y.mean() - slope * centred
    s = math.sqrt(residuals @ residuals / (x.size - 2))
    grid = np.linspace(x.min(), x.max(), STEPS)
    fitted = y.mean() + slope * (grid - x.mean())
    half = t.ppf((1 + first["level"]) / 2, x.size - 2) * s
    half *= np.sqrt(1 / x.size + (grid - x.mean()) ** 2 / (centred @ centred))
    shared = {name: first[name] for name in ("x", "y", "subset", "level")} | {"arch": "", "family": ""}
    values = {"x_value": 10**grid if log else grid, "estimate": fitted, "low": fitted - half, "high": fitted + half}
    return pd.DataFrame(values).assign(**shared)


def fit_note(drawn: pd.DataFrame) -> str:
    """What line and band are; empty where there are none."""
    if not (drawn["kind"] == LINE).any():
        return ""
    return f"Line and band: least squares, {100 * drawn['level'].max():.4g} % confidence band of its height."


def _bars_note(drawn: pd.DataFrame) -> str:
    known = drawn.loc[drawn["kind"] == POINT, "low"].notna().any()
    return f"Bars: {100 * drawn['level'].max():.4g} % interval over the test set." if known else ""


def title(panel: pd.DataFrame, correlations: pd.DataFrame | None) -> str:
    """Subset and n, and Spearman's coefficient of record with its interval where it is given."""
    first = panel.iloc[0]
    n = int((panel["kind"] == POINT).sum())
    title = f"{TITLES.get(str(first['subset']), first['subset'])}, n = {n}"
    if correlations is None:
        return title
    same = correlations[(correlations[["x", "y", "subset"]] == first[["x", "y", "subset"]]).all(axis=1)]
    for row in same[(same["method"] == "spearman") & same["estimate"].notna()].to_dict("records"):
        low, high = number(row["low"], 2), number(row["high"], 2)
        title += f": \N{GREEK SMALL LETTER RHO} = {number(row['estimate'], 2)} ({low} to {high})"
    return title


def _scale(x: str) -> float:
    """From the table's unit to the axis': percent, millions."""
    return {"imagenet_top1": 100.0, "parameters": 1e-6}.get(x, 1.0)


def _limits(values: Floats) -> tuple[float, float]:
    """Around all values, with room for names."""
    known = values[~np.isnan(values)].astype(float)
    if known.size == 0:
        return 0.0, 1.0
    margin = max(0.12 * np.ptp(known), 1e-3)
    return float(known.min() - margin), float(known.max() + margin)
