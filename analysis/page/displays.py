"""Tables for readers of what was asked across architectures: frames of text, rounded here and in `tables` alone."""

import math
from typing import Any

import pandas as pd

from analysis.evaluation import MEAN
from analysis.tables import heading, number, p_value

STATISTICS = {
    "mean boost": "Mean boost",
    "slope": "Boost for ten times the parameters",
    "eta2": "Share of variance between families",
    "omega2": "The same, adjusted",
    "family_beside_size": "What family adds to size",
    "family_minus_size": "Family minus size, adjusted",
}
"""Names of statistics for readers; others stand as they are."""
GROUPS = {"views": "View", "ap_pa": "Projection", "sex": "Sex", "age": "Age, years"}
"""Names of what a data card counts."""
AGES = {"known": "known", "mean": "mean", "sd": "SD", "low": "lowest", "high": "highest"}


def seeds_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a network that was trained with several seeds: its mean AUROC and how far the seeds lie apart."""
    rows = table[(table["task"] == MEAN) & (table["n_seeds"] > 1)]
    return _frame(
        [
            _network(row)
            | {"Seeds": str(row["n_seeds"]), "Mean": number(row["mean"]), "SD": number(row["sd"])}
            | {"Lowest": number(row["minimum"]), "Highest": number(row["maximum"])}
            for row in rows.to_dict("records")
        ]
    )


def pooled_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a statistic over all architectures, for the mean over tasks."""
    rows = table[table["task"] == MEAN]
    return _frame(
        [
            {"Statistic": _statistic(row), "Architectures": f"{row['n_architectures']}, {row['architectures']}"}
            | _interval(row)
            | {"p": p_value(row["p_value"])}
            for row in rows.to_dict("records")
        ]
    )


def family_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a statistic of family and size."""
    return _frame(
        [
            {"Cells": str(row["subset"]), "Statistic": _statistic(row)}
            | _interval(row)
            | {"p": p_value(row["p_value"]), "Networks": str(row["n"])}
            | {"Families": str(row["n_families"])}
            | {"Interval": "; ".join(filter(None, [str(row["method"]), str(row["status"])]))}
            for row in table.to_dict("records")
        ]
    )


def truncation_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a truncated network: what it keeps, what it loses, and whether that is shown to be little."""
    rows = table[table["task"] == MEAN]
    return _frame(
        [
            _network(row)
            | {"Truncated": str(row["truncate"]), "Parameters": _millions(row), "Factor": number(row["factor"], 2)}
            | {"Difference": number(row["difference"], signed=True)}
            | {"Low": number(row["low"], signed=True), "High": number(row["high"], signed=True)}
            | {"p": p_value(row["p_value"]), "Worse": _yes(row["worse"]), "Non-inferior": _yes(row["noninferior"])}
            for row in rows.to_dict("records")
        ]
    )


def smallest_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a network and rule: how far it may be cut."""
    return _frame(
        [
            _network(row)
            | {"Rule": str(row["rule"]), "Truncated": str(row["truncate"]), "Parameters": _millions(row)}
            | {"Factor": number(row["factor"], 2)}
            for row in table.to_dict("records")
        ]
    )


def factors_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of mean: the average factor by which parameters can fall."""
    return _frame(
        [
            {"Pretrained": _yes(row["pretrained"]), "Mean": str(row["mean"])}
            | {"Factor": number(row["estimate"], 2), "Low": number(row["low"], 2), "High": number(row["high"], 2)}
            | {"Networks": str(row["n_networks"]), "Families": str(row["n_families"])}
            for row in table.to_dict("records")
        ]
    )


def pareto_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cost and network that no other beats."""
    rows = table[table["on_front"].astype(bool)]
    return _frame(
        [
            {"Cost": str(row["cost"]), "At": f"{row['x']:,.4g}"}
            | _network(row)
            | {"Truncated": str(row["truncate"]), "Mean": number(row["estimate"]), "Low": number(row["low"])}
            | {"High": number(row["high"]), "Share of resamples": number(row["share"], 2)}
            for row in rows.to_dict("records")
        ]
    )


def calibration_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: Brier score and expected calibration error of each task, and their means over the tasks."""
    rows = []
    for _, cell in table.groupby("cell", sort=False):
        first = cell.iloc[0]
        row = _network(first.to_dict()) | {"Truncated": str(first["truncate"]), "Seed": str(first["seed"])}
        for word, column in (("Brier", "brier"), ("ECE", "ece")):
            row[f"{word}, mean"] = number(cell[column].mean(skipna=False))
            titles = [f"{word}, {heading(str(task)).lower()}" for task in cell["task"]]
            row |= dict(zip(titles, map(number, cell[column]), strict=True))
        rows.append(row)
    return _frame(rows)


def splits_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a fact about the data, one column a split.

    Args:
        table: `cards.SPLIT_COLUMNS`.
    """
    splits = list(dict.fromkeys(table["split"]))
    rows = []
    for (fingerprint, group), facts in table.groupby(["fingerprint", "group"], sort=False):
        values = {(row["item"], row["split"]): row["value"] for row in facts.to_dict("records")}
        for item in dict.fromkeys(facts["item"]):
            word = AGES[str(item)] if group == "age" else item
            title = f"{GROUPS[str(group)]}: {word}" if group else str(item).capitalize()
            cells = {split: _fact(str(group), item, values.get((item, split))) for split in splits}
            rows.append({"Data": str(fingerprint), "": title} | cells)
    return _one_set(_frame(rows))


def labels_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a label and split, the splits of a label together: how many images carry which value.

    Args:
        table: `cards.LABEL_COLUMNS`.
    """
    rows = []
    for (fingerprint, task), splits in table.groupby(["fingerprint", "task"], sort=False):
        for split, counts in splits.groupby("split", sort=False):
            given = {value.capitalize(): f"{n:,}" for value, n in zip(counts["value"], counts["count"], strict=True)}
            rows.append({"Data": str(fingerprint), "Label": heading(str(task)), "Split": str(split)} | given)
    return _one_set(_frame(rows))


def filtered_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a filter and split: what was left out, and why.

    Args:
        table: `cards.FILTER_COLUMNS`.
    """
    rows = [
        {"Data": str(row["fingerprint"]), "Filter": str(row["filter"]), "Split": str(row["split"])}
        | {"Left out because": str(row["reason"])}
        | {"Images": f"{row['images']:,}", "Patients with none left": f"{row['patients']:,}"}
        for row in table.to_dict("records")
    ]
    return _one_set(_frame(rows))


def _fact(group: str, item: Any, value: float | None) -> str:
    """A count with its thousands apart, or years of age; a word that a split does not have is there 0 times."""
    if group == "age" and item != "known":
        return number(math.nan if value is None else value, 1)
    return f"{int(value or 0):,}"


def _one_set(display: pd.DataFrame) -> pd.DataFrame:
    """Without the column that tells sets apart, where there are not several."""
    return display if len(set(display.get("Data", []))) != 1 else display.drop(columns="Data")


def _frame(rows: list[dict[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def _network(row: dict[Any, Any]) -> dict[str, str]:
    return {"Architecture": str(row["arch"]), "Pretrained": _yes(row["pretrained"])}


def _statistic(row: dict[Any, Any]) -> str:
    return STATISTICS.get(str(row["statistic"]), str(row["statistic"]))


def _interval(row: dict[Any, Any]) -> dict[str, str]:
    return {
        "Estimate": number(row["estimate"], signed=True),
        "Low": number(row["low"], signed=True),
        "High": number(row["high"], signed=True),
    }


def _millions(row: dict[Any, Any]) -> str:
    return f"{number(row['parameters'] / 1e6, 2)} M"


def _yes(value: Any) -> str:
    return "yes" if value else "no"
