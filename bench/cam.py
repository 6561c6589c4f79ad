"""`python -m bench.cam run=<id>`: where a finished run sees a finding, on the X-rays of its own test set.

python -m bench.cam run=<id> compare=<id of its truncated sister> task=edema studies=4
"""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from analysis.interrupted import run_command
from bench.command import command
from bench.errors import ConfigError, DataError, TrackingError
from bench.paths import in_project
from bench.schema import CamConfig

if TYPE_CHECKING:  # help and refusals load neither pandas nor torch
    import pandas as pd
    from matplotlib.figure import Figure

    from bench.finished.cam_figure import Column
    from bench.finished.saved import SavedRun
    from bench.tracking.store import Store

console = Console()
SHORT = 8
"""Digits of a run's id in a file's name."""
FOLDER = "cams"
"""Of the run's artifacts, in which the report looks for figures."""
RECORDED_DPI = 120
"""Of the figure that is recorded: a page holds several, and shows them about as large as this on a screen."""


def draw(settings: CamConfig) -> Path:
    """The PNG file of the maps; the same figure as PDF and the raw maps as npz lie beside it.

    The figure is recorded with the run too, where `python -m analysis.report` finds it.

    Raises:
        BenchError: the run cannot be opened, has no such task or study, or the compared one has another test set.
        TrackingError: the store takes no figure; the files are there all the same.
    """
    from bench.finished.cam_figure import figure
    from bench.finished.saved import open_run, open_store
    from bench.quiet import quiet

    quiet()
    store = open_store(settings.tracking)
    runs = [open_run(store, run_id) for run_id in (settings.run, settings.compare) if run_id is not None]
    shown = choose(runs[0].test, settings.task, settings.studies, settings.only)
    if not settings.only and len(shown) < settings.studies:
        console.print(f"{len(shown)} studies, not {settings.studies}: no more are positive for {settings.task}")
    for other in runs[1:]:
        check_same_test(runs[0], other, settings.task)
    columns = [_column(run, settings, shown) for run in runs]
    drawn = figure(columns, list(shown["study"]), f"Class activation maps of {settings.task}")
    made = _save(settings, runs, columns, shown, drawn)
    about = describe(settings.task, runs, columns, list(shown["study"]))
    try:
        _record(store, runs, settings.task, drawn, about)
    except TrackingError as error:
        raise TrackingError(f"{made} was drawn, and could not be recorded in run {settings.run}: {error}") from None
    return made


def choose(test: "pd.DataFrame", task: str, studies: int, only: Sequence[str]) -> "pd.DataFrame":
    """One row per study, of the image with its highest score; the study with the highest score first.

    Args:
        only: names of studies, in place of those and in this order.

    Raises:
        ConfigError: no such task.
        DataError: no such study, or no positive one.
    """
    tasks = [name.removeprefix("score/") for name in test.columns if name.startswith("score/")]
    if task not in tasks:
        near = difflib.get_close_matches(task, tasks, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(f"task={task}: the run has no such task; {hint}Valid: {', '.join(tasks)}")
    ordered = test.sort_values([f"score/{task}", "path"], ascending=[False, True])  # ties in a fixed order
    best = ordered.drop_duplicates("study").set_index("study", drop=False)
    unknown = [name for name in only if name not in best.index]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(best.index), n=1)
        hint = f"; the nearest is {near[0]}" if near else ""
        raise DataError(f"only={unknown[0]}: the run's test set has no such study{hint}")
    if only:
        return best.loc[list(only)]
    positive = best[best[f"label/{task}"] == 1].head(studies)
    if positive.empty:
        raise DataError(f"task={task}: no study of the run's test set is positive; name studies as only=[...]")
    return positive


def check_same_test(first: "SavedRun", second: "SavedRun", task: str) -> None:
    """Refuses two runs that were not tested on the same images with the same labels of a task.

    Args:
        first, second: the runs; the second is the one that is compared.

    Raises:
        DataError: they were not.
    """
    tables = []
    for run in (first, second):
        if task not in run.tasks:
            raise DataError(f"compare={run.run_id}: that run has no task {task}")
        tables.append(run.test[["path", "study", f"label/{task}"]].sort_values("path", ignore_index=True))
    if not tables[0].equals(tables[1]):
        raise DataError(
            f"compare={second.run_id}: its test set ({len(tables[1])} images) is not that of run={first.run_id} "
            f"({len(tables[0])} images), or carries other labels; compare runs of one data set"
        )


def _column(run: "SavedRun", settings: CamConfig, shown: "pd.DataFrame") -> "Column":
    from bench.finished.cam_figure import Column
    from bench.finished.maps import run_maps
    from bench.finished.saved import read_test_images

    images = read_test_images(run, list(shown["path"]), settings.root)
    maps = run_maps(run, images, settings.task)
    scores = run.test.set_index("path").loc[shown["path"], f"score/{settings.task}"].to_numpy()
    return Column(f"{run.label}, {maps.shape[1]} x {maps.shape[2]} cells", images[:, 0], maps, scores)


def describe(
    task: str, runs: "Sequence[SavedRun]", columns: "Sequence[Column]", studies: Sequence[str]
) -> dict[str, Any]:
    """What a recorded figure shows, as JSON: task, studies (rows) and runs (columns, with a map's size in cells)."""
    networks = [
        {
            "run_id": run.run_id,
            "network": run.row.label,
            "pretrained": run.config.pretrained,
            "truncate": run.depth,
            "seed": run.config.seed,
            "height": column.maps.shape[1],
            "width": column.maps.shape[2],
        }
        for run, column in zip(runs, columns, strict=True)
    ]
    return {"task": task, "studies": list(studies), "runs": networks}


def _record(store: "Store", runs: "Sequence[SavedRun]", task: str, drawn: "Figure", about: dict[str, Any]) -> None:
    """Stores figure and description with the first run; the description last, as it is what the report looks for."""
    name = "-vs-".join([task, *(run.run_id[:SHORT] for run in runs[1:])])
    store.attach(runs[0].run_id, f"{FOLDER}/{name}.png", lambda path: drawn.savefig(path, dpi=RECORDED_DPI))
    text = json.dumps(about, indent=2)
    store.attach(runs[0].run_id, f"{FOLDER}/{name}.json", lambda path: _write(path, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _save(
    settings: CamConfig,
    runs: "Sequence[SavedRun]",
    columns: "Sequence[Column]",
    shown: "pd.DataFrame",
    drawn: "Figure",
) -> Path:
    import numpy as np

    from analysis.figures.style import DPI

    folder = in_project(settings.out)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / "-".join([settings.task, *(run.run_id[:SHORT] for run in runs)])
    drawn.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None})
    drawn.savefig(stem.with_suffix(".png"), dpi=DPI)
    arrays: dict[str, Any] = {
        "studies": list(shown["study"]),
        "paths": list(shown["path"]),
        "runs": [run.run_id for run in runs],
    }
    for name, column in zip(("", "compare_"), columns, strict=False):  # the second only where two are compared
        arrays |= {f"{name}maps": column.maps, f"{name}images": column.images, f"{name}scores": column.scores}
    np.savez_compressed(stem.with_suffix(".npz"), allow_pickle=False, **arrays)
    return stem.with_suffix(".png")


def work(jobs: Sequence[CamConfig]) -> int:
    """Draws the maps of every job, and says where they lie."""
    for settings in jobs:
        console.print(f"{draw(settings)}", soft_wrap=True, highlight=False)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the maps of every job on the command line; 2 where that is wrong, 1 where maps cannot be drawn."""
    return command("cam", work, arguments)


if __name__ == "__main__":
    run_command(main)
