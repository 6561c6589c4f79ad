"""How every figure looks and how it is saved."""

import base64
import io
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

MM = 1 / 25.4
"""Inches in a millimetre."""
DPI = 300
PRETRAINED = "#0072B2"
SCRATCH = "#D55E00"
"""Blue and vermilion, told apart with every common colour vision.

Source: Okabe and Ito, Color Universal Design, 2008.
"""
GREY = "#666666"
FAMILIES = {
    "DenseNet": ("#0072B2", "o"),
    "ResNet": ("#D55E00", "s"),
    "Inception": ("#CC79A7", "^"),
    "MNASNet": ("#000000", "X"),
    "EfficientNet": ("#009E73", "D"),
    "MobileNet": ("#E69F00", "v"),
}
"""Colour and marker of each family: the colours are told apart with every common colour vision.

Source: Okabe and Ito, Color Universal Design, 2008.
"""
OTHER_FAMILY = (GREY, "P")
RC: Any = {
    "font.size": 8,  # points
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType: text stays text
    "svg.fonttype": "path",  # a browser needs none of our fonts
    "svg.hashsalt": "chextransfer-bench",  # the same figure, the same bytes
}


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
