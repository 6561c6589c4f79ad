"""What the report is made of: sections of tables and pictures."""

from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from analysis.store.maps import ActivationMap
from analysis.store.mistakes import CellMistakes
from analysis.tables import Cell, cells

WITHOUT = "Left out by images=false."
"""Why a section of X-rays is empty."""


@dataclass(frozen=True)
class Table:
    """One table: `name` is its file's, `raw` goes into the CSV, `display` before readers.

    A `folded` table is behind that line until a reader opens it. `strong` says which cells of `display` are bold: a
    frame of bool with the same shape, or None.
    """

    name: str
    raw: pd.DataFrame
    display: pd.DataFrame
    notes: list[str]
    folded: str = ""
    strong: pd.DataFrame | None = None

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells of `display`, for a page."""
        return cells(self.display, self.strong)


@dataclass(frozen=True)
class Picture:
    """One figure and the points drawn in it."""

    name: str
    figure: Figure
    points: pd.DataFrame
    alt: str


@dataclass(frozen=True)
class Section:
    """What stands under one heading; `absent` says why there is nothing, where that is so.

    `lead` stands above everything else, and `maps` and `mistakes` are images that are on the page only.
    """

    title: str
    tables: list[Table]
    pictures: list[Picture] = field(default_factory=list)
    absent: str = ""
    lead: list[str] = field(default_factory=list)
    maps: list[ActivationMap] = field(default_factory=list)
    mistakes: list[CellMistakes] = field(default_factory=list)
