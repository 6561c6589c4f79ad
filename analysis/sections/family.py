"""Family against size."""

from analysis.figures import family as figures
from analysis.questions import family
from analysis.results import Results
from analysis.sections.notes import MIN_POINTS, over_networks
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import INTERVAL, Columns, p_value, shown

PLACE = 60
STATISTICS = {
    "eta2": "Share of variance between families",
    "omega2": "The same, adjusted",
    "family_beside_size": "What family adds to size",
    "family_minus_size": "Family minus size, adjusted",
}
"""Names of statistics for readers; others stand as they are."""
COLUMNS: Columns = {
    "Cells": "subset",
    "Statistic": ("statistic", lambda name: STATISTICS.get(name, str(name))),
    **INTERVAL,
    "p": ("p_value", p_value),
    "Networks": "n",
    "Families": "n_families",
    "Interval": "method",
}


def section(results: Results) -> Section:
    """How much of the variance families explain, and more than size does."""
    raw, settings = results.tables["family"], results.settings
    methods = ["; ".join(filter(None, [str(row["method"]), str(row["status"])])) for row in raw.to_dict("records")]
    table = Table("family", raw, shown(raw.assign(method=methods), COLUMNS), [family.NOTE, *over_networks(results)])
    enough = len(raw) > 0 and raw["n"].max() >= MIN_POINTS and raw["n_families"].max() > 1
    absent = "" if enough else f"It takes {MIN_POINTS} architectures of two families, and there are not as many here."
    pictures = []
    if enough:
        drawn = figures.table(results.points)
        about = (
            f"Bars: {100 * settings.level:.4g} % {results.grouped.method} interval over the test set, "
            f"{settings.resamples} resamples, unit {results.unit}."
        )
        made = figures.figure(drawn, [*results.heads, about], results.form)
        pictures.append(Picture("family", made, drawn, "AUROC against size, a line for each family"))
    return Section("Family against size", [table], pictures, absent)
