"""What a reader sees under the cursor: for each point of a figure, the row of its points table that it stands for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import reference
from analysis.evaluation import MEAN
from analysis.figures.canvas import DRAWN
from analysis.tables import heading, number, significant

POINT = 72.0
"""Points an inch, the unit in which a figure is saved as SVG."""
CURVE = 12
"""Places on a line that answer."""
NOTHING = pd.DataFrame()
VALUES = ("estimate", "difference", "boost")
"""Columns that an interval low to high belongs to."""
HEAD = {"arch", "pretrained", "truncate", "seed", "subset", "task"}
"""Columns that the first line is made of."""
UNSAID = {
    *HEAD,
    *("cell", "at", "kind", "weights", "row", "y", "x", "x_low", "x_high", "shown", "bin", "family", "level", "low"),
    *("high", "margin", "unit", "method", "n_units", "n_resamples", "n_defined"),
}
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


def marks(figure: Figure) -> list[Mark]:
    """The places of a figure that show a row of its points; a line without markers answers at CURVE places.

    Args:
        figure: after it was drawn, as its layout is settled only then; what `canvas.plot` drew answers.
    """
    _, height = size(figure)
    found = []
    for ax in figure.axes:
        inside = ax.get_window_extent().padded(1)
        for line in ax.lines:
            rows, spots = DRAWN.get(line, NOTHING).to_dict("records"), np.asarray(line.get_xydata(), dtype=float)
            some = np.arange(len(rows))
            if line.get_marker() in (None, "None", "none", "", " ") and len(rows) > CURVE:
                some = np.linspace(0, len(rows) - 1, CURVE).astype(int)
            for i in some[np.isfinite(spots[some]).all(axis=1)]:
                place = ax.transData.transform(spots[i])
                if inside.contains(*place):
                    x, y = place / ax.figure.dpi * POINT
                    found.append(Mark(round(x, 1), round(height - y, 1), str(rows[i]["arch"]), _text(rows[i])))
    return found


def _text(row: Mapping[Any, Any]) -> str:
    """The architecture and its weights, then the numbers, a line each."""
    head = [reference.label(str(row["arch"]))]
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
            amount = float(content)
            yield f"{title} {f'{significant(amount / 1e6)} million' if abs(amount) >= 1e6 else significant(amount)}"
