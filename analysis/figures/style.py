"""How every figure looks, how large it is and how it is saved."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MM = 1 / 25.4
"""Inches in a millimetre."""
DPI = 300
GREY = "#666666"
FAMILIES = {
    "DenseNet": ("#0072B2", "o"),
    "ResNet": ("#D55E00", "s"),
    "Inception": ("#CC79A7", "^"),
    "MNASNet": ("#000000", "X"),
    "EfficientNet": ("#009E73", "D"),
    "MobileNet": ("#E69F00", "v"),
}
"""Colour and marker of each family, the same in every figure: told apart with every common colour vision, and in grey.

Source: Okabe and Ito, Color Universal Design, 2008.
"""
OTHER_FAMILY = (GREY, "P")
WIDTHS = {"one": 85.0, "two": 175.0}
"""Of a figure across one column and across two, mm: no wider than the columns of the common two-column journals."""
FONTS = {"sans": ("DejaVu Sans", "dejavusans"), "serif": ("STIXGeneral", "stix")}
"""Font and mathematical font: those that matplotlib brings along, so that a figure looks the same everywhere."""
RC: Any = {
    "font.size": 8,  # points
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType: text stays text, as publishers ask
    "svg.fonttype": "path",  # a browser needs none of our fonts
    "svg.hashsalt": "chextransfer-bench",  # the same figure, the same bytes
}


@dataclass(frozen=True)
class Format:
    """What the settings `figures.*` say of every figure.

    Attributes:
        width: a word of WIDTHS.
        font: a word of FONTS.
    """

    width: str = "two"
    font: str = "sans"

    @property
    def mm(self) -> float:
        """Width of a figure, mm."""
        return WIDTHS[self.width]

    @property
    def narrow(self) -> bool:
        """Whether it goes into one column."""
        return self.width == "one"

    @property
    def rc(self) -> Any:
        """The settings of matplotlib with which it is drawn."""
        font, mathematics = FONTS[self.font]
        small = {"font.size": 7, "axes.titlesize": 7} if self.narrow else {}
        return RC | {"font.family": font, "mathtext.fontset": mathematics} | small


TWO = Format()
"""Across two columns, without serifs."""


def mark(family: object) -> tuple[str, str]:
    """Colour and marker of a family; those that the paper does not have share one."""
    return FAMILIES.get(str(family), OTHER_FAMILY)


def family_handles(families: Iterable[object], **style: Any) -> list[Line2D]:
    """Entries of a legend, one a family in the paper's order; several unknown ones are `other families` together."""
    there = {str(family) for family in families}
    others = sorted(there - set(FAMILIES))
    names = [name for name in FAMILIES if name in there] + others[:1]
    labels = {others[0]: "other families"} if len(others) > 1 else {}
    style = {"linestyle": "none", "markersize": 4.2, **style}
    return [
        Line2D([], [], color=mark(name)[0], marker=mark(name)[1], label=labels.get(name, name), **style)
        for name in names
    ]


def save(figure: Figure, table: pd.DataFrame, folder: Path, name: str) -> None:
    """Writes `name`.pdf, `name`.png (300 dpi) and `name`.csv, the points that were drawn."""
    with rc_context(RC):
        figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
        figure.savefig(folder / f"{name}.png", dpi=DPI)
    table.to_csv(folder / f"{name}.csv", index=False)


def data_uri(figure: Figure) -> str:
    """The figure as an SVG image that a page can hold in itself; nothing in an image is ever run."""
    buffer = io.BytesIO()
    with rc_context(RC):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
