"""Opens the data set that the configuration names: checked frames, a patient-disjoint split, a fingerprint."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from bench.data import labels, phantom, splits
from bench.data.index import read_index
from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, TASK_SETS
from bench.errors import DataError
from bench.paths import in_project
from bench.schema import DataConfig

FINGERPRINT_IMAGES = 32
"""How many image files the fingerprint reads: enough to tell the small release from the full one, in milliseconds."""


@dataclass(frozen=True)
class Split:
    """The images of one split.

    Attributes:
        frame: one row per image: path, patient, study, view.
        labels: [n, tasks] float64: training targets (NaN is left out of the loss) or evaluation labels (NaN undefined).
    """

    frame: pd.DataFrame
    labels: labels.FloatArray


@dataclass(frozen=True)
class DataSet:
    """A set ready for training.

    Attributes:
        root: the folder that paths are relative to.
        tasks: names of the label columns, in the order of the network's outputs.
        fingerprint: 16 hex digits; equal for equal labels, splits and images, wherever the folder lies.
        generated: whether the images are generated phantoms.
    """

    root: Path
    tasks: tuple[str, ...]
    train: Split
    valid: Split
    test: Split
    fingerprint: str
    generated: bool


def open_dataset(config: DataConfig) -> DataSet:
    """The data set of a configuration; the phantom is generated on first use.

    Raises:
        DataError: a file, column, path or label is not what it should be, or a split leaves a scored task undefined.
    """
    root = _root(config)
    if not root.is_dir():
        raise DataError(f"data.root={root}: no such folder. It must hold train.csv and valid.csv")
    full, test = (read_index(root / name) for name in ("train.csv", "valid.csv"))
    tasks = TASK_SETS[config.tasks]
    fraction = splits.default_valid_fraction(len(full)) if config.valid_fraction is None else config.valid_fraction
    train, valid = splits.split(full, fraction)
    splits.assert_disjoint({"train": train["patient"], "valid": valid["patient"], "test": test["patient"]})
    train, valid, test = (_views(frame, config.views) for frame in (train, valid, test))
    found = DataSet(
        root=root,
        tasks=tasks,
        train=Split(train, labels.training_targets(_matrix(train, tasks), config.uncertain)),
        valid=Split(valid, labels.validation_labels(_matrix(valid, tasks))),
        test=Split(test, labels.test_labels(_matrix(test, tasks))),
        fingerprint=fingerprint(root, {"train": train, "valid": valid, "test": test}),
        generated=config.phantom is not None,
    )
    _check_validation(found)
    return found


def _root(config: DataConfig) -> Path:
    if config.phantom is None:
        if config.root is None:
            raise DataError(f"data={config.name} needs data.root=DIR, the folder that holds train.csv and valid.csv")
        return in_project(config.root)
    spec = phantom.PhantomSpec(**dataclasses.asdict(config.phantom))
    root = in_project(config.root) if config.root else in_project(f"data/phantom-{_spec_digest(spec)}")
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):  # several cells may start at once on a fresh machine
        if not root.exists():
            phantom.generate(root, spec)
    return root


def _spec_digest(spec: phantom.PhantomSpec) -> str:
    text = json.dumps([phantom.VERSION, dataclasses.asdict(spec)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _views(frame: pd.DataFrame, views: str) -> pd.DataFrame:
    kept = frame if views == "all" else frame[frame["view"] == views].reset_index(drop=True)
    if kept.empty:
        raise DataError(f"data.views={views} leaves no image in a split")
    return kept


def _matrix(frame: pd.DataFrame, tasks: tuple[str, ...]) -> labels.FloatArray:
    return frame[list(tasks)].to_numpy(np.float64)


def fingerprint(root: Path, frames: dict[str, pd.DataFrame]) -> str:
    """16 hex digits over every row of every split, and over the bytes of a fixed sample of the images.

    The sample holds the images whose path's hash is lowest, so that it does not depend on the order of the rows.

    Raises:
        DataError: a sampled image is missing.
    """
    digest = hashlib.sha256()
    for name, frame in frames.items():
        rows = frame[["path", "view", *ALL_TASKS]].sort_values("path")
        digest.update(f"{name}\n{rows.to_csv(index=False)}".encode())
    paths = pd.concat([frame["path"] for frame in frames.values()])
    for path in sorted(paths, key=lambda text: hashlib.sha256(text.encode()).digest())[:FINGERPRINT_IMAGES]:
        try:
            digest.update(hashlib.sha256((root / path).read_bytes()).digest())
        except OSError as error:
            raise DataError(f"{root / path}: {error.strerror}; its row is in the CSV file") from None
    return digest.hexdigest()[:16]


def _check_validation(found: DataSet) -> None:
    """Checkpoints are chosen by the mean AUROC of the five tasks: each must have both classes there."""
    for task in COMPETITION_TASKS:
        column = found.valid.labels[:, found.tasks.index(task)]
        positive, negative = int((column == 1).sum()), int((column == 0).sum())
        if not positive or not negative:
            raise DataError(
                f"the validation split ({len(column)} images) has {positive} positive and {negative} negative {task}, "
                "so its AUROC is undefined and no checkpoint can be chosen: raise data.valid_fraction"
            )
