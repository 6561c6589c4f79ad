"""The paper's summary figure."""

from analysis.evaluation import MEAN
from analysis.figures import summary as figures
from analysis.figures.canvas import interval_note
from analysis.questions.associations import of_record
from analysis.results import Results
from analysis.sections.parts import Picture, Section

PLACE = 20


def section(results: Results) -> Section:
    """The paper's four panels; left out where none of them can be drawn."""
    title, networks = "The paper's summary figure", results.networks
    drawn = figures.table(results.points, networks, results.tables["truncation"])
    if drawn.empty:
        return Section(title, [], absent=" ".join(figures.ABSENT.values()))
    about = [*results.heads, interval_note(networks[networks["task"] == MEAN])]
    made = figures.figure(drawn, of_record(results.tables["correlations"]), about, results.form)
    alt = "Top-1 against AUROC, families from scratch, pretrained against scratch, truncation"
    return Section(title, [], [Picture("summary", made, drawn, alt)])
