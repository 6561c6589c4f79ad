"""The data card: what a set holds, split by split, and what was left out of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table

from bench.data.sets import DataSet

Card = dict[str, Any]

VALUES = {"positive": 1.0, "negative": 0.0, "uncertain": -1.0}
"""What labels say, beside blank."""


def card(data: DataSet) -> Card:
    """Return the facts about a set for JSON: numbers unrounded, undefined ones null.

    Returns:
        `name, generated, fingerprint, tasks, uncertain` (policy by task)`, divided, splits, filters`. `splits` by name:
        `images, studies, patients, views, ap_pa, sex, age` (years: `known, mean, sd, low, high`), `impossible_ages`
        (images whose age is none and was taken as unknown) and `labels` by task: how many images are `positive,
        negative, uncertain` and `blank` in the file, whatever the policy makes of them. `same_pictures`: of two splits
        (`split, other`), how many `images` of the other are also in the first, of another patient.
    """
    splits = {"train": data.train} | data.evaluated
    return {
        "name": data.name,
        "generated": data.generated,
        "fingerprint": data.fingerprint,
        "tasks": list(data.tasks),
        "uncertain": dict(zip(data.tasks, data.policies, strict=True)),
        "divided": data.divided,
        "splits": {name: _describe(split.frame, data.tasks) for name, split in splits.items()},
        "filters": [vars(dropped) for dropped in data.dropped],
        "same_pictures": [{"split": one.split, "other": one.other, "images": one.images} for one in data.twins],
    }


def _describe(frame: pd.DataFrame, tasks: Sequence[str]) -> Card:
    return {
        "images": len(frame),
        "studies": frame["study"].nunique(),
        "patients": frame["patient"].nunique(),
        "views": _counts(frame["view"]),
        "ap_pa": _counts(frame["ap_pa"].fillna("not given")),
        "sex": _counts(frame["sex"]),
        "age": _age(frame["age"]),
        "impossible_ages": int(frame["impossible_age"].sum()),
        "labels": {task: _labels(frame.get(task, pd.Series(np.nan, index=frame.index))) for task in tasks},
    }


def _counts(words: "pd.Series[str]") -> dict[str, int]:
    return {str(word): int(count) for word, count in sorted(words.value_counts().items())}


def _labels(values: "pd.Series[float]") -> dict[str, int]:
    given = {name: int((values == value).sum()) for name, value in VALUES.items()}
    return given | {"blank": int(values.isna().sum())}


def _age(years: "pd.Series[float]") -> dict[str, float | int | None]:
    """Return mean, standard deviation (n - 1) and range of the ages of the images."""
    numbers = {"mean": years.mean(), "sd": years.std(), "low": years.min(), "high": years.max()}
    return {"known": int(years.notna().sum())} | {
        name: None if np.isnan(number) else float(number) for name, number in numbers.items()
    }


def markdown(made: Mapping[str, Any]) -> str:
    """Return the card as a Markdown page of tables.

    Args:
        made: what `card` gives.
    """
    parts = [f"# Data card: {made['name']}", *_sentences(made)]
    for title, header, rows in _tables(made):
        lines = [f"## {title}", "", _row(header), _row("---" if place == 0 else "---:" for place in range(len(header)))]
        parts.append("\n".join([*lines, *map(_row, rows)]))
    return "\n\n".join(parts) + "\n"


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def render(made: Mapping[str, Any]) -> RenderableType:
    """Return the card for the terminal.

    Args:
        made: what `card` gives.
    """
    tables = []
    for title, header, rows in _tables(made):
        table = Table(title=title, title_justify="left")
        for place, name in enumerate(header):
            table.add_column(name, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return Group(f"Data card: {made['name']}", *_sentences(made), *tables)


def _sentences(made: Mapping[str, Any]) -> Iterator[str]:
    if made["generated"]:
        yield "Generated images: a demonstration, no patients."
    usual, _ = Counter(made["uncertain"].values()).most_common(1)[0]
    own = [f"{task} {policy}" for task, policy in made["uncertain"].items() if policy != usual]
    yield f"Fingerprint {made['fingerprint']}. Training and validation divided by {made['divided']}."
    yield f"Uncertain training labels: {', '.join([usual, *own])}. The counts below are the labels as given."


def _tables(made: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(title, header, rows) of each table."""
    splits = made["splits"]
    yield (
        "Images",
        ["", *splits],
        [
            *([name, *(f"{one[name]:,}" for one in splits.values())] for name in ("images", "studies", "patients")),
            *(
                [f"{group}: {word}", *(f"{one[group].get(word, 0):,}" for one in splits.values())]
                for group in ("views", "ap_pa", "sex")
                for word in sorted({word for one in splits.values() for word in one[group]})
            ),
            ["age: impossible, so unknown", *(f"{one['impossible_ages']:,}" for one in splits.values())],
            ["age: known", *(f"{one['age']['known']:,}" for one in splits.values())],
            ["age: mean (sd)", *(_spread(one["age"]) for one in splits.values())],
            ["age: range", *(_range(one["age"]) for one in splits.values())],
        ],
    )
    for name, one in splits.items():
        columns = ["positive", "negative", "uncertain", "blank"]
        rows = [[task, *(f"{counts[column]:,}" for column in columns)] for task, counts in one["labels"].items()]
        yield f"Labels as given: {name}", ["", *columns], rows
    if made["filters"]:
        header = ["filter", "split", "left out because", "images", "patients"]
        keys = ("filter", "split", "reason", "images", "patients")
        yield "Left out", header, [[_text(one[key]) for key in keys] for one in made["filters"]]
    if made["same_pictures"]:
        rows = [[one["other"], one["split"], f"{one['images']:,}"] for one in made["same_pictures"]]
        yield "The same pictures under other patients", ["images of", "are also in", "images"], rows


def _text(value: str | int) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _spread(age: Mapping[str, float | None]) -> str:
    mean, sd = age["mean"], age["sd"]
    return "" if mean is None else f"{mean:.1f}" if sd is None else f"{mean:.1f} ({sd:.1f})"


def _range(age: Mapping[str, float | None]) -> str:
    return "" if age["low"] is None else f"{age['low']:g} to {age['high']:g}"
