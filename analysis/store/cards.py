"""Data cards that runs left: what the data behind a report hold, read once for each fingerprint."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.store import artifacts
from analysis.store.uris import first_line

CARD = "data_card.json"
COUNTED = ("images", "studies", "patients")
GROUPS = ("views", "ap_pa", "sex")
"""Counts by word, in images."""
AGES = ("known", "mean", "sd", "low", "high")
VALUES = ("positive", "negative", "uncertain", "blank")
"""What a label says; the four add up to the images of the split."""
SPLIT_COLUMNS = ["fingerprint", "split", "group", "item", "value"]
LABEL_COLUMNS = ["fingerprint", "split", "task", "value", "count"]
FILTER_COLUMNS = ["fingerprint", "filter", "split", "reason", "images", "patients"]


@dataclass(frozen=True)
class Cards:
    """Every card of a report.

    Attributes:
        splits: SPLIT_COLUMNS: `images`, `studies`, `patients` and the ages (years) of each split, and its images by
            view, projection and sex; NaN where an age is undefined.
        labels: LABEL_COLUMNS: images by task and by what their label says, before any policy.
        filtered: FILTER_COLUMNS: what was left out, and why.
        sentences: what is to be said of each set.
        problems: why there is no card of a fingerprint.
    """

    splits: pd.DataFrame
    labels: pd.DataFrame
    filtered: pd.DataFrame
    sentences: list[str]
    problems: list[str]


def load_cards(uri: str, cells: pd.DataFrame) -> Cards:
    """The cards of the cells' data: of each fingerprint the first that a run has.

    Args:
        cells: run_id, name, artifacts, data, data_used.

    Raises:
        AnalysisError: the store cannot be reached.
    """
    made, problems = [], []
    for fingerprint, runs in cells.groupby("data_used", sort=False):
        run = next((run for run in runs.to_dict("records") if CARD in artifacts.paths(uri, run)), None)
        if run is None:
            data = runs["data"].iloc[0]
            problems.append(f"No run on {data} ({fingerprint}) left a {CARD}: it comes with those of this version.")
            continue
        try:
            made.append(_card(artifacts.read(uri, run, CARD), str(fingerprint)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # as other versions and tools may write it
            problems.append(
                f"{CARD} of run {run['name']} ({run['run_id']}) cannot be shown: {type(error).__name__}: "
                f"{first_line(error)}."
            )
    return Cards(
        splits=pd.DataFrame([row for one in made for row in one.splits], columns=SPLIT_COLUMNS),
        labels=pd.DataFrame([row for one in made for row in one.labels], columns=LABEL_COLUMNS),
        filtered=pd.DataFrame([row for one in made for row in one.filtered], columns=FILTER_COLUMNS),
        sentences=[sentence for one in made for sentence in one.sentences],
        problems=problems,
    )


@dataclass(frozen=True)
class _Card:
    splits: list[list[Any]]
    labels: list[list[Any]]
    filtered: list[list[Any]]
    sentences: list[str]


def _card(text: bytes, fingerprint: str) -> _Card:
    """The rows of one card.

    Raises:
        ValueError: it is not as `bench.data.card` makes it; a KeyError, TypeError or AttributeError as well.
    """
    made = json.loads(text)
    if made["fingerprint"] != fingerprint:
        raise ValueError(f"it is of the data {made['fingerprint']}, and the run is on {fingerprint}")
    splits = made["splits"].items()
    return _Card(
        splits=[[fingerprint, name, *row] for name, split in splits for row in _described(split)],
        labels=[[fingerprint, name, *row] for name, split in splits for row in _labels(name, split)],
        filtered=[[fingerprint, *_filter(one)] for one in made["filters"]],
        sentences=list(_sentences(made)),
    )


def _described(split: Mapping[str, Any]) -> Iterator[list[Any]]:
    """(group, item, value)."""
    yield from (["", name, _count(split[name])] for name in COUNTED)
    for group in GROUPS:
        yield from ([group, word, _count(n)] for word, n in split[group].items())
    age = split["age"]
    yield ["age", "known", _count(age["known"])]
    yield from (["age", name, math.nan if age[name] is None else float(age[name])] for name in AGES[1:])


def _labels(name: str, split: Mapping[str, Any]) -> Iterator[list[Any]]:
    """(task, value, count)."""
    for task, counts in split["labels"].items():
        numbers = [_count(counts[value]) for value in VALUES]
        if sum(numbers) != split["images"]:
            raise ValueError(f"{task} of {name} counts {sum(numbers)} labels, and there are {split['images']} images")
        yield from ([task, value, n] for value, n in zip(VALUES, numbers, strict=True))


def _filter(one: Mapping[str, Any]) -> list[Any]:
    return [*(str(one[name]) for name in ("filter", "split", "reason")), _count(one["images"]), _count(one["patients"])]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _sentences(made: Mapping[str, Any]) -> Iterator[str]:
    policies: Sequence[tuple[str, str]] = list(made["uncertain"].items())
    generated = "Generated images, no patients. " if made["generated"] else ""
    yield (
        f"{made['name']}, fingerprint {made['fingerprint']}. {generated}Training and validation divided by "
        f"{made['divided']}."
    )
    if policies:
        usual, _ = Counter(policy for _, policy in policies).most_common(1)[0]
        own = [f"{task} {policy}" for task, policy in policies if policy != usual]
        yield f"Uncertain training labels: {', '.join([usual, *own])}. The counts are the labels as given."
    if not made["filters"]:
        yield "No filter left anything out."
