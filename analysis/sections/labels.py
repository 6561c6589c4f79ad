"""Label efficiency: how many times the labels pretraining is worth."""

import numpy as np
import pandas as pd

from analysis.axes import AXES
from analysis.figures import along as figures
from analysis.figures.canvas import interval_note
from analysis.questions import labels
from analysis.questions.seeds import seed_note
from analysis.results import Results
from analysis.sections.notes import notes
from analysis.sections.parts import Picture, Section, Table
from analysis.statistics.auroc import Floats
from analysis.tables import Columns, number, shown, whole

PLACE = 45
TITLE = "Label efficiency"
SAME = "All networks were trained on the same number of patients: +sweeps=fractions varies it."
UNKNOWN = "The runs' data cards do not say on how many patients each was trained."
COLUMNS: Columns = {
    "Architecture": "arch",
    "Trained": "adapt",
    "Patients": ("patients", whole),
    "Worth": "estimate",
    "Low": "low",
    "High": "high",
}


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`label_efficiency`; without rows where the numbers of training patients do not differ."""
    every, share = results.every, [axis for axis in results.varied if axis.column in labels.SHARE]
    if not share:
        return {"label_efficiency": pd.DataFrame(columns=labels.COLUMNS)}
    fixed = [axis for axis in AXES if axis in results.varied and axis.column not in (*labels.SHARE, "adapt")]
    kept = np.ones(len(every.groups), dtype=bool)
    for axis in fixed:
        kept &= (every.groups[axis.column] == results.varied[axis][0]).to_numpy(dtype=bool)
    rows = np.flatnonzero(kept)
    groups, grouped = every.groups.iloc[rows].reset_index(drop=True), every.grouped.take(rows)
    found = labels.curves(groups, grouped, _patients(results, groups))
    return {"label_efficiency": labels.efficiency_table(found, grouped, level=results.settings.level)}


def section(results: Results) -> Section:
    """AUROC against training patients, and what pretraining is worth."""
    raw = results.tables["label_efficiency"]
    worth = raw[raw["statistic"] == labels.WORTH]
    texts = worth.assign(
        patients=worth["patients"].astype(int),
        **{name: [_times(*row) for row in worth[[name, "smallest", "largest"]].to_numpy(dtype=float)]
           for name in ("estimate", "low", "high")},
    )  # fmt: skip
    table = Table(
        "label_efficiency", raw, shown(texts, COLUMNS), [labels.NOTE, seed_note(results.groups), *notes(results)]
    )
    if raw["patients"].nunique() < 2:
        varied = any(axis.column in labels.SHARE for axis in results.varied)
        return Section(TITLE, [table], absent=UNKNOWN if varied else SAME)
    points = figures.patients_table(raw)
    names = {way: f"Training patients, adapt={way}" for way in points["panel"]}
    about = [*results.heads, interval_note(raw[raw["statistic"] == labels.AUROC]).replace("Bars", "Bands, bars")]
    drawn = figures.figure(points, names, about, results.form, log=True)
    return Section(TITLE, [table], [Picture("label_efficiency", drawn, points, "Mean AUROC against training patients")])


def _patients(results: Results, groups: pd.DataFrame) -> Floats:
    """The training patients of each network, by the data card of its first seed."""
    splits, cells = results.cards.splits, results.every.cells
    cards = splits[(splits["split"] == "train") & (splits["item"] == "patients")].set_index("fingerprint")["value"]
    used = dict(zip(cells["cell"], cells["data_used"], strict=True))
    firsts = [used[cell.split("+")[0]] for cell in groups["cell"]]
    return np.array([cards.get(fingerprint, np.nan) for fingerprint in firsts], dtype=np.float64)


def _times(value: float, smallest: float, largest: float) -> str:
    """`3.2`, or the bound that is all that can be said."""
    if np.isinf(value):
        return f"> {number(largest, 1)}"
    return f"< {number(smallest, 1)}" if value == 0 else number(value, 1)
