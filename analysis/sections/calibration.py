"""Are the scores probabilities?"""

import pandas as pd

from analysis.figures import curves as figures
from analysis.questions import calibration
from analysis.questions.curves import choose
from analysis.results import Results
from analysis.sections.auroc import CELL
from analysis.sections.notes import notes
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import count, heading, number, shown

PLACE = 100
MAXIMUM = (
    "Scores are of studies, the maximum over a study's views. It grows with every further view, so that it is no "
    "probability even where that of an image is one."
)
"""What must be said of the calibration of scores that were put together by their maximum."""


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`calibration`."""
    made = calibration.calibration_table(results.cells, results.replicates.source, level=results.settings.level)
    return {"calibration": made}


def section(results: Results) -> Section:
    """Calibration curves of the best networks by validation, and the scores of every cell."""
    rule, source, raw = results.cells.iloc[0], results.replicates.source, results.tables["calibration"]
    maximum = [MAXIMUM] if (rule["evaluation.level"], rule["evaluation.views"]) == ("study", "max") else []
    display = calibration_display(raw)
    about = [*maximum, calibration.NOTE, *notes(results)]
    folded = f"Brier score and calibration error ({count(len(display), 'row')})"
    table = Table("calibration", raw, display, about, folded=folded)
    models, chosen = choose(results.cells)
    if source is None or not models:
        return Section("Calibration", [table], lead=[chosen])
    points = calibration.curves_table(results.cells, models, source, level=results.settings.level)
    if points.empty:
        return Section("Calibration", [table], lead=[chosen])
    made = figures.calibration_figure(points, [*results.heads, chosen, *maximum], results.form)
    picture = Picture("calibration", made, points, "Observed frequency against mean score")
    return Section("Calibration", [table], [picture])


def calibration_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: Brier score and expected calibration error of each task, and their means over the tasks."""
    rows = []
    for _, cell in table.groupby("cell", sort=False):
        row: dict[str, str] = {}
        for word, column in (("Brier", "brier"), ("ECE", "ece")):
            row[f"{word}, mean"] = number(cell[column].mean(skipna=False))
            titles = [f"{word}, {heading(str(task)).lower()}" for task in cell["task"]]
            row |= dict(zip(titles, map(number, cell[column]), strict=True))
        rows.append(row)
    return shown(table.drop_duplicates("cell"), CELL).join(pd.DataFrame(rows))
