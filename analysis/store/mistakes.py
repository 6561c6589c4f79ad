"""The test images on which the best networks are most confidently wrong, as their runs recorded them."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.store import artifacts
from analysis.store.artifacts import Run
from analysis.store.uris import first_line
from analysis.tables import count, heading, number

LIST = "errors/test.json"
"""Of a run's artifacts; it names the pictures."""
MOST_BYTES = 600_000
"""Of a cell's pictures, so that the page stays below 10 MB with all else; as text they take a third more."""
JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Mistake:
    """One image; `uri` holds the picture itself, the other fields are for readers."""

    uri: str
    task: str
    kind: str
    label: str
    score: str
    where: str
    alt: str


@dataclass(frozen=True)
class CellMistakes:
    """What is shown of one cell."""

    title: str
    shown: list[Mistake]


@dataclass(frozen=True)
class Mistakes:
    """What a page shows; `problems` are sentences about what it cannot show."""

    cells: list[CellMistakes]
    problems: list[str]


def load_mistakes(uri: str, cells: pd.DataFrame) -> Mistakes:
    """Those of the pretrained and of the scratch cell with the highest validation AUROC.

    Raises:
        AnalysisError: the store cannot be reached.
    """
    made, problems = [], []
    for pretrained, kind in ((True, "pretrained"), (False, "scratch")):
        rows = cells[cells["pretrained"].astype(bool) == pretrained]
        if rows.empty:
            continue
        best = rows["valid_auroc"].astype(float).fillna(-1).to_numpy().argmax()
        run = rows.iloc[int(best)].to_dict()
        try:
            shown, left = _pictures(uri, run, json.loads(artifacts.read(uri, run, LIST)))
        except (AnalysisError, ValueError, KeyError, TypeError) as error:  # as other versions and tools may write it
            problems.append(f"{LIST} of run {run['name']} ({run['run_id']}) cannot be shown: {first_line(error)}.")
            continue
        if left:
            problems.append(f"{count(left, 'picture')} of {run['name']} left out, as this page has no room for them.")
        known = "unknown" if math.isnan(float(run["valid_auroc"])) else number(float(run["valid_auroc"]))
        title = f"Best {kind} cell by validation AUROC ({known}): {run['name']}"
        made.append(CellMistakes(title if shown else f"{title}. It has none.", shown))
    return Mistakes(made, problems)


def _pictures(uri: str, run: Run, about: Mapping[str, Any]) -> tuple[list[Mistake], int]:
    """What of a run's list there is room for, and how many there is none for.

    Raises:
        AnalysisError: a picture is not there.
        ValueError, KeyError, TypeError: the list is not as `bench` records it.
    """
    shown: list[Mistake] = []
    held: dict[str, str] = {}
    room, left = MOST_BYTES, 0
    for item in about["errors"]:
        image = held.get(item["picture"]) or _jpeg(artifacts.read(uri, run, item["picture"]))
        if len(image) * 3 // 4 > room:
            left += 1
            continue
        held[item["picture"]] = image
        room -= len(image) * 3 // 4  # a page holds an image as often as it shows it
        shown.append(_mistake(image, item, str(about["level"])))
    return shown, left


def _jpeg(content: bytes) -> str:
    if not content.startswith(JPEG):
        raise ValueError("its picture is not a JPEG image")
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")


def _mistake(uri: str, item: Mapping[str, Any], level: str) -> Mistake:
    task, kind = heading(str(item["task"])), str(item["kind"])
    views = int(item["images"])
    where = f"{item['path']}, {item['view']}"
    if level == "study":
        where = f"study {item['study']}, {item['view']}" + (f" of {views} images" if views > 1 else "")
    score = number(float(item["score"]))
    return Mistake(uri, task, kind, str(int(item["label"])), score, where, f"X-ray: {kind} for {task}, score {score}")
