"""Records runs in MLflow: the only import of mlflow in `bench`."""

import logging
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from pytorch_lightning.loggers import MLFlowLogger

from analysis.store import mask, resolve_uri
from bench.errors import TrackingError
from bench.schema import TrackingConfig

SQLITE = "sqlite:///"
PARAMS_PER_CALL = 100
"""MLflow's own limit on one log_batch."""
FAILURE_TAG = "failure"
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # MLflow's UI opens runs and metrics, not pages about agents
    "mlflow.note.content": "Transfer learning on chest X-rays: one run is one cell (architecture, weights, truncation, "
    "seed, protocol, data). Tables with intervals: `python -m analysis.report`.",
}


@dataclass(frozen=True)
class RunState:
    """How far a cell's run has come."""

    run_id: str
    status: str
    metrics: Mapping[str, float]
    failure: str


class Store:
    """One experiment of a tracking store.

    Raises:
        TrackingError: the store cannot be reached or made.
    """

    def __init__(self, config: TrackingConfig) -> None:
        for name in ("mlflow", "alembic"):  # the migration of a fresh store prints a hundred lines
            logging.getLogger(name).setLevel(logging.WARNING)
        self.uri = resolve_uri(config.uri)
        try:
            with self._lock():
                self._client = mlflow.MlflowClient(self.uri)
                self.experiment_id = self._experiment(config.experiment)
        except (MlflowException, OSError) as error:
            raise TrackingError(mask(f"tracking.uri={self.uri} cannot be used: {error}")) from None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Several processes that start on a fresh SQLite file would race in its migration and die."""
        if not self.uri.startswith(SQLITE):
            yield
            return
        path = Path(self.uri.removeprefix(SQLITE))
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            yield

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self.uri.startswith(SQLITE):  # beside the database, not in whichever folder the command was typed
            location = (Path(self.uri.removeprefix(SQLITE)).parent / "mlartifacts" / name).as_uri()
        return str(self._client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))

    def find(self, cell_hash: str) -> RunState | None:
        """The run of a cell: the finished one where there is one, else the latest."""
        runs = self._client.search_runs(
            [self.experiment_id], f"tags.cell = '{cell_hash}'", order_by=["attributes.start_time DESC"]
        )
        states = [_state(run) for run in runs]
        return next((state for state in states if state.status == "FINISHED"), states[0] if states else None)

    @contextmanager
    def run(self, cell_hash: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> Iterator["Record"]:
        """A cell's run, a new one or the one that an earlier attempt left.

        Finished when the block ends, KILLED when it is interrupted, FAILED with the reason as tag and the traceback as
        artifact when it raises; the exception goes on.
        """
        client = self._client
        left = self.find(cell_hash)
        if left is None:
            everything = {**tags, MLFLOW_RUN_NAME: name}
            run_id = client.create_run(self.experiment_id, tags=everything).info.run_id
            pairs = [Param(key, str(value)) for key, value in params.items()]
            for start in range(0, len(pairs), PARAMS_PER_CALL):
                client.log_batch(run_id, params=pairs[start : start + PARAMS_PER_CALL])
        else:
            run_id = left.run_id
            client.update_run(run_id, status="RUNNING")
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in {**tags, FAILURE_TAG: ""}.items()])
        record = Record(client, run_id, self.uri)
        try:
            yield record
        except Exception as error:
            client.set_tag(run_id, FAILURE_TAG, f"{type(error).__name__}: {error}")
            client.log_text(run_id, traceback.format_exc(), "failure.txt")
            client.set_terminated(run_id, "FAILED")
            raise
        except BaseException:
            client.set_terminated(run_id, "KILLED")
            raise
        client.set_terminated(run_id, "FINISHED")


def _state(run: Run) -> RunState:
    return RunState(run.info.run_id, run.info.status, run.data.metrics, run.data.tags.get(FAILURE_TAG, ""))


class _CellLogger(MLFlowLogger):
    """Lightning's logger into a run that somebody else opens and ends."""

    def finalize(self, status: str = "success") -> None:
        """Leaves the run open: training's end is not the cell's, its predictions are still to come."""


@dataclass(frozen=True)
class Record:
    """An open run."""

    client: mlflow.MlflowClient
    run_id: str
    uri: str

    def lightning_logger(self) -> MLFlowLogger:
        """A logger for Lightning's trainer that writes into this run."""
        return _CellLogger(tracking_uri=self.uri, run_id=self.run_id)

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Logs numbers at one training step."""
        now = time.time_ns() // 1_000_000  # milliseconds
        self.client.log_batch(self.run_id, metrics=[Metric(key, value, now, step) for key, value in values.items()])

    def artifact(self, path: str, write: Callable[[Path], None]) -> None:
        """Stores the file that `write` makes under `path` in the run's artifacts."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            write(file)
            parent = str(Path(path).parent)
            self.client.log_artifact(self.run_id, str(file), None if parent == "." else parent)
