"""Tables for readers of what was asked across architectures: frames of text, rounded here and in `tables` alone."""

from typing import Any

import pandas as pd

from analysis.evaluation import MEAN
from analysis.tables import number, p_value

STATISTICS = {
    "mean boost": "Mean boost",
    "slope": "Boost for ten times the parameters",
    "eta2": "Share of variance between families",
    "omega2": "The same, adjusted",
    "family_beside_size": "What family adds to size",
    "family_minus_size": "Family minus size, adjusted",
}
"""Names of statistics for readers; others stand as they are."""


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
    """One row a statistic of family and size, with what was resampled for its interval."""
    return _frame(
        [
            {"Cells": str(row["subset"]), "Statistic": _statistic(row)}
            | {"Resampled": "" if pd.isna(row["resampled"]) else str(row["resampled"])}
            | _interval(row)
            | {"p": p_value(row["p_value"]), "Networks": str(row["n"])}
            | {"Families": str(row["n_families"]), "Fit": "" if pd.isna(row["status"]) else str(row["status"])}
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
            | {"Factor": number(row["factor"], 2), "Same choice": number(row["share"], 2)}
            for row in table.to_dict("records")
        ]
    )


def factors_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a rule and kind of mean: the average factor by which parameters fall."""
    return _frame(
        [
            {"Pretrained": _yes(row["pretrained"]), "Rule": str(row["rule"]), "Mean": str(row["mean"])}
            | {"Factor": number(row["estimate"], 2), "Low": number(row["low"], 2), "High": number(row["high"], 2)}
            | {"Networks": str(row["n_networks"]), "Cut": str(row["n_truncated"])}
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
