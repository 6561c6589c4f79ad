"""External test sets."""

from pathlib import PurePosixPath

import pandas as pd

from analysis.errors import AnalysisError
from analysis.evaluation import MEAN, Evaluation, Replicates, resample
from analysis.questions import external
from analysis.questions.seeds import group_seeds
from analysis.results import Results, read_evaluation
from analysis.sections.notes import over_networks
from analysis.sections.parts import Section, Table
from analysis.statistics.streams import stream
from analysis.store.artifacts import paths
from analysis.tables import INTERVAL, PLAIN, Columns, p_value, shown, yes
from analysis.units import choose_unit

PLACE = 85
TITLE = "External test sets"
NETWORKS: Columns = {
    "Set": "set",
    "What": "statistic",
    "Architecture": "arch",
    "Pretrained": ("pretrained", yes),
    "Truncated": "truncate",
    **INTERVAL,
    "p": ("p_value", p_value),
    "p (Holm)": ("p_holm", p_value),
}
ORDER: Columns = {
    "Set": "set",
    "x": "x",
    "y": "y",
    "Cells": "subset",
    "Coefficient": "correlation",
    "n": "n_architectures",
    **INTERVAL,
    "p": ("p_value", p_value),
}


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`external`; without rows where no run was evaluated on another set.

    Raises:
        AnalysisError: a set on which no task can be scored.
    """
    settings, cells, source = results.settings, results.cells, results.replicates.source
    assert source is not None  # for the type checker: cells have one
    made = [pd.DataFrame(columns=external.COLUMNS)]
    for name in _sets(results):
        evaluation = read_evaluation(settings, cells, name)
        shared = [task for task, y in zip(evaluation.tasks, evaluation.labels, strict=True) if {0, 1} <= set(y)]
        if not shared:
            raise AnalysisError(f"external set {name}: no task of the report has positives and negatives there")
        sides = [_only(side, shared) for side in (source.evaluation, evaluation)]
        grouped = [_grouped(results, side, f"set {place} {name}") for place, side in enumerate(sides)]
        groups = grouped[0][0]
        made.append(
            external.external_tables(
                name, groups, grouped[0][1], grouped[1][1], level=settings.level, margin=settings.margin,
                n_permutations=settings.permutations, interval=settings.interval, rng=stream(settings.seed, name),
            )
        )  # fmt: skip
    return {"external": pd.concat(made[len(made) > 1 :], ignore_index=True)}


def section(results: Results) -> Section:
    """Per set: AUROC, boost, truncation and drop of each network, and whether their order survives."""
    raw = results.tables["external"]
    mean = raw[raw["task"] == MEAN]
    lines = mean["statistic"].isin([external.CORRELATION, external.ORDER])
    mine = [external.NOTE, *over_networks(results)]
    networks = mean[~lines].astype({"truncate": int})
    levels = networks["statistic"] == external.AUROC
    display = [shown(networks[levels], {**NETWORKS, **PLAIN}), shown(networks[~levels], NETWORKS)]
    order = mean[lines].astype({"n_architectures": int})
    made = [
        Table("external", raw, pd.concat(display, ignore_index=True), mine),
        Table("external_order", order, shown(order, ORDER), mine),
    ]
    return Section(TITLE, made, absent="" if len(raw) else "No run was evaluated on one: data.external=[nih] adds it.")


def _sets(results: Results) -> list[str]:
    """The further sets that every cell has predictions of; where the first has none, no other is asked."""
    uri = results.settings.tracking.uri
    found: set[str] | None = None
    for run in results.cells.to_dict("records"):
        names = {PurePosixPath(path).stem for path in paths(uri, run, "predictions") if path.endswith(".parquet")}
        found = names - {"test", "valid"} if found is None else found & names
        if not found:
            return []
    return sorted(found or [])


def _only(evaluation: Evaluation, tasks: list[str]) -> Evaluation:
    at = [evaluation.tasks.index(task) for task in tasks]
    return Evaluation(evaluation.keys, tuple(tasks), evaluation.labels[at], evaluation.scores[:, at])


def _grouped(results: Results, evaluation: Evaluation, name: str) -> tuple[pd.DataFrame, Replicates]:
    """The networks with their replicates in resamples of their own."""
    settings = results.settings
    unit = choose_unit(evaluation.keys, settings.unit)
    made = resample(
        evaluation, unit=unit, n_resamples=settings.resamples, rng=stream(settings.seed, name),
        stratified=settings.stratified,
    )  # fmt: skip
    return group_seeds(results.cells, made, rng=stream(settings.seed, "seeds" + name))
