"""Runs out of MLflow: the only door to it."""

import hashlib
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.axes import AXES
from analysis.errors import AnalysisError
from analysis.store.answers import absent, deleted, explain
from analysis.store.uris import check_reachable, first_line, mask, resolve_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000
"""Runs of one answer of the store."""
FINISHED = "FINISHED"
UNREADABLE = "UNREADABLE"
"""Of a finished cell whose tags somebody edited: no number rests on it, and `failure` says which."""
SUMMARY_TAG = "summary"
"""Of the run that holds a published report (`bench.publish`): no cell, and nothing to report on."""
NUMBER = r"(?i)[-+]?(\d+\.?\d*(e[-+]?\d+)?|nan|inf)"
"""A float as Python writes it."""
COMPETITION = "atelectasis,cardiomegaly,consolidation,edema,pleural_effusion"
"""The five tasks of the paper (PROTOCOL, "Known"), for runs that do not say which they score."""


@dataclass(frozen=True)
class Column:
    """One column of the runs.

    Attributes:
        name: of the column.
        sources: `tag:<key>`, `param:<key>` or `metric:<key>` (its last value); the first that a run has counts.
        kind: what the text is read as: str, int, float or bool.
        default: where a run has none of them; None means that a finished cell must have it.
    """

    name: str
    sources: tuple[str, ...]
    kind: type = str
    default: str | None = None


COLUMNS = (
    Column("arch", ("tag:arch",)),
    Column("family", ("tag:family",)),
    Column("pretrained", ("tag:pretrained",), bool),
    Column("truncate", ("tag:truncate",), int),
    Column("seed", ("tag:seed",), int),
    Column("weights", ("tag:weights",), default=""),
    Column("sweep", ("tag:sweep",), default=""),
    Column("data", ("tag:data", "param:data.name")),
    Column("data_fingerprint", ("tag:data_whole", "tag:data_fingerprint")),
    Column("data_used", ("tag:data_fingerprint",)),
    Column("data_generated", ("tag:data_generated",), bool, "false"),
    Column("weights_standin", ("tag:weights_standin",), bool, "false"),
    Column("protocol", ("tag:protocol", "param:protocol.name"), default=""),
    *(Column(axis.column, (f"tag:{axis.name}", f"param:{axis.keys[-1]}"), default=axis.default) for axis in AXES),
    Column("data.views", ("param:data.views",), default="all"),
    Column("evaluation.tasks", ("param:evaluation.tasks",), default=COMPETITION),
    Column("evaluation.level", ("param:evaluation.level",), default="study"),
    Column("evaluation.views", ("param:evaluation.views",), default="max"),
    Column("git", ("tag:git",), default=""),
    Column("valid_auroc", ("metric:valid/auroc",), float, "nan"),
    Column("parameters", ("metric:parameters",), float, "nan"),
    Column("macs", ("metric:macs",), float, "nan"),
    Column("latency_ms", ("metric:latency_ms",), float, "nan"),
    Column("fit_seconds", ("metric:fit_seconds",), float, "nan"),
)
"""What is read of every finished cell (`data_fingerprint` with all training patients, `data_used` with the share that
was trained on); beside it run_id, name, status, cell, failure, artifacts, protocol_values (the protocol's values, JSON
by key), protocol_settings (fingerprint of those that are no axis) and params (all)."""
AXIS_KEYS = {key for axis in AXES for key in axis.keys}


def load_runs(uri: str, experiment: str, where: str = "") -> pd.DataFrame:
    """Every run of an experiment but its summary, whatever its status: one row a run.

    Args:
        uri: tracking store; a relative SQLite file lies in the project folder.
        where: a filter in MLflow's words, such as "params.`trainer.precision` = 'fp32'".

    Returns:
        run_id, name, status, cell, failure, artifacts (URI), protocol_settings, protocol_values, params and COLUMNS;
        what a run does not say (or not legibly) is None, and a finished cell of which that is so has the status
        UNREADABLE.

    Raises:
        AnalysisError: the store cannot be reached, or has no such experiment.
    """
    with open_store(uri) as client:
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage != "active":
            raise AnalysisError(deleted(experiment, found.experiment_id, mask(resolve_uri(uri))))
        if found is None:
            names = [known.name for known in client.search_experiments()]
            raise AnalysisError(f"{mask(uri)}: {absent(experiment, names)}")
        runs = [run for run in _search(client, found.experiment_id, where) if run.data.tags.get(SUMMARY_TAG) != "true"]
    head = [
        "run_id",
        "name",
        "status",
        "cell",
        "failure",
        "artifacts",
        "protocol_settings",
        "protocol_values",
        "params",
    ]
    return pd.DataFrame(
        [_row(run) for run in runs], columns=[*head, *(column.name for column in COLUMNS)], dtype=object
    )


def load_histories(uri: str, run_ids: Sequence[str], keys: Sequence[str]) -> pd.DataFrame:
    """Every logged value of some metrics: one query a run and metric, so callers say which few runs they need.

    Args:
        keys: metrics; one that a run has not logged gives no rows.

    Returns:
        run_id, key, step, value, by run, key, step and time of logging.

    Raises:
        AnalysisError: the store cannot be reached.
    """
    with open_store(uri) as client:
        points = [
            (run_id, key, point.step, point.timestamp, point.value)
            for run_id in run_ids
            for key in keys
            for point in client.get_metric_history(run_id, key)
        ]
    frame = pd.DataFrame(points, columns=["run_id", "key", "step", "time", "value"])
    return frame.sort_values(["run_id", "key", "step", "time"], kind="stable", ignore_index=True).drop(columns="time")


@contextmanager
def open_store(uri: str) -> Iterator["MlflowClient"]:
    """A client of the store; errors of MLflow become one sentence.

    Raises:
        AnalysisError: the store cannot be reached, or what is done in the block fails there.
    """
    resolved = resolve_uri(uri)
    try:
        check_reachable(resolved)
        client = _client(resolved)
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except (AnalysisError, ImportError) as error:
        raise AnalysisError(f"tracking.uri={mask(uri)} cannot be used: {first_line(error)}") from error
    try:
        yield client
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise AnalysisError(f"tracking.uri={mask(uri)} cannot be used: {explain(error)}") from error


def _client(uri: str) -> "MlflowClient":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a report about patients calls nobody
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # mlflow 3.17 still maps with `noload`, which SQLAlchemy 2.1 deprecates; said once, when the store is first made
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated", DeprecationWarning)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return MlflowClient(tracking_uri=uri)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise AnalysisError(first_line(error)) from error


def _search(client: "MlflowClient", experiment_id: str, where: str) -> Iterator["Run"]:
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], where, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _row(run: "Run") -> dict[str, Any]:
    tags, params = run.data.tags, run.data.params
    row = {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "cell": tags.get("cell"),
        "failure": tags.get("failure", ""),
        "artifacts": run.info.artifact_uri,
    }
    counts = row["status"] == FINISHED and bool(row["cell"])
    kept = {"tag": tags, "param": params, "metric": {key: str(value) for key, value in run.data.metrics.items()}}
    problems = []
    for column in COLUMNS:
        try:
            row[column.name] = _value(column, kept, str(row["name"]), defaults=counts)
        except AnalysisError as error:
            row[column.name] = None  # no number rests on this run; what it says only tells which cell it was to be
            problems.append(str(error))
    if counts and problems:
        row |= {"status": UNREADABLE, "failure": "; ".join(problems)}
    for axis in AXES:  # of a run that stopped early, as far as it is known
        row[axis.column] = axis.default if row[axis.column] is None else row[axis.column]
    protocol = {key: value for key, value in params.items() if key.startswith("protocol.") and key != "protocol.name"}
    row["protocol_values"] = json.dumps(protocol, sort_keys=True)
    row["protocol_settings"] = None  # where a run stopped before it wrote any
    if counts or protocol:
        fixed = {key: value for key, value in protocol.items() if key not in AXIS_KEYS}
        row["protocol_settings"] = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:8]
    row["params"] = params
    return row


def _value(column: Column, kept: dict[str, dict[str, str]], name: str, *, defaults: bool) -> str | int | float | bool:
    found = (kept[kind].get(key) for kind, _, key in (source.partition(":") for source in column.sources))
    text = next((value for value in found if value is not None), column.default if defaults else None)
    if text is None:
        raise AnalysisError(f"run {name} has no {column.sources[0].replace(':', ' ')}")
    if column.kind is str:
        return text
    if column.kind is bool and text in ("true", "false"):
        return text == "true"
    if column.kind is int and re.fullmatch(r"-?\d+", text):
        return int(text)
    if column.kind is float and re.fullmatch(NUMBER, text):
        return float(text)
    wanted = {"bool": "true or false", "float": "a number"}.get(column.kind.__name__, "a whole number")
    raise AnalysisError(f"run {name} has {column.sources[0].replace(':', ' ')}={text}, which is not {wanted}")
