"""A tracking store over MLflow's client: the only door to it in `bench`."""

import gc
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from analysis.errors import AnalysisError
from analysis.store.answers import absent, deleted
from analysis.store.uris import ARTIFACTS, first_line, local_path, mask, resolve_uri, sqlite_file
from bench.errors import TrackingError
from bench.tracking.answers import AbsentError as AbsentError
from bench.tracking.answers import MissingError as MissingError
from bench.tracking.answers import RefusedError as RefusedError
from bench.tracking.answers import UnavailableError as UnavailableError
from bench.tracking.answers import translated as translated
from bench.tracking.copies import copies
from bench.tracking.databases import check_answer, check_there, follow, prepared
from bench.tracking.spool import NAME_TAG, Run
from bench.tracking.study import NOTE, description, tags

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Of MLflow's client, where the user's environment sets none. Its own patience (7 retries of up to 120 s, pauses
doubling) holds one call up for many minutes; what fails here is tried again later, from the spool."""
PER_CALL = 100
"""MLflow's limit on the params, and on the tags, of one log_batch; it takes 1,000 metrics."""
AT_ONCE = 4
"""Questions of one process at a time: `mlflow server` has four workers where nothing else is said."""
PAGE = 250
"""Runs of one answer: a busy server works for seconds on a thousand, and MLFLOW_HTTP_REQUEST_TIMEOUT is over."""


@dataclass(frozen=True)
class Point:
    """One value of a metric; `time` in milliseconds since 1970."""

    key: str
    value: float
    time: int
    step: int


def _run(run: MlflowRun) -> Run:
    return Run(run.info.run_id, run.info.status, run.info.start_time, run.data.tags, run.data.params, run.data.metrics)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """MLflow makes 130 objects a run, and all are needed: the cyclic collector, called each time, doubles the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


logger = logging.getLogger(__name__)


class Server:
    """One experiment of a tracking store.

    Every method raises UnavailableError where the store does not answer, RefusedError where it says no.

    Args:
        create: whether both are made where they are not there; else nothing is written.

    Attributes:
        absent: that there is no such experiment, where `create` is false; runs are found by their ids all the same.

    Raises:
        TrackingError: it cannot be reached or made; AbsentError where it is not there and `create` is false.
    """

    def __init__(self, uri: str, experiment: str, *, create: bool = True) -> None:
        for name in ("mlflow", "alembic"):  # the migration of a fresh store prints a hundred lines
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # prints a traceback, and raises as well
        for key, value in SETTINGS.items():
            os.environ.setdefault(key, value)
        self.uri, self.experiment, self.absent = resolve_uri(uri), experiment, ""
        try:
            check_answer(self.uri)
            if not create:
                check_there(self.uri)
            with prepared(self.uri, create=create), translated():
                self._client = mlflow.MlflowClient(self.uri, registry_uri=self.uri)
                self.experiment_id = self._experiment(create=create)
        except (RefusedError, AbsentError) as error:
            raise type(error)(mask(f"tracking.uri={self.uri}: {error}")) from None
        except (TrackingError, AnalysisError, OSError, sqlite3.Error, ImportError) as error:  # ImportError: a driver
            raise TrackingError(
                mask(
                    f"tracking.uri={self.uri} cannot be used: {first_line(error)}. With tracking.offline=true cells "
                    "are recorded on this machine only, and `python -m bench.sync` brings them in later"
                )
            ) from None

    def _experiment(self, *, create: bool) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        if found is not None and found.lifecycle_stage != "active":
            raise RefusedError(deleted(self.experiment, found.experiment_id, self.uri))
        file = sqlite_file(self.uri)
        if found is not None:
            if create and file is not None and (new := follow(file, found.artifact_location)):
                logger.warning("the project folder was moved: artifacts of %s are now in %s", self.experiment, new)
            return str(found.experiment_id)
        if not create:
            there = absent(self.experiment, [known.name for known in self._client.search_experiments()])
            self.absent = mask(f"tracking.uri={self.uri}: {there}")
            return ""
        location = None
        if file is not None:  # beside the database, not in whichever folder the command was typed
            location = (file.parent / ARTIFACTS / self.experiment).as_uri()
        try:
            made = self._client.create_experiment(self.experiment, artifact_location=location, tags=tags())
        except MlflowException:
            found = self._client.get_experiment_by_name(self.experiment)
            if found is None:
                raise
            return str(found.experiment_id)  # another worker's, made at the same moment
        self._client.set_experiment_tag(made, NOTE, description(self.experiment, made))  # links need its id
        return str(made)

    @property
    def client(self) -> mlflow.MlflowClient:
        """MLflow's own, for `bench.tracking.showcase`."""
        return self._client

    def runs(self, **tags: str) -> list[Run]:
        """The runs with these tags, or all, latest first; PAGE at a time."""
        if self.absent:
            return []
        with _collector_paused():
            return self._search(" and ".join(f"tags.{key} = '{value}'" for key, value in tags.items()))

    def _search(self, wanted: str) -> list[Run]:
        found: list[Run] = []
        token: str | None = None
        with translated():
            while True:
                page = self._client.search_runs(
                    [self.experiment_id], wanted, max_results=PAGE,
                    order_by=["attributes.start_time DESC"], page_token=token,
                )  # fmt: skip
                found += map(_run, page)
                token = page.token
                if not token:
                    return found

    def cells(self) -> list[Run]:
        """The runs of all cells, a cell's latest first; a server of several processes is asked several things at once.

        A cell is a hash, and its first digit says which question it belongs to.
        """
        if self.absent:
            return []
        wanted = (f"tags.cell LIKE '{digit}%'" for digit in "0123456789abcdef")
        with _collector_paused(), ThreadPoolExecutor(AT_ONCE) as pool:
            return list(chain.from_iterable(pool.map(self._search, wanted)))

    def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            MissingError: there is none, or it was deleted.
        """
        with translated():
            run = self._client.get_run(run_id)
        if run.info.lifecycle_stage != "active":
            raise MissingError(f"run {run_id} was deleted")
        return _run(run)

    def create_run(self, name: str, tags: Mapping[str, str], started: int) -> str:
        """The id of a new run called `name`, with these `tags`; `started` in milliseconds since 1970."""
        with translated():
            run = self._client.create_run(self.experiment_id, started, {**tags, NAME_TAG: name})
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Logs; a point that is there already is not doubled, a param of that value neither.

        Args:
            params: texts by name; MLflow refuses another value of one that is there.
            tags: texts by name; a new value replaces the old one.
        """
        metrics = [Metric(point.key, point.value, point.time, point.step) for point in points]
        pairs = [Param(key, value) for key, value in (params or {}).items()]
        marks = [RunTag(key, value) for key, value in (tags or {}).items()]
        with translated():
            for start in range(0, max(len(metrics), len(pairs), len(marks)), PER_CALL):
                part = slice(start, start + PER_CALL)
                self._client.log_batch(run_id, metrics=metrics[part], params=pairs[part], tags=marks[part])

    def reopen(self, run_id: str) -> None:
        """Marks a run as RUNNING."""
        with translated():
            self._client.update_run(run_id, status="RUNNING")

    def end(self, run_id: str, status: str, ended: int) -> None:
        """Marks the run `run_id` as ended with a `status` of MLflow's words; `ended` in milliseconds since 1970."""
        with translated():
            self._client.set_terminated(run_id, status, ended)

    def upload(self, run_id: str, root: Path, path: str) -> None:
        """Stores the file `root / path` as the artifact `path` of the run `run_id`, over one that is there.

        Raises:
            UnavailableError: also where the artifact store's own client fails.
            TrackingError: the server's answer.
        """
        parent = str(Path(path).parent)
        try:
            with translated():
                self._client.log_artifact(run_id, str(root / path), None if parent == "." else parent)
        except TrackingError:
            raise
        except Exception as error:  # noqa: BLE001  # S3's, Google's and Azure's clients have errors of their own
            raise UnavailableError(first_line(error)) from None

    def artifacts(self, run_id: str, folder: str) -> list[str]:
        """Paths of the files in a folder of a run's artifacts, in their order."""
        with translated():
            return sorted(item.path for item in self._client.list_artifacts(run_id, folder) if not item.is_dir)

    def download(self, run_id: str, path: str) -> Path:
        """A copy of an artifact, kept while this process lasts; the file itself if the store is on this machine."""
        with translated():
            here = local_path(self._client.get_run(run_id).info.artifact_uri)
            if here is not None and (here / path).exists():
                return here / path
            return Path(self._client.download_artifacts(run_id, path, copies(run_id)))

    def untag(self, run_id: str, key: str) -> None:
        """Removes the tag `key` of the run `run_id`.

        Raises:
            MissingError: there is no such run, or no such tag.
        """
        with translated():
            self._client.delete_tag(run_id, key)

    def remove(self, run_id: str, tag: str) -> None:
        """Deletes the run `run_id`; where this user may not, it ends as KILLED and without the `tag` it is found by."""
        try:
            with translated():
                self._client.delete_run(run_id)
        except MissingError:
            return
        except RefusedError:
            self.untag(run_id, tag)
            self.end(run_id, "KILLED", round(time.time() * 1000))

    def check_writable(self) -> None:
        """Returns where runs can be recorded; nothing is left of the question.

        Raises:
            RefusedError: naming who may not record, and where.
        """
        key, value = next(iter(tags().items()))
        try:
            with translated():
                there = self._client.get_experiment(self.experiment_id).tags
                self._client.set_experiment_tag(self.experiment_id, key, there.get(key, value))
        except RefusedError as error:
            where = mask(f"experiment {self.experiment} of {self.uri} cannot be recorded in")
            raise RefusedError(f"{where}: {error}. Another can be given as tracking.experiment=NAME") from None
