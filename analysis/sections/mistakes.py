"""Largest errors of the best cells."""

from analysis.results import Results
from analysis.sections.parts import WITHOUT, Section
from analysis.store.mistakes import load_mistakes

PLACE = 130
TITLE = "Largest errors"
LOOK = (
    "A person should look at each of these: the label may be wrong, or the network may have looked at something else. "
    "Of each task, the negatives that the network scores highest and the positives that it scores lowest; label as "
    "given, score as evaluated. Where a study has several images, its highest scored one."
)
PRIVACY = (
    "These images and the maps are of patients: pass this page on only to whom you may show them. images=false "
    "makes the report without them, and with tracking.errors=0 runs store no errors."
)


def section(results: Results) -> Section:
    """The errors with their X-rays; phantoms need no word on privacy."""
    if not results.images:
        return Section(TITLE, [], absent=WITHOUT)
    mistakes = load_mistakes(results.settings.tracking.uri, results.cells)
    if not any(cell.shown for cell in mistakes.cells):
        return Section(TITLE, [], absent="There is none to show.", lead=mistakes.problems)
    private = [] if results.cells["data_generated"].all() else [PRIVACY]
    return Section(TITLE, [], lead=[LOOK, *private, *mistakes.problems], mistakes=mistakes.cells)
