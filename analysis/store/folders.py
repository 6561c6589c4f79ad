"""Cells as files: a folder that `analysis.export` writes and that a report reads in place of MLflow, or beside it.

results.json       version, experiment, licence, whether ids are pseudonyms; where it comes from
runs.json          one row a run, as `io.load_runs` gives it, without places of files and words of failures
histories.json     run_id, key, step, value of the metrics that the report draws
cells/<run id>/    predictions/*.parquet and data_card.json of each finished cell
README.md          what this is, in words
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.store import artifacts
from analysis.store.cards import CARD
from analysis.store.io import COLUMNS, load_histories, load_runs
from analysis.store.uris import first_line

VERSION = 1
MLFLOW = "mlflow"
"""The word among `results=` that stands for the experiment of `tracking.uri`."""
ABOUT, RUNS, HISTORIES, CELLS = "results.json", "runs.json", "histories.json", "cells"
IDS = ("path", "patient", "study")
FLOATS = [column.name for column in COLUMNS if column.kind is float]


@dataclass(frozen=True)
class Runs:
    """The runs that a report is made from.

    Attributes:
        uri: tracking store.
        experiment: of that store.
        results: comma-separated folders of `analysis.export`, MLFLOW among them for the experiment as well; None is the
            experiment alone.
        where: which runs of the experiment, in MLflow's words.
    """

    uri: str
    experiment: str
    results: str | None = None
    where: str = ""

    def table(self) -> pd.DataFrame:
        """One row a run, as `io.load_runs` gives them; a run that several folders hold counts once.

        Raises:
            AnalysisError: the store cannot be reached, or a folder cannot be read.
        """
        found = [read_runs(Path(place)) for place in self._folders()]
        if self._asks_mlflow():
            found.append(load_runs(self.uri, self.experiment, self.where))
        return pd.concat(found, ignore_index=True).drop_duplicates("run_id", ignore_index=True)

    def histories(self, run_ids: Sequence[str], keys: Sequence[str]) -> pd.DataFrame:
        """run_id, key, step, value: what `io.load_histories` gives, from wherever each run is.

        Raises:
            AnalysisError: the store cannot be reached, or a folder cannot be read.
        """
        found: list[pd.DataFrame] = [_read(Path(place) / HISTORIES, _histories) for place in self._folders()]
        here = {run for frame in found for run in frame["run_id"]}
        left = [run for run in run_ids if run not in here]
        if self._asks_mlflow() and (left or not found):  # without runs, MLflow's empty frame
            found.append(load_histories(self.uri, left, keys))
        points = pd.concat(found, ignore_index=True)
        order = {run: place for place, run in enumerate(run_ids)}
        points = points[points["run_id"].isin(order) & points["key"].isin(keys)]
        return points.sort_values(["run_id", "key", "step"], kind="stable", ignore_index=True)

    def _folders(self) -> list[str]:
        return [place for place in (self.results or "").split(",") if place not in ("", MLFLOW)]

    def _asks_mlflow(self) -> bool:
        return self.results is None or MLFLOW in self.results.split(",")


def read_runs(folder: Path) -> pd.DataFrame:
    """The runs of a folder, as `io.load_runs` gives them, with their files below it.

    Raises:
        AnalysisError: the folder is none of `analysis.export`, of another version, or cannot be read.
    """
    about = _read(folder / ABOUT, json.loads)
    if not isinstance(about, dict) or about.get("version") != VERSION:
        version = about.get("version") if isinstance(about, dict) else None
        raise AnalysisError(
            f"results={folder} is of version {version}, and this reads version {VERSION}: export it again with "
            "`python -m analysis.export`, or read it with the release that its results.json names"
        )
    frame = pd.DataFrame(_read(folder / RUNS, json.loads), dtype=object)
    for name in FLOATS:
        frame[name] = [np.nan if value is None else value for value in frame[name]]
    for column in COLUMNS:  # of an earlier version
        if column.name not in frame:
            frame[column.name] = frame["data_fingerprint"] if column.name == "data_used" else column.default
    places = [str((folder / CELLS / run).absolute()) for run in frame["run_id"]]
    params: list[Any] = [{} for _ in places]
    return frame.assign(artifacts=places, params=params)


def write(
    folder: Path, uri: str, runs: pd.DataFrame, cells: pd.DataFrame, histories: pd.DataFrame, *, salt: bytes | None
) -> None:
    """Writes the runs, and the files of the cells among them, into an empty folder.

    Args:
        folder: exists.
        uri: tracking store; asked only for artifacts that are in no folder of this machine.
        runs: as `io.load_runs` gives them, cells or not.
        cells: those of them whose files are wanted.
        histories: run_id, key, step, value.
        salt: key of the hashes that stand for paths, patients and studies; None keeps these as they are.

    Raises:
        AnalysisError: an artifact cannot be read.
        OSError: the folder cannot be written.
    """
    rows = runs.drop(columns=["artifacts", "params"]).assign(failure="").astype(object)
    rows = rows.where(rows.notna(), None)
    (folder / RUNS).write_text(json.dumps(rows.to_dict("records"), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    points = histories.to_dict("split", index=False)
    (folder / HISTORIES).write_text(json.dumps(points) + "\n", encoding="utf-8")
    for run in cells.to_dict("records"):
        place = folder / CELLS / str(run["run_id"])
        (place / "predictions").mkdir(parents=True)
        for path in artifacts.paths(uri, run, "predictions"):
            frame = pd.read_parquet(io.BytesIO(artifacts.read(uri, run, path)))
            if salt is not None:
                frame = frame.assign(**{name: pseudonyms(frame[name], salt) for name in IDS})
            frame.to_parquet(place / path, index=False, compression="zstd")
        if CARD in artifacts.paths(uri, run):
            (place / CARD).write_bytes(artifacts.read(uri, run, CARD))


def pseudonyms(ids: pd.Series, salt: bytes) -> list[str]:
    """`017-9f3c52a1b0d4`: the place of an id among those of the file, then a keyed hash of it (BLAKE2b, 48 bits).

    Places keep the order of the ids. A report sorts by them before it draws resamples, so that its numbers are those of
    the ids themselves to the last bit. Who has the salt can find an id by trying all of them; nobody else can.

    >>> pseudonyms(pd.Series(["p7", "p3", "p7"]), b"salt")
    ['1-6ef8655b5fda', '0-fabb10f23087', '1-6ef8655b5fda']
    """
    known = sorted(ids.unique())
    width = len(str(len(known) - 1))
    names = {
        one: f"{place:0{width}d}-{hashlib.blake2b(str(one).encode(), digest_size=6, key=salt).hexdigest()}"
        for place, one in enumerate(known)
    }
    return [names[one] for one in ids]


def _histories(text: str) -> pd.DataFrame:
    return pd.DataFrame(**json.loads(text))


def _read(path: Path, parse: Any) -> Any:
    """What a file of the folder holds.

    Raises:
        AnalysisError: it is not there, or not as `write` makes it.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnalysisError(f"results={path.parent} is no folder of `analysis.export`: it has no {path.name}") from None
    except (OSError, ValueError, TypeError) as error:
        raise AnalysisError(f"{path} cannot be read: {first_line(error)}") from error


def about(experiment: str, licence: str, *, hashed: bool, origin: Mapping[str, Any]) -> str:
    """The text of results.json.

    Args:
        experiment: that the runs are of.
        licence: on which terms others may use them.
        hashed: whether paths, patients and studies are pseudonyms.
        origin: `command`, `git`, `versions`, `created`.
    """
    said = {"version": VERSION, "experiment": experiment, "licence": licence, "ids": "hashed" if hashed else "kept"}
    return json.dumps(said | dict(origin), indent=2) + "\n"
