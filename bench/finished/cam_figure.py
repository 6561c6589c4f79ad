"""Class activation maps beside the X-rays that they are of."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import GREY, MM, RC

PANEL = 48.0
"""Side of an X-ray, mm."""
OPACITY = 0.45
NOTE = (
    "Red speaks for the finding and blue against it, on a scale of each panel's own: its strongest cell is given, in "
    "logits. Colours are interpolated between cells for display only."
)
NOTE_CHARACTERS = 44
"""In a line of the note, per column."""


@dataclass(frozen=True)
class Column:
    """One run's maps.

    Attributes:
        title: of the column.
        images: [studies, crop, crop] uint8, as the run saw them.
        maps: [studies, height, width] in cells of its last map, logits.
        scores: [studies] of record, probabilities.
    """

    title: str
    images: npt.NDArray[np.uint8]
    maps: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float64]


def figure(columns: Sequence[Column], rows: Sequence[str], heading: str) -> Figure:
    """Draw a row for each study: the X-ray, then each run's map over it."""
    wide = len(columns) + 1
    lines = textwrap.wrap(NOTE, NOTE_CHARACTERS * wide)
    with rc_context(RC):
        size = (wide * PANEL * MM, (len(rows) * (PANEL + 6) + 10 + 4 * len(lines)) * MM)
        made = Figure(figsize=size, layout="constrained")
        axes = made.subplots(len(rows), wide, squeeze=False)
        for row, name in enumerate(rows):
            _image(axes[row, 0], columns[0].images[row])
            axes[row, 0].set_title(name, parse_math=False, fontsize=6)
            for column, ax in zip(columns, axes[row, 1:], strict=True):
                overlay(ax, column.images[row], column.maps[row])
                first = f"{column.title}\n" if row == 0 else ""
                ax.set_title(
                    f"{first}score {column.scores[row]:.2f}, strongest {strongest(column.maps[row]):+.2g}",
                    parse_math=False,
                )
        made.suptitle(heading, parse_math=False)
        made.supxlabel("\n".join(lines), fontsize=6, color=GREY)
    return made


def overlay(ax: Axes, image: npt.NDArray[np.uint8], cells: npt.NDArray[np.float32]) -> None:
    """Draws one map over its X-ray, each cell over the part of the crop that it belongs to.

    Args:
        image: [crop, crop] uint8.
        cells: [height, width] of the map, logits; the colours end at the strongest, either way.
    """
    _image(ax, image)
    height, width = image.shape
    limit = abs(strongest(cells)) or 1.0  # a map of zeros is drawn as one
    ax.imshow(
        cells, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=OPACITY, interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )  # fmt: skip


def strongest(cells: npt.NDArray[np.float32]) -> float:
    """Return the largest evidence of any cell, for or against."""
    return float(cells.flat[np.abs(cells).argmax()])


def _image(ax: Axes, image: npt.NDArray[np.uint8]) -> None:
    ax.imshow(image, cmap="gray", vmin=0, vmax=255)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
