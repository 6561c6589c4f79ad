"""What a sweep can vary beside architecture, start, depth and seed: one row an axis, read by `bench` and the report."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from analysis.places import CONF

if TYPE_CHECKING:  # help and refusals of every command import this module, and wait for no pandas
    import pandas as pd


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        name: of the tag of a run and of the key that chooses a level in a report.
        column: of the runs, as the analysis reads them.
        keys: of the configuration; two that agree are one value.
        default: level of a run that does not say it; such a run's name does not say it either. Empty: the protocol's.
        short: how a run's name says another level.
        title: for readers.
    """

    name: str
    column: str
    keys: tuple[str, ...]
    default: str
    short: str
    title: str


AXES = (
    Axis("adapt", "adapt", ("adapt",), "full", "{}", "Layers trained"),
    Axis("data_fraction", "data.fraction", ("data.fraction",), "1.0", "f{}", "Share of training patients"),
    Axis("data_patients", "data.patients", ("data.patients",), "None", "p{}", "Training patients"),
    Axis("in_chans", "arch.in_chans", ("arch.in_chans",), "3", "c{}", "Input channels"),
    Axis("data_uncertain", "data_uncertain", ("data.uncertain",), "u-ignore", "{}", "Uncertain labels"),
    Axis("image_size", "image_size", ("protocol.image.resize", "protocol.image.crop"), "", "{}px", "Image size, px"),
)
COLUMNS = [axis.column for axis in AXES]


def suffix(levels: Mapping[str, Any], protocol: str = "") -> str:
    """What a run's name says of its axes: `-linear-f0.1`; empty where each is at its default.

    Args:
        levels: by column; a level that is missing is the default.
        protocol: name of the run's; the image size of one that is not in conf/protocol is not said.

    >>> suffix({"adapt": "linear", "data.fraction": "0.1", "image_size": "224"}, "paper")
    '-linear-f0.1-224px'
    """
    words = []
    for axis in AXES:
        level = str(levels.get(axis.column) or axis.default)
        if level and level != (axis.default or image_size(protocol) or level):
            words.append(re.sub(r"[^\w.]+", "-", axis.short.format(level)))
    return "".join(f"-{word}" for word in words)


@cache
def image_size(protocol: str) -> str:
    """The image size of a protocol of conf/protocol, as a run says it; empty for another protocol."""
    path = CONF / "protocol" / f"{protocol}.yaml"
    if not path.is_file():
        return ""
    image: Any = OmegaConf.select(OmegaConf.load(path), "image")
    return joined([image["resize"], image["crop"]])


def joined(values: Sequence[Any]) -> str:
    """The values of an axis' keys as one level: `320`, or `256/224` where they differ."""
    return "/".join(dict.fromkeys(map(str, values)))


def levels(cells: "pd.DataFrame") -> dict[Axis, list[str]]:
    """The axes that these cells differ in, each with its levels: first the one that the others are compared with.

    That is the default where a cell has it, and else the level of most cells. The others follow, numbers by size.

    Args:
        cells: one row a cell, with COLUMNS.
    """
    found = {}
    for axis in AXES:
        counts = dict(cells[axis.column].value_counts()) if axis.column in cells else {}
        if len(counts) > 1:
            base = axis.default if axis.default in counts else str(next(iter(counts)))
            found[axis] = [base, *sorted((str(level) for level in counts if level != base), key=rank)]
    return found


def variants(cells: "pd.DataFrame", varied: Mapping[Axis, Sequence[str]]) -> list[str]:
    """What sets each cell apart from those that the report is about: `adapt=linear, data_fraction=0.1`, or nothing.

    Args:
        cells: one row a cell, with COLUMNS.
        varied: their `levels`.
    """
    return [
        ", ".join(f"{axis.name}={row[axis.column]}" for axis, (base, *_) in varied.items() if row[axis.column] != base)
        for row in cells.to_dict("records")
    ]


def rank(level: Any) -> tuple[float, str]:
    """Sorts levels: numbers by size, before words.

    >>> sorted(["linear", "0.1", "0.01"], key=rank)
    ['0.01', '0.1', 'linear']
    """
    try:
        return float(level), ""
    except ValueError:
        return float("inf"), str(level)
