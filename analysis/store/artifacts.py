"""Files that runs left: predictions, data cards, maps; from their folder, or through the tracking store."""

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.store.io import open_store
from analysis.store.uris import beside_store, first_line, local_path, resolve_uri, sqlite_file

PREDICTIONS = "predictions/{}.parquet"

Run = Mapping[Any, Any]
"""A row of the runs: `run_id, name, artifacts` (URI) are read here."""


def load_predictions(uri: str, runs: pd.DataFrame, name: str = "test") -> dict[str, pd.DataFrame]:
    """The predictions of every run on one set, one row an image.

    Args:
        name: test, valid, or that of an external set.

    Returns:
        Frames by run_id, in the order of `runs`.

    Raises:
        AnalysisError: a run has no predictions, or they cannot be read.
    """
    frames, path = {}, PREDICTIONS.format(name)
    for run in runs.to_dict("records"):
        try:
            frames[str(run["run_id"])] = pd.read_parquet(io.BytesIO(read(uri, run, path)))
        except (AnalysisError, OSError, ValueError) as error:
            raise AnalysisError(
                f"{path} of run {run['name']} ({run['run_id']}) cannot be read: {first_line(error)}"
            ) from error
    return frames


def read(uri: str, run: Run, path: str) -> bytes:
    """What an artifact of a run holds.

    Args:
        uri: tracking store; asked only where the run's artifacts are in no folder of this machine.

    Raises:
        AnalysisError: it is not there, or the store cannot be reached.
    """
    folder = _folder(uri, run)
    if folder is None:
        with open_store(uri) as client, tempfile.TemporaryDirectory() as copy:
            return Path(client.download_artifacts(run["run_id"], path, copy)).read_bytes()
    if not (folder / path).is_file():
        raise AnalysisError(f"there is no file {folder / path}")
    return (folder / path).read_bytes()


def paths(uri: str, run: Run, folder: str = "") -> list[str]:
    """Paths of the files in a folder of a run's artifacts, sorted; none where there is no such folder.

    Args:
        uri: tracking store; asked only where the run's artifacts are in no folder of this machine.
        folder: below the run's artifacts; "" is all of them, without what lies in folders.

    Raises:
        AnalysisError: the store cannot be reached.
    """
    top = _folder(uri, run)
    if top is None:
        with open_store(uri) as client:
            found = client.list_artifacts(run["run_id"], folder or None)
        return sorted(str(item.path) for item in found if not item.is_dir)
    place = top / folder
    if not place.is_dir():
        return []
    return sorted(file.relative_to(top).as_posix() for file in place.iterdir() if file.is_file())


def _folder(uri: str, run: Run) -> Path | None:
    """Where the artifacts lie, if that is on this machine; a project folder that was moved took them along."""
    folder, store = local_path(str(run["artifacts"])), sqlite_file(resolve_uri(uri))
    if folder is None or store is None or folder.exists():
        return folder
    return beside_store(store, folder) or folder
