"""Names beside points, none over another."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text

from analysis.figures.style import GREY
from analysis.statistics.auroc import Floats

SIZE = 5.5
"""Of a name, points."""
DOT = 5.2
"""Side of the square that a point takes, points."""
RINGS = (4.5, 9.0, 14.0, 20.0, 27.0, 35.0)
"""Distances at which a name may stand from its point, in points; beyond the first it gets a line to it."""
CORNERS, CLEAR = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]), 2.5
"""Where a name stands first of all, so many points off: beside its point's intervals, whether these stand or lie."""
DIRECTIONS = 16
"""In which it may stand, at each distance."""
FEW = 6
"""Names that always find room."""
ROUNDS = 3
"""In each, every name looks for a better place among the others."""
MOST = 40
"""Names in a panel: with more, nobody could follow the lines."""


def place(
    ax: Axes,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    names: Sequence[str],
    *,
    colours: Sequence[str] | None = None,
    others: npt.ArrayLike = (),
) -> list[Annotation]:
    """Names points where there is room, the most crowded first and each as near as can be.

    A name that would cover another or leave the panel is left out, and how many are is written into the corner.

    Args:
        ax: with its limits, in a figure that has been laid out for good (`canvas.settle`).
        x, y: [n] in data coordinates; a point that is not finite gets no name.
        colours: n of them; grey without.
        others: [k, 2] further points that names keep off.

    Returns:
        The names that are drawn.
    """
    at = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    finite = np.flatnonzero(np.isfinite(at).all(axis=1))
    chosen = [int(i) for i in finite] if len(finite) <= MOST else []
    scale = ax.figure.dpi / 72
    everything = np.concatenate([at[finite], np.asarray(others, dtype=float).reshape(-1, 2)])
    dots = ax.transData.transform(everything).reshape(-1, 2)
    marks = np.column_stack([dots - DOT / 2 * scale, dots + DOT / 2 * scale])
    if len(chosen) > FEW:
        marks = np.concatenate([marks, [_corner(ax, scale)]])
    drawn = [_name(ax, names[i], at[i], GREY if colours is None else colours[i]) for i in chosen]
    spots = ax.transData.transform(at[chosen]).reshape(-1, 2)
    boxes = _arrange(ax, drawn, spots, marks, scale)
    kept: list[int] = []
    for i in _by_crowd(spots)[::-1]:  # the freest stay
        if _overlap(boxes[i : i + 1], boxes[kept]).sum() > 0 or _outside(boxes[i : i + 1], ax)[0] > 0:
            drawn[i].remove()
        else:
            kept.append(i)
    if len(kept) < len(finite):
        said = f"{len(finite) - len(kept)} of {len(finite)} names left out for want of room"
        ax.text(0.995, 0.005, said, transform=ax.transAxes, ha="right", va="bottom", fontsize=SIZE, color=GREY)
    return [drawn[i] for i in sorted(kept)]


def _corner(ax: Axes, scale: float) -> Floats:
    """The box where the number of names left out is said."""
    right, bottom = ax.bbox.x1, ax.bbox.y0
    return np.array([right - 0.6 * SIZE * 45 * scale, bottom, right, bottom + 1.5 * SIZE * scale])


def _name(ax: Axes, name: str, at: Floats, colour: str) -> Annotation:
    return ax.annotate(
        name, (at[0], at[1]), xytext=(0, 0), textcoords="offset points", fontsize=SIZE, color=colour, ha="center",
        va="center", parse_math=False,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
    )  # fmt: skip


def _arrange(ax: Axes, names: Sequence[Annotation], spots: Floats, marks: Floats, scale: float) -> Floats:
    """Moves every name to its cheapest place; [n, 4] the boxes that they take: left, bottom, right, top in pixels."""
    boxes: Floats = np.full((len(names), 4), np.nan)
    extents = [Text.get_window_extent(name) for name in names]  # of the text alone, without the line to its point
    for _ in range(ROUNDS):
        for i in _by_crowd(spots):
            there = np.delete(boxes, i, axis=0)
            taken = np.concatenate([marks, there[~np.isnan(there[:, 0])]])
            width, height = extents[i].width + 2 * scale, extents[i].height + scale
            offsets = _offsets(width, height, scale)
            tried = np.column_stack([spots[i] + offsets, spots[i] + offsets])
            tried += np.array([-width, -height, width, height]) / 2
            rings = np.append(np.zeros(len(CORNERS)), np.repeat(np.arange(len(RINGS)), DIRECTIONS))
            price = _overlap(tried, taken) + 2 * _outside(tried, ax) + rings * width * height / 50
            best = int(np.argmin(np.round(price, 6)))
            boxes[i] = tried[best]
            names[i].set_position(tuple(offsets[best] / scale))
            patch = names[i].arrow_patch
            if patch is not None:
                patch.set_visible(bool(rings[best] > 0))  # near enough, it needs no line
    return boxes


def _by_crowd(spots: Floats) -> list[int]:
    """The most crowded first: by the distance to the three nearest."""
    near = [np.sort(np.hypot(*(spots - spot).T))[1:4].sum() for spot in spots]
    return [int(i) for i in np.argsort(near, kind="stable")]


def _offsets(width: float, height: float, scale: float) -> Floats:
    """[places, 2] from the point to the middle of its name, pixels."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    distance = np.repeat(RINGS, DIRECTIONS) * scale
    dx = np.tile(np.cos(angles), len(RINGS)) * (distance + width / 2 * np.tile(np.abs(np.cos(angles)), len(RINGS)))
    dy = np.tile(np.sin(angles), len(RINGS)) * (distance + height / 2)
    beside = CORNERS * (np.array([width, height]) / 2 + CLEAR * scale)
    return np.concatenate([beside, np.column_stack([dx, dy])])


def _overlap(boxes: Floats, taken: Floats) -> Floats:
    """Area that each box shares with those taken: [k, 4] and [t, 4] to [k], square pixels."""
    wide = np.minimum(boxes[:, None, 2], taken[None, :, 2]) - np.maximum(boxes[:, None, 0], taken[None, :, 0])
    tall = np.minimum(boxes[:, None, 3], taken[None, :, 3]) - np.maximum(boxes[:, None, 1], taken[None, :, 1])
    return np.asarray((wide.clip(0) * tall.clip(0)).sum(axis=1))


def _outside(boxes: Floats, ax: Axes) -> Floats:
    """Area of each box that lies outside of the panel: [k], square pixels."""
    frame = np.array([[ax.bbox.x0, ax.bbox.y0, ax.bbox.x1, ax.bbox.y1]])
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    rest = area - _overlap(boxes, frame)
    return np.asarray(np.where(rest > 1e-6 * area, rest, 0.0))  # not the rounding of what lies inside
