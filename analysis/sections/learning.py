"""How training went."""

from analysis.figures import curves as figures
from analysis.questions.curves import learning_table
from analysis.results import Results
from analysis.sections.parts import Picture, Section

PLACE = 110
ALT = "Validation AUROC and training loss against images seen"


def section(results: Results) -> Section:
    """Validation AUROC and loss against images seen; where no training is known, the reason."""
    points, trained = learning_table(results.cells, results.source.histories)
    if points.empty:
        return Section("Learning curves", [], absent=trained)
    made = figures.learning_figure(points, [*results.heads, trained], results.form)
    return Section("Learning curves", [], [Picture("learning", made, points, ALT)])
