"""AUROC against ImageNet top-1 and against size, one point an architecture, with a line and its band."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox
from scipy.stats import t

from analysis import reference
from analysis.auroc import Floats
from analysis.figures.style import FAMILIES, GREY, MM, OTHER_FAMILY, RC
from analysis.tables import number

POINT, LINE = "point", "line"
COLUMNS = ["kind", "x", "y", "subset", "arch", "family", "x_value", "estimate", "low", "high", "level"]
STEPS = 41
"""Of the line and its band."""
WIDTH, HEIGHT = 170.0, 74.0
"""Of the figure, and of a row of panels, mm."""
NOTE_CHARACTERS = 130
"""Of a line above the panels, at most."""
NAME = 5.5
"""Size of the names, points."""
RINGS = (4.5, 9.0, 14.0, 20.0)
"""Distances at which a name may stand from its point, in points; beyond the first it gets a line to it."""
ROUNDS = 3
"""In each, every name looks for a better place among the others."""
DIRECTIONS = 16
"""In which it may stand, at each distance."""
X_LABELS = {"imagenet_top1": "ImageNet top-1 (%)", "parameters": "Parameters (million)"}
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
    """Draws one panel without names (`place_names` needs the final layout).

    Args:
        table: what `table` gives, of one x, y and subset.
        ax: to draw on.
    """
    points, line = table[table["kind"] == POINT], table[table["kind"] == LINE]
    first = table.iloc[0]
    scale = _scale(str(first["x"]))
    ax.fill_between(line["x_value"] * scale, line["low"], line["high"], color="0.92", linewidth=0)
    ax.plot(line["x_value"] * scale, line["estimate"], color="0.55", linewidth=0.8)
    for family, members in points.groupby("family", sort=False):
        colour, marker = FAMILIES.get(str(family), OTHER_FAMILY)
        x = members["x_value"] * scale
        ax.vlines(x, members["low"], members["high"], color=colour, linewidth=0.6, alpha=0.4)
        ax.plot(x, members["estimate"], linestyle="none", marker=marker, markersize=4.2, color=colour)
    if first["x"] == "parameters":
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(*_limits(points["x_value"].to_numpy() * scale, log=first["x"] == "parameters"))
    ax.set_ylim(*_limits(points[["estimate", "low", "high"]].to_numpy(), log=False))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.grid(color="0.94", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel(X_LABELS.get(str(first["x"]), str(first["x"])))
    ax.set_ylabel(Y_LABELS.get(str(first["y"]), str(first["y"])))


def figure(drawn: pd.DataFrame, correlations: pd.DataFrame | None = None, notes: Sequence[str] = ()) -> Figure:
    """The whole figure: a panel for each x, y and subset, two in a row.

    Args:
        drawn: what `table` gives.
        correlations: one row a correlation (`associations.of_record`), for the panels' titles.
        notes: sentences above the panels.
    """
    with rc_context(RC | {"axes.spines.left": True}):
        panels = [panel for _, panel in drawn.groupby(["subset", "x", "y"], sort=False)]
        lines = [line for note in (*notes, _key(drawn)) for line in textwrap.wrap(note, NOTE_CHARACTERS)]
        n_rows = max(1, math.ceil(len(panels) / 2))
        size = (WIDTH * MM, (12 + 3.5 * len(lines) + HEIGHT * n_rows) * MM)
        made = Figure(figsize=size, layout="constrained")
        axes = [made.add_subplot(n_rows, 2, i + 1) for i in range(len(panels))]
        for panel, ax in zip(panels, axes, strict=True):
            draw(panel, ax)
            ax.set_title(_title(panel, correlations), loc="left", fontsize=7.5, color="0.2", parse_math=False)
        if lines:
            made.suptitle("\n".join(lines), x=0.01, ha="left", color=GREY, fontsize=7, parse_math=False)
        if not panels:
            made.text(0.5, 0.4, "no architecture with both an x and an AUROC", ha="center", color=GREY)
        else:
            made.legend(handles=_handles(drawn), loc="outside lower center", ncols=7, fontsize=7, handletextpad=0.2)
        FigureCanvasAgg(made).draw()  # type: ignore[no-untyped-call]  # settles the layout
        made.set_layout_engine("none")
        for panel, ax in zip(panels, axes, strict=True):
            place_names(panel, ax)
        return made


def place_names(table: pd.DataFrame, ax: Axes) -> list[Annotation]:
    """Names every point where there is room: nearest first, the most crowded point first.

    Args:
        table: of one panel.
        ax: with its final layout, on an Agg canvas.
    """
    points = table[(table["kind"] == POINT) & table["estimate"].notna()]
    scale = _scale(str(table["x"].iloc[0]))
    at = ax.transData.transform(np.column_stack([points["x_value"] * scale, points["estimate"]]))
    at = at.reshape(-1, 2)
    pixels = ax.figure.dpi / 72
    marks = [_box(x, y, 5.2 * pixels, 5.2 * pixels) for x, y in at]
    crowd = [-np.sort(np.hypot(*(at - spot).T))[1:4].sum() for spot in at]
    names = []
    for row in points.to_dict("records"):
        colour, _ = FAMILIES.get(str(row["family"]), OTHER_FAMILY)
        name = ax.annotate(
            reference.label(str(row["arch"])), (row["x_value"] * scale, row["estimate"]), xytext=(0, 0),
            textcoords="offset points", fontsize=NAME, color=colour, ha="center", va="center", parse_math=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip
        names.append(name)
    frame = ax.get_window_extent()
    boxes: dict[int, Bbox] = {}
    for _ in range(ROUNDS):
        for i in map(int, np.argsort(crowd, kind="stable")[::-1]):
            others = [box for j, box in boxes.items() if j != i]
            boxes[i] = _place(names[i], at[i], [*marks, *others], frame, pixels)
    return names


def _place(name: Annotation, spot: Floats, taken: list[Bbox], frame: Bbox, pixels: float) -> Bbox:
    """Moves a name to its cheapest place and returns the box that it takes there."""
    extent = Text.get_window_extent(name)  # of the text alone, without the line to its point
    width, height = extent.width + 2 * pixels, extent.height + pixels
    best, cost, offset, ring = extent, math.inf, (0.0, 0.0), 0
    for k, distance in enumerate(RINGS):
        for angle in 2 * math.pi * np.arange(DIRECTIONS) / DIRECTIONS:
            dx = math.cos(angle) * (distance * pixels + width / 2 * abs(math.cos(angle)))
            dy = math.sin(angle) * (distance * pixels + height / 2)
            box = _box(spot[0] + dx, spot[1] + dy, width, height)
            outside = width * height - _overlap(box, frame)
            price = sum(_overlap(box, other) for other in taken) + outside + (k * width * height / 50)
            if price < cost - 1e-9:
                best, cost, offset, ring = box, price, (dx / pixels, dy / pixels), k
    name.set_position(offset)
    if name.arrow_patch is not None:
        name.arrow_patch.set_visible(ring > 0)  # near enough, it needs no line
    return best


def _box(x: float, y: float, width: float, height: float) -> Bbox:
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _overlap(a: Bbox, b: Bbox) -> float:
    width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(width * height) if width > 0 and height > 0 else 0.0


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


def _key(drawn: pd.DataFrame) -> str:
    """What line, band and bars are, as far as there are any."""
    parts, level = [], f"{100 * drawn['level'].max():.4g} %"
    if (drawn["kind"] == LINE).any():
        parts.append(f"Line and band: least squares, {level} confidence band of its height")
    if drawn.loc[drawn["kind"] == POINT, "low"].notna().any():
        parts.append(f"{'bars' if parts else 'Bars'}: {level} interval over the test set")
    return "; ".join(parts) + "." if parts else ""


def _title(panel: pd.DataFrame, correlations: pd.DataFrame | None) -> str:
    first = panel.iloc[0]
    n = int((panel["kind"] == POINT).sum())
    title = f"{TITLES.get(str(first['subset']), first['subset'])}, n = {n}"
    if correlations is None:
        return title
    same = correlations[(correlations[["x", "y", "subset"]] == first[["x", "y", "subset"]]).all(axis=1)]
    for row in same[same["method"] == "spearman"].to_dict("records"):
        low, high = number(row["low"], 2), number(row["high"], 2)
        title += f": \N{GREEK SMALL LETTER RHO} = {number(row['estimate'], 2)} ({low} to {high})"
    return title


def _scale(x: str) -> float:
    """From the table's unit to the axis': percent, millions."""
    return {"imagenet_top1": 100.0, "parameters": 1e-6}.get(x, 1.0)


def _limits(values: Floats, *, log: bool) -> tuple[float, float]:
    """Around all values, with room for names."""
    known = values[~np.isnan(values)].astype(float)
    if known.size == 0:
        return (1.0, 10.0) if log else (0.0, 1.0)
    known = np.log10(known) if log else known
    low, high = known.min(), known.max()
    margin = max(0.12 * (high - low), 1e-3)
    return (10 ** (low - margin), 10 ** (high + margin)) if log else (low - margin, high + margin)


def _handles(drawn: pd.DataFrame) -> list[Line2D]:
    there = set(drawn.loc[drawn["kind"] == POINT, "family"])
    known = [family for family in FAMILIES if family in there] + sorted(there - set(FAMILIES))
    return [
        Line2D([], [], linestyle="none", markersize=4.2, label=family, color=colour, marker=marker)
        for family in known
        for colour, marker in [FAMILIES.get(family, OTHER_FAMILY)]
    ]
