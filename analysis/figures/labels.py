"""Names beside points, none over another."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from analysis.figures.style import GREY

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Source: Okabe and Ito, Color Universal Design, 2008."""
MARKERS = ("o", "D", "s", "^", "v", "P", "X")
SIZE = 6.0
"""Of a name, points."""
CHARACTER = 0.58
"""Width of a character of the font, in its size, on average and a little over."""
PLACES = tuple((dx, dy) for dy in (0, 7, -7, 13, -13, 19, 25, -19, 31, 37) for dx in (5, -5))
"""Where a name may stand, from its point: points right (or left) and up, the best first."""


def kinds(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, in the order in which they first come; past seven, both in new pairs."""
    distinct = list(dict.fromkeys(names))
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i, name in enumerate(distinct)
    }


def place(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, names: Sequence[str], others: npt.ArrayLike = ()) -> None:
    """Writes each name beside its point where it covers no other name and no point, or else where it covers least.

    Args:
        ax: with its limits, and in a figure that has been laid out: places are measured in its pixels.
        x, y: [n] in data coordinates; a point that is not finite gets no name.
        names: n of them.
        others: [k, 2] further points that names keep off.
    """
    points = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    further = np.asarray(others, dtype=float).reshape(-1, 2)
    scale = ax.figure.dpi / 72
    pixels = ax.transData.transform(np.concatenate([points, further]))
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    dots = np.column_stack([pixels - 2.5 * scale, pixels + 2.5 * scale])
    taken = dots
    for point, name in sorted(zip(points, names, strict=True), key=lambda item: -item[0][1]):
        if not np.isfinite(point).all():
            continue
        at = ax.transData.transform(point) / scale
        boxes = np.array([_box(at, offset, name) for offset in PLACES]) * scale
        cost = np.array([_overlap(box, taken) + _outside(box, ax) for box in boxes])
        dx, dy = PLACES[int(np.argmin(cost))]
        ax.annotate(
            name, tuple(point), (dx, dy), textcoords="offset points", fontsize=SIZE, color=GREY, parse_math=False,
            ha="left" if dx > 0 else "right", va="center",
        )  # fmt: skip
        taken = np.concatenate([taken, boxes[[int(np.argmin(cost))]]])


def _box(at: npt.NDArray[np.float64], offset: tuple[int, int], name: str) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a name, in points."""
    width = CHARACTER * SIZE * len(name)
    left = at[0] + offset[0] - (width if offset[0] < 0 else 0)
    return left, at[1] + offset[1] - 0.6 * SIZE, left + width, at[1] + offset[1] + 0.6 * SIZE


def _overlap(box: npt.NDArray[np.float64], taken: npt.NDArray[np.float64]) -> float:
    """Area that the box shares with those taken, square pixels."""
    wide = np.minimum(box[2], taken[:, 2]) - np.maximum(box[0], taken[:, 0])
    tall = np.minimum(box[3], taken[:, 3]) - np.maximum(box[1], taken[:, 1])
    return float((wide.clip(0) * tall.clip(0)).sum())


def _outside(box: npt.NDArray[np.float64], ax: Axes) -> float:
    """Weight of what lies outside the axes, square pixels."""
    frame = ax.bbox
    beyond = max(frame.x0 - box[0], 0) + max(box[2] - frame.x1, 0) + max(frame.y0 - box[1], 0)
    return float(10 * (beyond + max(box[3] - frame.y1, 0)) * (box[3] - box[1]))
