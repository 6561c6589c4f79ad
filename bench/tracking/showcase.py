"""What of an experiment is for people: its description, its summary run, its registered model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from analysis.store.io import SUMMARY_TAG
from bench.tracking.server import MissingError, Server, translated
from bench.tracking.spool import Run
from bench.tracking.study import NOTE, Published, description, refreshed, tags

SUMMARY = "summary"
"""Name of the run that holds the report."""
ALIAS = "best"
DIGEST_TAG = "digest"


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    number: str
    tags: Mapping[str, str]


class Showcase:
    """The face of one experiment of a tracking store. Every method raises UnavailableError where it does not answer."""

    def __init__(self, server: Server) -> None:
        self._server, self._client = server, server.client

    def describe(self, published: Published) -> None:
        """Writes description and views anew; what a person wrote below the description stays."""
        server = self._server
        with translated():
            old = self._client.get_experiment(server.experiment_id).tags.get(NOTE, "")
            new = refreshed(old, description(server.experiment, server.experiment_id, published))
            for key, value in (tags() | {NOTE: new}).items():
                self._client.set_experiment_tag(server.experiment_id, key, value)

    def summary(self, marks: Mapping[str, str]) -> str:
        """The id of the summary run, made where there is none, with these tags."""
        found, now = self._summaries(), round(time.time() * 1000)
        run_id = found[0].id if found else self._server.create_run(SUMMARY, {SUMMARY_TAG: "true"}, now)
        self._server.log(run_id, tags=marks)
        self._server.end(run_id, "FINISHED", now)
        return run_id

    def settled(self, summary: str) -> bool:
        """Return whether this is the summary run that stays: the oldest; others, made at the same time, are deleted."""
        found = self._summaries()
        for other in found[1:]:
            self._server.remove(other.id, SUMMARY_TAG)
        return summary in [run.id for run in found[:1]]

    def _summaries(self) -> list[Run]:
        return sorted(self._server.runs(**{SUMMARY_TAG: "true"}), key=lambda run: (run.started, run.id))

    def replace_folder(self, run_id: str, folder: Path, path: str) -> None:
        """Stores a folder as the run's artifacts below `path`, and removes what lay there and is not in it."""
        with translated():
            self._client.log_artifacts(run_id, str(folder), path)
            store = get_artifact_repository(self._client.get_run(run_id).info.artifact_uri, self._server.uri)
            kept = {f"{path}/{file.relative_to(folder).as_posix()}" for file in folder.rglob("*") if file.is_file()}
            for old in self._files(run_id, path):
                if old not in kept:
                    store.delete_artifacts(old)  # type: ignore[no-untyped-call]  # mlflow's

    def _files(self, run_id: str, path: str) -> list[str]:
        files: list[str] = []
        for item in self._client.list_artifacts(run_id, path):
            files += self._files(run_id, item.path) if item.is_dir else [item.path]
        return files

    def version(self, name: str) -> Version | None:
        """The version of a registered model that is called the best; None where there is none."""
        try:
            with translated():
                number = self._client.get_registered_model(name).aliases.get(ALIAS)
                if number is None:
                    return None
                found = self._client.get_model_version(name, number)
        except MissingError:
            return None
        return Version(name, str(found.version), found.tags)

    def register(
        self,
        name: str,
        run_id: str,
        save: Callable[[Path, Model], None],
        folder: Path,
        marks: Mapping[str, str],
        about: str,
    ) -> Version:
        """Logs a model under a run, and makes it the best version of a registered one.

        Args:
            name: in the registry; made where it is not there.
            save: writes MLflow's folder of the model, and raises where it must not be registered.
        """
        client = self._client
        with translated():
            logged = client.create_logged_model(self._server.experiment_id, "model", run_id, tags=dict(marks))
        try:
            save(folder, Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id))
            with translated():
                client.log_model_artifacts(logged.model_id, str(folder))
        except BaseException:
            with translated():
                client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
            raise
        with translated():
            client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            made = client.create_model_version(  # a source models:/<id> would be looked up in MLflow's global store
                name, logged.artifact_location, run_id, dict(marks), description=about, model_id=logged.model_id
            )
            client.set_registered_model_alias(name, ALIAS, made.version)
        return Version(name, str(made.version), marks)
