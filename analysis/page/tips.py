"""What a reader sees under the cursor: for each point of a figure, the row of its points table that it stands for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import reference
from analysis.evaluation import MEAN
from analysis.statistics.auroc import Floats
from analysis.tables import heading, number

POINT = 72.0
"""Points an inch, the unit in which a figure is saved as SVG."""
SCALES = (1.0, 100.0, 1e-3, 1e-6, 1e-9)
"""From a table's unit to an axis': as it is, percent, thousands, millions, thousand millions."""
CURVE = 12
"""Places on a line that answer."""
VALUES = ("estimate", "difference", "boost")
"""Columns that an interval low to high belongs to."""
HEAD = {"arch", "pretrained", "truncate", "seed", "subset", "task"}
"""Columns that the first line is made of."""
UNSAID = HEAD | {
    "cell",
    "at",
    "kind",
    "weights",
    "row",
    "y",
    "x",
    "x_low",
    "x_high",
    "shown",
    "bin",
    "family",
    "level",
    "low",
}
UNSAID |= {"high", "margin", "unit", "method", "n_units", "n_resamples", "n_defined"}
"""These too, and columns that say how a point is drawn, or what the figure says already."""
WORDS = {
    "imagenet_top1": "ImageNet top-1",
    "p_holm": "p (Holm)",
    "noninferior": "Non-inferior",
    "kept": "Parameters kept (%)",
    "on_front": "On the front",
    "share": "Share of resamples",
    "fpr": "False positive rate",
    "n_positive": "Positives",
}
"""Names of columns for readers; others stand as they are."""


@dataclass(frozen=True)
class Mark:
    """A place that answers: x and y from the top left in the units of `size`, the architecture, and what is said."""

    x: float
    y: float
    arch: str
    text: str


def size(figure: Figure) -> tuple[float, float]:
    """Width and height of the figure's SVG image, points."""
    width, height = figure.get_size_inches()
    return round(width * POINT, 2), round(height * POINT, 2)


def marks(figure: Figure, points: pd.DataFrame) -> list[Mark]:
    """The places of a figure that show a row of its points.

    A drawn point belongs to a row when its two coordinates are two numbers of that row, in a unit of SCALES. So figures
    need not say what they draw; what no row explains gets no mark.

    Args:
        figure: after it was drawn, as its layout is settled only then.
        points: what was drawn, with `arch`; rows without one (fitted lines) are passed over.
    """
    rows = points[points["arch"].fillna("").astype(str) != ""] if "arch" in points else points.iloc[:0]
    numbers = rows.select_dtypes("number").to_numpy(dtype=float, na_value=np.nan)
    records = rows.to_dict("records")
    scaled = numbers[:, :, None] * np.array(SCALES)
    _, height = size(figure)
    found = []
    for ax in figure.axes:
        taken: set[int] = set()
        for spot in _drawn(ax):
            fitting = _fitting(scaled, spot)
            if not fitting:
                continue
            i = next((i for i in fitting if i not in taken), fitting[0])
            taken.add(i)
            x, y = ax.transData.transform(spot) / ax.figure.dpi * POINT
            if ax.get_window_extent().padded(1).contains(*ax.transData.transform(spot)):
                found.append(Mark(round(x, 1), round(height - y, 1), _name(records[i]), _text(records[i])))
    return found


def _drawn(ax: Axes) -> Iterator[Floats]:
    """Coordinates of what is drawn as points, and of some places on each line."""
    for line in ax.lines:
        if line.get_transform() != ax.transData:  # a line across the axes is no data
            continue
        spots = np.asarray(line.get_xydata(), dtype=float)
        if line.get_marker() in (None, "None", "none", "", " ") and len(spots) > CURVE:
            spots = spots[np.linspace(0, len(spots) - 1, CURVE).astype(int)]
        yield from spots[np.isfinite(spots).all(axis=1)]
    for collection in ax.collections:
        if hasattr(collection, "get_sizes"):  # a scatter's points
            spots = np.ma.filled(np.ma.asarray(collection.get_offsets(), dtype=float), np.nan)
            yield from spots[np.isfinite(spots).all(axis=1)]


def _fitting(scaled: Floats, spot: Floats) -> list[int]:
    """The rows that hold both coordinates, in two columns."""
    is_x, is_y = (np.isclose(scaled, value, rtol=1e-9, atol=1e-12).any(axis=2) for value in spot)
    both = is_x.any(axis=1) & is_y.any(axis=1) & ((is_x | is_y).sum(axis=1) > 1)
    return [int(i) for i in np.flatnonzero(both)]


def _name(row: Mapping[Any, Any]) -> str:
    return str(row["arch"])


def _text(row: Mapping[Any, Any]) -> str:
    """The architecture and its weights, then the numbers, a line each."""
    head = [reference.label(_name(row))]
    if isinstance(row.get("pretrained"), bool | np.bool_):
        head.append("pretrained" if row["pretrained"] else "from scratch")
    if row.get("subset") in ("pretrained", "scratch"):
        head.append("pretrained" if row["subset"] == "pretrained" else "from scratch")
    if row.get("truncate", 0) > 0:
        head.append(f"truncated by {row['truncate']:g}")
    if "seed" in row and not pd.isna(row["seed"]):
        head.append(f"seed {row['seed']}")
    if isinstance(row.get("task"), str) and row["task"] != MEAN:
        head.append(heading(row["task"]))
    return "\n".join([", ".join(head), *_numbers(row)])


def _numbers(row: Mapping[Any, Any]) -> Iterator[str]:
    value = next((name for name in VALUES if name in row), None)
    if value is not None:
        low, high = row.get("low", np.nan), row.get("high", np.nan)
        interval = "" if pd.isna(low) or pd.isna(high) else f" ({number(low)} to {number(high)})"
        word = "" if value == "estimate" else f"{heading(value)} "
        yield f"{word}{number(row[value])}{interval}"
    for name, content in row.items():
        if name in UNSAID or name == value or pd.isna(content):
            continue
        word = str(row["x"]) if name == "x_value" and "x" in row else str(name)
        title = WORDS.get(word, heading(word))
        if isinstance(content, bool | np.bool_):
            yield f"{title}: {'yes' if content else 'no'}"
        elif isinstance(content, int | float | np.number):
            yield f"{title} {_short(float(content))}"


def _short(value: float) -> str:
    return f"{value / 1e6:,.4g} million" if abs(value) >= 1e6 else f"{value:,.4g}"
