"""Images that are equal pixel by pixel in two splits: the same file under another name, or another patient."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.data.cache import Cache


@dataclass(frozen=True)
class Twins:
    """Images that two splits share under different patients.

    Attributes:
        split, other: the splits, in the order in which they were given.
        images: of `other`, how many.
        example: a path, patient and row of each: `a.png (patient 1, row 2 of train.csv)`.
    """

    split: str
    other: str
    images: int
    example: str


def find_twins(frames: Mapping[str, pd.DataFrame], caches: Mapping[str, Cache]) -> tuple[Twins, ...]:
    """Return the images that each pair of splits shares: equal pixels at the cache's size, whatever the files are.

    Args:
        frames: by split, path, patient, csv and row of its images.
    """
    parts = []
    for name, frame in frames.items():
        positions = caches[name].positions(frame["path"])
        height, width = caches[name].sizes(positions).T
        part = frame[["path", "patient", "csv", "row"]].reset_index(drop=True)
        crc = caches[name].checksums(positions)
        parts.append(part.assign(split=name, crc=crc, height=height, width=width, position=positions))
    images = pd.concat(parts, ignore_index=True)
    same = images[images.duplicated(["crc", "height", "width"], keep=False)]
    seen: dict[tuple[str, str], dict[str, str]] = {}
    for _, group in same.groupby(["crc", "height", "width"], sort=False):
        for one, other in itertools.combinations(group.to_dict("records"), 2):
            if one["split"] == other["split"] or one["patient"] == other["patient"]:
                continue
            first, second = (caches[row["split"]].pixels(row["position"]) for row in (one, other))
            if np.array_equal(first, second):  # a checksum alone may be equal by chance
                said = f"{_named(one)} and {_named(other)}"
                seen.setdefault((one["split"], other["split"]), {}).setdefault(other["path"], said)
    return tuple(Twins(*pair, len(found), next(iter(found.values()))) for pair, found in seen.items())


def _named(image: dict[Any, Any]) -> str:
    return f"{image['path']} (patient {image['patient']}, row {image['row']} of {image['csv']})"
