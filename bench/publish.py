"""`python -m bench.publish tracking.experiment=NAME report=DIR`: report and best model of an experiment into MLflow.

One summary run holds the report's folder; the model with the best mean validation AUROC of the report's runs is
registered; the experiment's description links to both. Called again, it brings all of them up to date.
"""

import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from analysis.interrupted import run_command
from analysis.store.uris import mask
from bench.command import command
from bench.errors import BenchError, ConfigError, PublishError, TrackingError
from bench.paths import in_project
from bench.schema import PublishConfig

if TYPE_CHECKING:  # help and refusals load neither torch nor MLflow
    from collections.abc import Mapping

    from bench.finished.saved import SavedRun
    from bench.tracking.showcase import Showcase, Version
    from bench.tracking.spool import Run
    from bench.tracking.store import Store
    from bench.tracking.study import Published

console = Console()
CHOSEN_BY = "valid/auroc"
"""Never by the test set: its best cell would look better than it is."""


ROUNDS = 5
"""Times that a report is published which somebody else publishes too, until one summary run holds it; ours."""
COPIED = ("cell", "arch", "pretrained", "truncate", "weights", "weights_standin", "data", "data_generated", "git")
"""Tags of its run that a model version has too."""


@dataclass(frozen=True)
class Report:
    """A written report.

    Attributes:
        folder: of it.
        runs: ids of the cells' runs that it rests on.
        created: when it was made, ISO 8601.
        verdicts: one line each.
    """

    folder: Path
    runs: tuple[str, ...]
    created: str
    verdicts: tuple[str, ...]


def read_report(folder: Path, experiment: str, uri: str) -> Report:
    """What a report's own files say of it; it must be of the experiment in the store `uri`.

    Raises:
        ConfigError: there is no whole report of that experiment.
    """
    words = [f"experiment={experiment}", f"tracking.uri={mask(uri)}", f"out={folder}"]
    again = f"`python -m analysis.report {shlex.join(words)}`"
    try:
        origin = json.loads((folder / "provenance.json").read_bytes())
        verdicts = json.loads((folder / "verdicts.json").read_bytes())
        (folder / "index.html").stat()
    except (OSError, ValueError) as error:
        raise ConfigError(f"report={folder}: no report ({error}); write one with {again}") from None
    if origin["experiment"] != experiment:
        raise ConfigError(
            f"report={folder}: it is of experiment {origin['experiment']}, not of tracking.experiment={experiment}; "
            f"write one with {again}"
        )
    said = tuple(f"{row['sentence']}: **{row['verdict']}**" for row in verdicts["verdicts"])
    return Report(folder, tuple(run["run_id"] for run in origin["runs"]), origin["created"], said)


def choose(runs: "Sequence[Run]") -> "Run | None":
    """The run with the best mean validation AUROC; of equals the one that was begun first. None where none has any."""
    known = [run for run in runs if run.metrics.get(CHOSEN_BY, float("nan")) == run.metrics.get(CHOSEN_BY)]
    return max(known, key=lambda run: (run.metrics[CHOSEN_BY], -run.started), default=None)


def publish(settings: PublishConfig) -> list[str]:
    """Publishes; returns what is said of it, a line each.

    Raises:
        BenchError: there is no such report or store.
        PublishError: the best run's prediction is no model; the report is published all the same.
        TrackingError: a run of the report is not in the store; nothing is published.
    """
    from bench.finished.saved import open_store
    from bench.quiet import quiet
    from bench.tracking.server import MissingError
    from bench.tracking.showcase import Showcase

    quiet()
    report = read_report(in_project(settings.report), settings.tracking.experiment, settings.tracking.uri)
    store = open_store(settings.tracking)
    runs = {run.id: run for run in store.server.runs()}
    gone = [run_id for run_id in report.runs if run_id not in runs]
    if gone:
        raise TrackingError(f"report={report.folder}: its run {gone[0]} is not in the store; write the report anew")
    shown = [runs[run_id] for run_id in report.runs]
    showcase = Showcase(store.server)
    for _ in range(ROUNDS):
        problem: BenchError | None = None
        try:
            summary = showcase.summary({"report_created": report.created, "report_cells": str(len(shown))})
        except MissingError:  # deleted by who published at the same moment
            continue
        try:
            showcase.replace_folder(summary, report.folder, "report")
            said = _publish_model(settings, store, summary, report, shown)
        except BenchError as error:
            problem = error
        if showcase.settled(summary) or not isinstance(problem, MissingError | PublishError | None):
            if problem is not None:
                raise problem
            return [f"report: run {summary}, {len(shown)} cells", said]
    raise TrackingError(f"others publish {settings.tracking.experiment} at the same time: start the same command again")


def _publish_model(
    settings: PublishConfig, store: "Store", summary: str, report: Report, shown: "Sequence[Run]"
) -> str:
    """What is said of the best run's model, which is registered, and named in the experiment's description."""
    from bench.tracking.showcase import Showcase

    showcase = Showcase(store.server)
    try:
        version, said = _model(settings, store, showcase, summary, choose(shown))
    except BenchError as error:
        showcase.describe(_published(summary, report, shown, None))
        raise PublishError(f"the report is published in run {summary}, and no model is registered: {error}") from error
    showcase.describe(_published(summary, report, shown, version))
    return said


def _published(summary: str, report: Report, shown: "Sequence[Run]", version: "Version | None") -> "Published":
    from bench.tracking.study import Published

    marked = any(run.tags.get(tag) == "true" for run in shown for tag in ("weights_standin", "data_generated"))
    model = (
        None
        if version is None
        else (f"{version.name}/versions/{version.number}", f"{version.tags['run_name']}, the best by validation AUROC")
    )
    return Published(summary, report.created, len(shown), report.verdicts, marked, model)


def _model(
    settings: PublishConfig, store: "Store", showcase: "Showcase", summary: str, best: "Run | None"
) -> "tuple[Version, str]":
    """The registered version of the best run, made where it is not there, and what is said of it."""
    from bench.finished.exported import write
    from bench.finished.packaged import check, digest, pack
    from bench.finished.saved import open_run
    from bench.tracking.showcase import DIGEST_TAG

    if best is None:
        raise TrackingError(f"none of the report's runs has {CHOSEN_BY}")
    run = open_run(store, best.id)
    name = settings.model or f"chextransfer-{settings.tracking.experiment}"
    computed = digest(run)
    there = showcase.version(name)
    if there is not None and there.tags.get(DIGEST_TAG) == computed:
        return there, f"model: {name} version {there.number}, as before"
    marks = {DIGEST_TAG: computed, "run": best.id, "run_name": best.tags["mlflow.runName"]}
    marks |= {CHOSEN_BY: f"{best.metrics[CHOSEN_BY]:.6f}"} | {key: best.tags.get(key, "") for key in COPIED}
    with tempfile.TemporaryDirectory() as temporary:
        exported = Path(temporary) / "exported"
        write(run, exported, images=settings.images, root=settings.root)
        difference = float("nan")

        def save(folder: Path, model: Any) -> None:
            nonlocal difference
            pack(run.tasks, exported, folder, model)
            difference = check(run, folder, settings.root)

        made = showcase.register(name, summary, save, Path(temporary) / "model", marks, _about(marks, run))
    return made, (
        f"model: {name} version {made.number}, of {marks['run_name']} ({CHOSEN_BY} {best.metrics[CHOSEN_BY]:.4f}); "
        f"the largest difference from its saved scores, from image files on, is {difference:.1e}"
    )


def _about(marks: "Mapping[str, str]", run: "SavedRun") -> str:
    demonstration = "true" in (marks["weights_standin"], marks["data_generated"])
    return (
        f"{marks['run_name']} (run {run.run_id}), the best of its experiment by mean validation AUROC, "
        f"{marks[CHOSEN_BY]}. Column `image` takes the bytes of an X-ray's file (JPEG, PNG, DICOM), as base64 in JSON; "
        f"the answer is a probability for each of {', '.join(run.tasks)}. Decoding, resizing and normalisation are "
        "inside. For research; no medical device."
        + (" A demonstration: its weights are stand-ins, or its images generated." if demonstration else "")
    )


def work(jobs: Sequence[PublishConfig]) -> int:
    """Publishes what every job names, and says what it did."""
    for settings in jobs:
        for line in publish(settings):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Publishes what every job on the command line names; 2 where that is wrong, 1 where it cannot be published."""
    return command("publish", work, arguments)


if __name__ == "__main__":
    run_command(main)
