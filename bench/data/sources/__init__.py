"""The data sets that can be read, a module each: from a release's own files to frames of one shape."""

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.data.selection import Dropped
from bench.errors import DataError
from bench.schema import DataConfig


@dataclass(frozen=True)
class Release:
    """A data set as it was published, every frame an index (`bench.data.index.check_index`).

    Attributes:
        name: of the set, as `data` and `data.external` name it.
        root: the folder that paths are relative to.
        observations: names of the label columns, snake case.
        train: the rows to train on, validation among them unless the release has its own.
        valid: the release's own validation split, None where it has none.
        tests: its test set as `test`; empty where it has none.
        files: the CSV files that were read.
        dropped: rows of those files that its reader left out, and why.
    """

    name: str
    root: Path
    observations: tuple[str, ...]
    train: pd.DataFrame
    valid: pd.DataFrame | None
    tests: dict[str, pd.DataFrame]
    files: tuple[Path, ...]
    dropped: tuple[Dropped, ...] = ()


OTHERS = {"chexpert_test": "chexpert", "mimic_test": "mimic", "phantom": "chexpert", "csv": "table"}
"""By the set's name, the module here that reads it where that has another name."""


def reader(name: str) -> str:
    """The module here that reads a set; sets of one module are one source, with one set of patients."""
    return OTHERS.get(name, name)


def read_release(name: str, root: Path, config: DataConfig) -> Release:
    """A set's checked frames.

    Raises:
        DataError: every problem of every file of the set, in one message.
    """
    release: Release = _module(name).read(root, config)
    return release


def read_external(name: str, root: Path, config: DataConfig) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    """(index of the images of a set that another set's networks are tested on, what its reader left out of them).

    Args:
        name: one of `bench.schema.SETS`: chexpert stands for its valid.csv, chexpert_test for the released 500 studies,
            mimic for the labeller's labels of its test set, mimic_test for the radiologist's.

    Raises:
        DataError: a file is wrong, or the set has no test set.
    """
    if name in ("chexpert", "chexpert_test"):
        module = _module(name)
        return (module.read_valid if name == "chexpert" else module.read_official)(root)[0], ()
    release = read_release(
        name, root, dataclasses.replace(config, test="official" if name == "mimic_test" else "valid")
    )
    if "test" not in release.tests:
        raise DataError(f"data.external={name}: it has no test set")
    dropped = (dataclasses.replace(one, split=name) for one in release.dropped if one.split == "test")
    return release.tests["test"], tuple(dropped)


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{reader(name)}")
