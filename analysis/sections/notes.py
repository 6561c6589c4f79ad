"""Sentences that belong to many tables: how their intervals were made, and what must not be lost."""

import pandas as pd

from analysis.evaluation import MEAN
from analysis.questions.interval_methods import DELONG
from analysis.questions.seeds import seed_note
from analysis.results import Results
from analysis.tables import count, heading
from analysis.units import AUTO, FEWEST

MIN_POINTS = 3
"""Architectures from which a coefficient can take more than two values."""
FEW_POSITIVES = 50
"""Fewer positives than this in a task call for a word about percentile intervals (docs/statistics.md)."""
UNIT_WHY = {"study": "no patient has several studies here", "patient": "patients have several studies here"}
UNTESTED = "p-values are two-sided; those that are not marked as Holm's are not corrected."


def notes(results: Results) -> list[str]:
    """What every table needs beside it, wherever it is taken."""
    settings, table, rule = results.settings, results.tables["auroc"], results.cells.iloc[0]
    units = count(table["n_units"].iloc[0], results.unit)
    names = list(dict.fromkeys(table.loc[(table["task"] == MEAN) & table["low"].notna(), "method"])) or ["no"]
    joint = f"{settings.resamples} resamples of {units}, the same for every cell"
    lines = [
        f"AUROC by {rule['evaluation.level']}"
        + (f", {rule['evaluation.views']} over its views. " if rule["evaluation.level"] == "study" else ". ")
        + f"Low and High: {100 * settings.level:.4g} % interval of the mean over tasks ({', '.join(names)}; the column "
        + f"method names each row's), from {units if settings.interval == DELONG else joint}."
        + (f" Every other interval over the test set: percentile, from {joint}." if settings.interval == DELONG else "")
    ]
    lines += [f"The unit is {results.unit}: {UNIT_WHY[results.unit]}."] if settings.unit == AUTO else []
    if settings.tasks is not None:
        lines.append(f"Only these tasks were asked for (tasks=): {settings.tasks}; Mean is over them.")
    short = table[table["n_defined"] < table["n_resamples"]]
    short = short[short["n_defined"] > 0]
    if len(short):
        lines.append(
            f"{len(short)} of the {len(table)} intervals rest on fewer resamples, as the others lack a class: "
            f"{short['n_defined'].min()} at the least (n_defined in auroc.csv)."
        )
    return [*results.heads, *lines, *_few_notes(settings.interval, table)]


def over_networks(results: Results) -> list[str]:
    """What every table over networks needs beside it."""
    return [UNTESTED, seed_note(results.groups), *notes(results)]


def _few_notes(interval: str, table: pd.DataFrame) -> list[str]:
    """Tasks without an interval and what is offered instead; tasks that are separable; percentiles of few positives."""
    lines, tasks = [], table[table["n_positive"].notna()]
    none = tasks[tasks["method"].str.startswith("too few")].drop_duplicates("task")
    if len(none):
        said = "; ".join(f"{heading(row['task'])}: {row['method']}" for row in none.to_dict("records"))
        other = [task for task in dict.fromkeys(table["task"]) if task.startswith(f"{MEAN}_")]
        lines.append(
            f"No interval, and none of the mean over tasks: {said}. It takes {FEWEST} of each, counted by unit. "
            + (f"{heading(other[0])} is a row of its own in every table; " if other else "")
            + "tasks=NAME,NAME makes a report on chosen tasks."
        )
    apart = tasks[tasks["estimate"].isin([0.0, 1.0]) & tasks["low"].notna()]
    if len(apart):
        lines.append(
            f"{len(apart)} AUROCs are 0 or 1: no resample can show an error that the data do not, so their bound is "
            "one-sided and exact, from pairs of studies with none in common (Clopper and Pearson 1934)."
        )
    rare = tasks["n_positive"].min()
    if interval == "percentile" and rare < FEW_POSITIVES:
        lines.append(
            f"A task has as few as {rare} positives, and percentile intervals of fewer than {FEW_POSITIVES} cover less "
            "than they say: by simulation 81 to 93 of 100 with 10 to 20 positives; interval=delong covers 95 to 98."
        )
    return lines
