"""ROC curves of the best networks by validation."""

from analysis.figures import curves as figures
from analysis.questions.curves import choose
from analysis.questions.roc import roc_table
from analysis.results import Results
from analysis.sections.parts import Picture, Section

PLACE = 90
TITLE = "ROC curves"


def section(results: Results) -> Section:
    """A panel a task; where there are no curves, the reason."""
    (models, chosen), source = choose(results.cells), results.replicates.source
    if source is None or not models:
        return Section(TITLE, [], absent=chosen)
    points = roc_table(results.cells, models, source, level=results.settings.level)
    if points.empty:
        return Section(TITLE, [], absent=chosen)
    made = figures.roc_figure(points, [*results.heads, chosen], results.form)
    return Section(TITLE, [], [Picture("roc", made, points, "ROC curve of each task with its band")])
