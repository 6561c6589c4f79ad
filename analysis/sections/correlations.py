"""What predicts AUROC: ImageNet top-1 and size, and size the boost."""

import pandas as pd

from analysis.figures import correlation as figures
from analysis.questions.associations import ATTENUATED, ATTENUATION, of_record
from analysis.questions.power import reach_notes
from analysis.results import Results
from analysis.sections.notes import MIN_POINTS, over_networks
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import INTERVAL, Columns, number, p_value, shown, signed

PLACE = 50
NAMES = {"imagenet_top1": "ImageNet top-1", "parameters": "Parameters", "auroc": "AUROC", "boost": "Boost"}
COLUMNS: Columns = {
    "x": ("x", NAMES.__getitem__),
    "y": ("y", NAMES.__getitem__),
    "Cells": "subset",
    "Method": ("method", str.capitalize),
    "n": "n",
    "Worth": ("n_effective", lambda n: number(n, 1)),
    **INTERVAL,
    "Interval": "how",
    "p": ("p_value", p_value),
    "Without one, low": ("loo_low", signed),
    "Without one, high": ("loo_high", signed),
}
ABOUT = (
    "Across architectures, on the mean AUROC over tasks. Intervals and p-values hold where architectures are alike "
    "within families: they count as as many independent ones as the column Worth says (Dutilleul 1993)."
)


def section(results: Results) -> Section:
    """One row a question: the interval that carries most; every method's and interval's row is in the CSV file."""
    raw = results.tables["correlations"]
    attenuated = [ATTENUATION] if raw["note"].str.contains(ATTENUATED).any() else []
    record, mine, pictures = of_record(raw), [ABOUT, *attenuated, *over_networks(results)], []
    enough = raw["n"].max() >= MIN_POINTS
    if enough:
        mine += reach_notes(record, results.settings.level)
        drawn = figures.table(results.points)
        made = figures.figure(drawn, record, results.heads, results.form)
        pictures.append(Picture("correlations", made, drawn, "ImageNet top-1 and size against AUROC"))
    absent = "" if enough else f"A correlation takes {MIN_POINTS} architectures, and there are not as many here."
    return Section("What predicts AUROC", [Table("correlations", raw, display(record), mine)], pictures, absent)


def display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a correlation and interval; all text.

    Args:
        table: what `correlation_table` gives.
    """
    attenuated = table["note"].astype(str).str.contains(ATTENUATED)
    how = table["interval"].astype(str).where(~attenuated, table["interval"].astype(str) + f"; {ATTENUATED}")
    return shown(table.assign(how=how), COLUMNS)
