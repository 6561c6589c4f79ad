"""Sections that are mostly a figure: the paper's summary, ROC and calibration curves, the course of training."""

import pandas as pd

from analysis.evaluation import MEAN
from analysis.figures import curves as curve_figures
from analysis.figures import summary as summary_figure
from analysis.figures.canvas import interval_note
from analysis.figures.style import Format
from analysis.page import displays
from analysis.page.parts import Picture, Section, Table
from analysis.questions import calibration
from analysis.questions.associations import of_record
from analysis.questions.curves import Curves
from analysis.tables import count

MAXIMUM = (
    "Scores are of studies, the maximum over a study's views. It grows with every further view, so that it is no "
    "probability even where that of an image is one."
)
"""What must be said of the calibration of scores that were put together by their maximum."""


def summary_section(
    points: pd.DataFrame,
    networks: pd.DataFrame,
    truncation: pd.DataFrame,
    correlations: pd.DataFrame,
    heads: list[str],
    form: Format,
) -> Section:
    """The paper's four panels; left out where none of them can be drawn.

    Args:
        points: what `scatter.points_table` gives.
        networks: what `auroc_table` gives, of groups of seeds.
        truncation: what `truncation_table` gives.
        correlations: what `correlation_table` gives.
        heads: sentences that belong to every copy of a figure.
        form: of the figure.
    """
    title = "The paper's summary figure"
    drawn = summary_figure.table(points, networks, truncation)
    if drawn.empty:
        return Section(title, [], absent=" ".join(summary_figure.ABSENT.values()))
    about = interval_note(networks[networks["task"] == MEAN])
    made = summary_figure.figure(drawn, of_record(correlations), [*heads, about], form)
    alt = "Top-1 against AUROC, families from scratch, pretrained against scratch, truncation"
    return Section(title, [], [Picture("summary", made, drawn, alt)])


def roc_section(curves: Curves, heads: list[str], form: Format) -> Section:
    """ROC curves of the best networks by validation; where there are none, the reason.

    Args:
        curves: of these, `roc` and `chosen`.
        heads: sentences that belong to every copy of a figure.
        form: of the figure.
    """
    if curves.roc.empty:
        return Section("ROC curves", [], absent=curves.chosen)
    made = curve_figures.roc_figure(curves.roc, [*heads, curves.chosen], form)
    return Section("ROC curves", [], [Picture("roc", made, curves.roc, "ROC curve of each task with its band")])


def calibration_section(
    curves: Curves, table: pd.DataFrame, rule: "pd.Series[str]", notes: list[str], heads: list[str], form: Format
) -> Section:
    """Calibration curves of the same networks, and the scores of every cell.

    Args:
        curves: of the report.
        table: what `calibration_table` gives.
        rule: how all cells were evaluated: `evaluation.level`, `evaluation.views`.
        notes: of the table.
        heads, form: as above.
    """
    maximum = [MAXIMUM] if (rule["evaluation.level"], rule["evaluation.views"]) == ("study", "max") else []
    shown = displays.calibration_display(table)
    folded = f"Brier score and calibration error ({count(len(shown), 'row')})"
    tables = [Table("calibration", table, shown, [*maximum, calibration.NOTE, *notes], folded=folded)]
    pictures, lead = [], [] if len(curves.calibration) else [curves.chosen]
    if len(curves.calibration):
        made = curve_figures.calibration_figure(curves.calibration, [*heads, curves.chosen, *maximum], form)
        pictures.append(Picture("calibration", made, curves.calibration, "Observed frequency against mean score"))
    return Section("Calibration", tables, pictures, lead=lead)


def learning_section(curves: Curves, heads: list[str], form: Format) -> Section:
    """Validation AUROC and loss against images seen; where no training is known, the reason.

    Args:
        curves: of these, `learning` and `trained`.
        heads: sentences that belong to every copy of a figure.
        form: of the figure.
    """
    if curves.learning.empty:
        return Section("Learning curves", [], absent=curves.trained)
    made = curve_figures.learning_figure(curves.learning, [*heads, curves.trained], form)
    alt = "Validation AUROC and training loss against images seen"
    return Section("Learning curves", [], [Picture("learning", made, curves.learning, alt)])
