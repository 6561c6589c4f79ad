"""What an experiment says of itself in MLflow's UI: a description, and views of its runs; texts alone, no MLflow here.

MLflow 3.17 has no columns by default other than its own (source, models, dataset). It has views that are saved with
the experiment, listed under "Views" and opened by a link: those that are made here, and linked in the description.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis import axes
from bench.overrides import typed

NOTE = "mlflow.note.content"
VIEW = "mlflow.sharedViewState."
"""Tags of the experiment that MLflow's UI takes for its description and its saved views."""
OWN = "## Notes"
"""Of a description, what stands below this line is the user's and stays."""
OURS = ("Does ImageNet pretraining help", "Transfer learning on chest X-rays")
"""How descriptions begin that the harness made, this version's and an earlier one's."""
CREATED = 1
"""When the views were made, in milliseconds since 1970; MLflow wants a number, and sorts by it."""


def _tag(name: str) -> str:
    return f"tags.`{name}`"


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


NAMES = ("family", "arch", "pretrained", "truncate", "seed", "weights", *(axis.name for axis in axes.AXES))
AXES = [_tag(name) for name in NAMES]
NUMBERS = [
    _metric(name)
    for name in ("test/auroc", "valid/auroc", "parameters", "fit_seconds", "train/images_per_second", "latency_ms")
]


def _state(**changes: Any) -> dict[str, Any]:
    """A view: the cells by test AUROC, with the columns that tell them apart."""
    every = {
        "searchFilter": "tags.cell LIKE '%'",
        "orderByKey": _metric("test/auroc"),
        "orderByAsc": False,
        "selectedColumns": [*AXES, *NUMBERS],
        "columnOrder": [],
        "columnWidths": {},
    }
    return every | changes


def _group(*names: str) -> dict[str, Any]:
    return {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": name} for name in names]}


def _card(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    common = {"uuid": f"study-{name}", "type": kind, "metricSectionId": "study", "deleted": False, "isGenerated": False}
    return common | {"runsCountToCompare": 100} | settings


def _line(name: str, metric: str, title: str) -> dict[str, Any]:
    axis = {"xAxisKey": "step", "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0}
    axis |= {"range": {}, "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False}
    return _card(name, "LINE", metricKey=metric, displayName=title, useGlobalXaxisKey=True, **axis)


def _scatter(name: str, x: str, y: str) -> dict[str, Any]:
    axes = {axis: {"key": key, "type": "METRIC"} for axis, key in (("xaxis", x), ("yaxis", y))}
    return _card(name, "SCATTER", **axes)


CHARTS = [
    _line("valid", "valid/auroc", "Validation AUROC against examples seen"),
    _line("loss", "train/loss", "Training loss against examples seen"),
    _scatter("size", "parameters", "test/auroc"),
    _scatter("cost", "fit_seconds", "test/auroc"),
    _card(
        "axes", "PARALLEL", selectedParams=["arch.name", "pretrained", "truncate"],
        selectedMetrics=["parameters", "valid/auroc", "test/auroc"], showAllRuns=False,
    ),
]  # fmt: skip
SECTIONS = [{"uuid": "study", "name": "Study", "display": True, "isReordered": True}]


@dataclass(frozen=True)
class View:
    """A saved view: its title, what follows its key in a link, and its state."""

    title: str
    query: str
    state: Mapping[str, Any]


VIEWS = {
    "cells": View("Cells, best first", "", _state()),
    "families": View(
        "By family and pretraining (averages)", "",
        _state(groupBy=_group("family", "pretrained"), runsHiddenMode="SHOW_ALL"),
    ),
    "charts": View(
        "Curves and trade-offs", "&compareRunsMode=CHART",
        _state(
            compareRunCharts=CHARTS, compareRunSections=SECTIONS, isAccordionReordered=True, runsHiddenMode="SHOW_ALL"
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """What a description says of a report that was published.

    Attributes:
        run_id: of the summary run.
        created: when the report was made.
        cells: in it.
        verdicts: one line each.
        demonstration: whether weights are stand-ins or images generated.
        model: `name/versions/3`, and what it is; None where there is none.
    """

    run_id: str
    created: str
    cells: int
    verdicts: Sequence[str]
    demonstration: bool
    model: tuple[str, str] | None


def tags() -> dict[str, str]:
    """What an experiment is made with."""
    views = {
        VIEW + key: json.dumps({"name": view.title, "createdAt": CREATED, "state": json.dumps(view.state)})
        for key, view in VIEWS.items()
    }
    return views | {
        "mlflow.experimentKind": "custom_model_development",  # the UI opens runs and metrics, not pages about agents
        "mlflow.experiment.primaryMetric.name": "valid/auroc",
        "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
    }


def description(experiment: str, experiment_id: str, published: Published | None = None) -> str:
    """The Markdown of an experiment's description.

    Args:
        published: the report that is shown; None where none was published.
    """
    page = f"#/experiments/{experiment_id}"
    views = " · ".join(
        f"[{view.title}]({page}/runs?viewStateShareKey={key}{view.query})" for key, view in VIEWS.items()
    )
    return "\n".join(
        [
            "Does ImageNet pretraining help on chest X-rays, for which networks, and by how much? After CheXtransfer "
            "(arXiv 2101.06871). One run is one *cell*: architecture, weights, truncation, seed, protocol and data.",
            "",
            f"**Views:** {views}",
            "",
            *_report(page, published),
            "",
            "| tag | |",
            "|---|---|",
            "| `family`, `arch` | the network; `weights` is its weights' tag |",
            "| `pretrained` | `true`, or `false`: trained from scratch |",
            "| `truncate`, `seed` | final stages removed; of initialisation, order and crops |",
            f"| {', '.join(f'`{axis.name}`' for axis in axes.AXES)} | what else a sweep can vary |",
            "| `data`, `protocol`, `sweep` | what it was trained on, how, and as a part of what |",
            "| `weights_standin`, `data_generated` | `true`: a demonstration, no result |",
            "",
            "| metric | against examples seen |",
            "|---|---|",
            "| `valid/auroc` | mean of the scored tasks on validation images; models are chosen by it |",
            "| `test/auroc`, `test/auroc/<task>` | of the finished cell, on the test set; nothing is chosen by it |",
            "| `train/loss` | of training batches |",
            "",
            "Filter: `tags.family = 'DenseNet' and tags.pretrained = 'true' and tags.truncate = '0'`",
            "",
            "These numbers have no intervals. Intervals, paired differences and verdicts: "
            f"`python -m analysis.report {shlex.quote(f'experiment={experiment}')}`, then `python -m bench.publish "
            f"{typed('tracking.experiment', experiment)}`.",
            "",
            OWN,
            "",
        ]
    )


def _report(page: str, published: Published | None) -> list[str]:
    if published is None:
        return ["No report has been published yet."]
    folder = f"{page}/runs/{published.run_id}/artifacts/report"
    lines = [
        f"**Report:** [index.html]({folder}/index.html), [tables]({folder}/tables), [figures]({folder}/figures), "
        f"[verdicts]({folder}/verdicts.json); {published.cells} cells, made {published.created}."
    ]
    if published.demonstration:
        lines += ["", "*A demonstration, not a reproduction: weights are stand-ins, or images are generated.*"]
    lines += ["", *(f"- {line}" for line in published.verdicts)] if published.verdicts else []
    if published.model is not None:
        path, what = published.model
        lines += ["", f"**Model:** [{path.replace('/versions/', ', version ')}](#/models/{path}), {what}"]
    return lines


def refreshed(old: str, new: str) -> str:
    """A new description, with what a person wrote into the old one below its last line."""
    made, mark, own = old.partition(OWN)
    if not mark and not old.startswith(OURS):
        own = f"\n\n{made}"  # written before the harness came
    return new.rstrip() + (f"\n\n{own.strip()}\n" if own.strip() else "\n")
