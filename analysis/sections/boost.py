"""What pretraining adds."""

import pandas as pd

from analysis.evaluation import MEAN
from analysis.figures import boost as figures
from analysis.questions import boosts
from analysis.questions.compare import boost_table
from analysis.questions.seeds import seed_note
from analysis.results import Results
from analysis.sections.notes import notes
from analysis.sections.parts import Picture, Section, Table
from analysis.tables import INTERVAL, Columns, by_task, p_value, shown, signed

PLACE = 40
STATISTICS = {"mean boost": "Mean boost", "slope": "Boost for ten times the parameters"}
POOLED: Columns = {
    "Statistic": ("statistic", STATISTICS.__getitem__),
    "Architectures": "architectures",
    **INTERVAL,
    "p": ("p_value", p_value),
}
ABOUT = "AUROC pretrained minus scratch, untruncated, same architecture and seeds, on the same studies."


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`boost`; `boost_pooled` is among what the verdicts rest on."""
    settings = results.settings
    made = boost_table(results.groups, results.grouped, level=settings.level, interval=settings.interval)
    return {"boost": boosts.corrected(made)}


def section(results: Results) -> Section:
    """The boost of each architecture, over all of them, and against size."""
    raw, pooled = results.tables["boost"], results.tables["boost_pooled"]
    mine = [ABOUT, boosts.NOTE, seed_note(results.groups), *notes(results)]
    means = pooled[pooled["task"] == MEAN]
    means = means.assign(
        architectures=[
            f"{n}, {which}" for n, which in zip(means["n_architectures"], means["architectures"], strict=True)
        ]
    )
    pictures = []
    if len(raw):
        points = figures.table(raw, pooled)
        drawn = figures.figure(raw, points, results.heads, results.form)
        pictures.append(Picture("boost", drawn, points, "Boost of each architecture with its interval, and the mean"))
        points = figures.size_table(raw, results.groups)
        if len(points):
            drawn = figures.size_figure(raw, points, results.heads, results.form)
            pictures.append(Picture("boost_size", drawn, points, "Boost against the number of parameters"))
    return Section(
        "Pretraining boost",
        [
            Table("boost", raw, boost_display(raw), mine),
            Table("boost_pooled", pooled, shown(means, POOLED), mine),
        ],
        pictures,
        "" if len(raw) else "No boost can be computed: no architecture has both a pretrained and a scratch cell.",
    )


def boost_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a pair of cells: mean boost with interval and p-values, then each task's boost; all text.

    Args:
        table: what `boosts.corrected` gives.
    """
    rows = []
    for _, pair in table.groupby(["cell_pretrained", "cell_scratch"], sort=False):
        mean = pair[pair["task"] == MEAN].iloc[0]
        values = list(by_task(pair, signed).items())
        row = {"Architecture": str(mean["arch"]), "Seed": str(mean["seed"])}
        tests = {"p": p_value(mean["p_value"]), "p (Holm)": p_value(mean["p_holm"])}
        rows.append(row | dict(values[:3]) | tests | dict(values[3:]))
    return pd.DataFrame(rows, columns=None if rows else ["Architecture", "Seed", "Mean", "Low", "High", "p"])
