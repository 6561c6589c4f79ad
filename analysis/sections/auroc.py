"""AUROC of every cell, and how far the seeds of a network lie apart."""

import numpy as np
import pandas as pd

from analysis.evaluation import MEAN
from analysis.figures import auroc as figures
from analysis.questions.best import best_note, with_best
from analysis.questions.compare import auroc_table
from analysis.questions.seeds import spread_table
from analysis.results import Results
from analysis.sections.notes import notes
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import NETWORK, Columns, by_task, heading, number, shown

PLACE = 30
ABOUT = "The intervals are about which patients were tested; they hold no variation between training seeds."
CELL: Columns = {**NETWORK, "Truncated": "truncate", "Seed": "seed"}
SEEDS: Columns = {
    **NETWORK,
    "Seeds": "n_seeds",
    "Mean": ("mean", number),
    "SD": ("sd", number),
    "Lowest": ("minimum", number),
    "Highest": ("maximum", number),
}
SEVERAL = "Standard deviation and range over the seeds of a network, on the same test set."


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`auroc` and `seeds`."""
    cells, replicates, level = results.every.cells, results.every.replicates, results.settings.level
    made = auroc_table(cells, replicates, level=level, interval=results.settings.interval)
    made["variant"] = np.repeat(cells["variant"].to_numpy(), len(replicates.tasks))
    return {"auroc": with_best(made, replicates, level=level), "seeds": spread_table(cells, replicates)}


def section(results: Results) -> Section:
    """Every cell with its interval, the best and what ties with it bold."""
    raw, spread = results.tables["auroc"], results.tables["seeds"]
    several = spread[(spread["task"] == MEAN) & (spread["n_seeds"] > 1)]
    about = [ABOUT, best_note(results.settings.level), *notes(results)]
    display, first = auroc_display(raw), raw[raw["variant"] == ""]
    points = figures.table(first)
    drawn = figures.figure(first, points, results.heads, results.form)
    alt = "Mean AUROC of each architecture with its interval, pretrained beside scratch"
    return Section(
        "AUROC",
        [
            Table("auroc", raw, display, about, strong=auroc_strong(raw, display)),
            Table("seeds", spread, shown(several, SEEDS), [SEVERAL, *results.heads]),
        ],
        [Picture("auroc", drawn, points, alt)],
    )


def auroc_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: mean AUROC with its interval, then each task's AUROC; all text.

    Args:
        table: what `auroc_table` gives.
    """
    varied = "variant" in table and table["variant"].any()
    firsts = shown(table.drop_duplicates("cell"), {**CELL, "Differs in": "variant"} if varied else CELL)
    values = [by_task(cell) for _, cell in table.groupby("cell", sort=False)]
    return firsts.join(pd.DataFrame(values))


def auroc_strong(table: pd.DataFrame, display: pd.DataFrame) -> pd.DataFrame:
    """Which cells of `display` are bold: the AUROCs that are tied with the best of their column.

    Args:
        table: what `best.with_best` gives.
        display: what `auroc_display` makes of it.
    """
    titles = ["Mean" if task == MEAN else heading(task) for task in table["task"]]
    tied = [
        dict(zip(cell["title"], cell["tied_with_best"], strict=True))
        for _, cell in table.assign(title=titles).groupby("cell", sort=False)
    ]
    return pd.DataFrame(tied).reindex(columns=display.columns, fill_value=False).astype(bool)
