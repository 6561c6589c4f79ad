"""Class activation maps that `python -m bench.cam` recorded with runs."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.store import artifacts
from analysis.store.artifacts import Run
from analysis.store.uris import first_line
from analysis.tables import count, heading

FOLDER = "cams"
"""Of a run's artifacts: `<task>[-vs-<other run>].png`, and the same as .json, which says what is seen."""
AGAINST = "-vs-"
MOST = 6
"""Figures that a page shows."""
MOST_BYTES = 4_500_000
"""Of all of them; as text they take a third more, so that the page stays below 10 MB with all its other figures."""
PNG = b"\x89PNG\r\n\x1a\n"
SHORT = 8
"""Digits of a run's id before readers."""


@dataclass(frozen=True)
class ActivationMap:
    """One figure: `uri` holds the PNG image itself."""

    uri: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Maps:
    """What a page shows of the recorded figures.

    Attributes:
        shown: at most MOST.
        n_left_out: figures for which there was no room.
        problems: why a figure cannot be shown, one sentence each.
    """

    shown: list[ActivationMap]
    n_left_out: int
    problems: list[str]


def load_maps(uri: str, cells: pd.DataFrame) -> Maps:
    """The recorded figures: comparisons before single networks, and one of each run before a second of any.

    Shown are those for which there is room, by kind, task and cell: a network beside its truncated sister.

    Raises:
        AnalysisError: the store cannot be reached.
    """
    shown: list[tuple[_Recorded, ActivationMap]] = []
    problems: list[str] = []
    n_left_out = size = 0
    for one in _recorded(uri, cells):
        if len(shown) == MOST:
            n_left_out += 1
            continue
        try:
            image = artifacts.read(uri, one.run, one.path.with_suffix(".png").as_posix())
            figure = _figure(image, json.loads(artifacts.read(uri, one.run, one.path.as_posix())))
        except (AnalysisError, ValueError, KeyError, TypeError) as error:  # as other versions and tools may write it
            where = f"{one.path} of run {one.run['name']} ({one.run['run_id']})"
            problems.append(f"{where} cannot be shown: {type(error).__name__}: {first_line(error)}.")
            continue
        if size + len(image) > MOST_BYTES:
            n_left_out += 1
            continue
        shown.append((one, figure))
        size += len(image)
    shown.sort(key=lambda pair: (pair[0].single, pair[0].path.stem.partition(AGAINST)[0], pair[0].order))
    return Maps([figure for _, figure in shown], n_left_out, problems)


@dataclass(frozen=True)
class _Recorded:
    """A figure of a run: its description's path, the run's place among the cells, its own among those of its kind."""

    run: Run
    path: PurePosixPath
    single: bool
    order: int
    place: int


def _recorded(uri: str, cells: pd.DataFrame) -> list[_Recorded]:
    """Every figure, those first that are shown first."""
    found = []
    for order, run in enumerate(cells.to_dict("records")):
        files = [PurePosixPath(path) for path in artifacts.paths(uri, run, FOLDER) if path.endswith(".json")]
        for single in (False, True):
            kind = [path for path in files if (AGAINST not in path.stem) == single]
            found += [_Recorded(run, path, single, order, place) for place, path in enumerate(kind)]
    return sorted(found, key=lambda one: (one.single, one.place, one.order))


def _figure(image: bytes, about: Mapping[str, Any]) -> ActivationMap:
    """One figure with its caption.

    Raises:
        ValueError: it is not as `bench.cam` records it; a KeyError or TypeError as well.
    """
    if not image.startswith(PNG):
        raise ValueError("its figure is not a PNG image")
    task = heading(str(about["task"]))
    networks = [_network(one) for one in about["runs"]]
    if not networks:
        raise ValueError("it names no run")
    studies = count(len(about["studies"]), "study")
    caption = f"{task}: {', beside '.join(networks)}; {studies} of the test set."
    uri = "data:image/png;base64," + base64.b64encode(image).decode("ascii")
    return ActivationMap(uri, caption, f"Class activation maps of {task}, {count(len(networks), 'network')}")


def _network(one: Mapping[str, Any]) -> str:
    weights = "pretrained" if one["pretrained"] else "from scratch"
    depth = int(one["truncate"])
    cut = "whole" if depth == 0 else f"without its last {'stage' if depth == 1 else f'{depth} stages'}"
    cells = f"{int(one['height'])} x {int(one['width'])} cells"
    return f"{one['network']} {weights}, {cut}, seed {one['seed']} ({cells}, run {str(one['run_id'])[:SHORT]})"
