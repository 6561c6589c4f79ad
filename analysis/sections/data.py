"""The card of the data behind the cells."""

import math
from typing import Any

import pandas as pd

from analysis.results import Results
from analysis.sections.parts import Section, Table
from analysis.tables import Columns, count, heading, number, shown, whole

PLACE = 140
GROUPS = {"views": "View", "ap_pa": "Projection", "sex": "Sex", "age": "Age, years"}
"""Names of what a data card counts."""
AGES = {"known": "known", "mean": "mean", "sd": "SD", "low": "lowest", "high": "highest"}
FILTERED: Columns = {
    "Data": "fingerprint",
    "Filter": "filter",
    "Split": "split",
    "Left out because": "reason",
    "Images": ("images", whole),
    "Patients with none left": ("patients", whole),
}


def section(results: Results) -> Section:
    """What was trained and tested on, and what was left out."""
    cards = results.cards
    about = [*cards.sentences, *cards.problems]
    labels = labels_display(cards.labels)
    folded = f"Labels as given, by label and split ({count(len(labels), 'row')})"
    tables = [
        Table("data_card_splits", cards.splits, splits_display(cards.splits), about),
        Table("data_card", cards.labels, labels, about, folded=folded),
        Table("data_card_filtered", cards.filtered, _one_set(shown(cards.filtered, FILTERED)), about),
    ]
    absent = "" if len(cards.splits) else "No data card can be shown."
    return Section("Data", tables, absent=absent, lead=about)


def splits_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a fact about the data, one column a split."""
    splits = list(dict.fromkeys(table["split"]))
    rows = []
    for (fingerprint, group), facts in table.groupby(["fingerprint", "group"], sort=False):
        values = {(row["item"], row["split"]): row["value"] for row in facts.to_dict("records")}
        for item in dict.fromkeys(facts["item"]):
            word = AGES[str(item)] if group == "age" else item
            title = f"{GROUPS[str(group)]}: {word}" if group else str(item).capitalize()
            cells = {split: _fact(str(group), item, values.get((item, split))) for split in splits}
            rows.append({"Data": str(fingerprint), "": title} | cells)
    return _one_set(pd.DataFrame(rows))


def labels_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a label and split, the splits of a label together: how many images carry which value."""
    rows = []
    for (fingerprint, task), splits in table.groupby(["fingerprint", "task"], sort=False):
        for split, counts in splits.groupby("split", sort=False):
            given = {value.capitalize(): whole(n) for value, n in zip(counts["value"], counts["count"], strict=True)}
            rows.append({"Data": str(fingerprint), "Label": heading(str(task)), "Split": str(split)} | given)
    return _one_set(pd.DataFrame(rows))


def _fact(group: str, item: Any, value: float | None) -> str:
    """A count with its thousands apart, or years of age; a word that a split does not have is there 0 times."""
    if group == "age" and item != "known":
        return number(math.nan if value is None else value, 1)
    return whole(int(value or 0))


def _one_set(display: pd.DataFrame) -> pd.DataFrame:
    """Without the column that tells sets apart, where there are not several."""
    return display if len(set(display.get("Data", []))) != 1 else display.drop(columns="Data")
