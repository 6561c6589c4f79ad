"""Opens the data set that the configuration names: checked frames, a patient-disjoint split, a fingerprint."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.data import labels, selection, splits
from bench.data.fingerprint import fingerprint, image_names
from bench.data.generated import phantom
from bench.data.generated.folders import digest, once
from bench.data.selection import Dropped
from bench.data.sources import Release, read_external, read_release, reader
from bench.data.tasks import choose
from bench.data.twins import Twins
from bench.errors import DataError, NotMadeError
from bench.paths import in_project
from bench.schema import DataConfig

OWN = ("train", "valid", "test")
"""The splits of the set itself; every other name is an external set's."""

Rows = dict[str, tuple[Path, pd.DataFrame]]
"""By split: the root and the index."""


@dataclass(frozen=True)
class Split:
    """The images of one split.

    Attributes:
        root: the folder that paths are relative to.
        frame: one row per image, an index (`bench.data.index`) with the labels as they were given.
        labels: [n, tasks] float64: training targets (NaN is left out of the loss) or evaluation labels (NaN undefined).
    """

    root: Path
    frame: pd.DataFrame
    labels: labels.FloatArray


@dataclass(frozen=True)
class DataSet:
    """A set ready for training.

    Attributes:
        name: of the set.
        tasks: names of the label columns.
        widths: how many of the network's outputs each task has (`bench.networks.heads`).
        external: further test sets by name.
        fingerprint: 16 hex digits; equal for equal labels, splits and images, wherever the folder lies.
        generated: whether the images are generated phantoms.
        dropped: what was left out of each split, and why.
        sides: by patient, train or valid; before anything was left out.
        divided: by what.
        policies: [tasks] what becomes of uncertain training labels.
        whole: the fingerprint with all training patients, whatever share of them is used.
        twins: pictures that two splits have in common; known once the images are decoded (`bench.cells.ready`).
    """

    name: str
    tasks: tuple[str, ...]
    widths: tuple[int, ...]
    train: Split
    valid: Split
    test: Split
    external: dict[str, Split]
    fingerprint: str
    generated: bool
    dropped: tuple[Dropped, ...]
    sides: dict[str, str]
    divided: str
    policies: tuple[str, ...]
    whole: str
    twins: tuple[Twins, ...] = ()

    @property
    def evaluated(self) -> dict[str, Split]:
        """The splits that are predicted, by the prefix of their metrics."""
        return {"valid": self.valid, "test": self.test} | self.external

    def without(self, left: Mapping[str, Split], dropped: Sequence[Dropped], twins: tuple[Twins, ...]) -> "DataSet":
        """Return the set with what is left of its splits."""
        return dataclasses.replace(
            self,
            train=left["train"],
            valid=left["valid"],
            test=left["test"],
            external={name: split for name, split in left.items() if name not in OWN},
            dropped=(*self.dropped, *dropped),
            twins=twins,
        )


def open_dataset(config: DataConfig, *, scored: str | Sequence[str] | None = None, make: bool = True) -> DataSet:
    """Return the data set of a configuration; the phantom is generated on first use.

    Args:
        scored: the value of evaluation.tasks; training and validation must hold both classes of these tasks. None asks
            for nothing.
        make: whether a generated set that is not there is generated.

    Raises:
        NotMadeError: it is not there, and `make` is false.
        DataError: a file, column, path or label is not what it should be, a key does not fit the set, patients cross
            splits, or a split leaves a scored task undefined.
    """
    release = read_release(config.name, _root(config, make=make), config)
    if "test" not in release.tests:
        raise DataError(
            f"data={config.name} has no test set of its own: name it in data.external, and train on another"
        )
    tasks = choose("data.tasks", config.tasks, release.observations)
    policies = labels.policies(config.uncertain, tasks)
    train, valid, divided = _divide(release, config)
    known = labels.labelled(_matrix(pd.concat([train, valid]), tasks))
    rows = {
        "train": (release.root, train),
        "valid": (release.root, valid),
        "test": (release.root, release.tests["test"]),
    }
    external, unread = _read_external(config, tasks)
    rows |= external
    _check_patients(rows, config)
    kept, dropped = _select(rows, config)
    strict = config.on_bad_image == "raise"
    used, thinned = selection.thin(kept["train"][1], config)
    every = fingerprint(kept, release.observations, strict=strict and not thinned)  # others' images may be elsewhere
    kept["train"] = release.root, used
    made = _label(kept, tasks, policies, known)
    found = DataSet(
        name=config.name,
        tasks=tasks,
        widths=labels.widths(policies),
        train=made.pop("train"),
        valid=made.pop("valid"),
        test=made.pop("test"),
        external=made,
        fingerprint=fingerprint(kept, release.observations, strict=strict) if thinned else every,
        generated=config.phantom is not None,
        dropped=(*release.dropped, *unread, *dropped, *thinned),
        sides={who: name for name in splits.SIDES for who in rows[name][1]["patient"].unique()},
        divided=divided,
        policies=policies,
        whole=every,
    )
    if scored is not None and (problems := class_problems(found, choose("evaluation.tasks", scored, tasks))):
        raise DataError("\n".join(problems))
    return found


def _root(config: DataConfig, *, make: bool = True) -> Path:
    if config.phantom is None:
        if config.root is None:
            raise DataError(
                f"data={config.name} needs data.root=DIR, the set's folder: see conf/data/{config.name}.yaml"
            )
        return _folder("data.root", config.root)
    spec = phantom.PhantomSpec(**dataclasses.asdict(config.phantom))
    beside = in_project(config.cache).parent / f"phantom-{digest(spec.card)}"  # a checkout may be read-only
    root = in_project(config.root) if config.root else beside
    if not make and not root.exists():
        raise NotMadeError(f"not begun; its data set, {root}, is generated then")
    return once(root, lambda place: phantom.generate(place, spec))


def _folder(key: str, path: str) -> Path:
    root = in_project(path)
    if not root.is_dir():
        raise DataError(f"{key}={root}: no such folder")
    return root


def _divide(release: Release, config: DataConfig) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return (training rows, validation rows, rule): divided as configured, else by the release, else by a hash."""
    if config.split_file is not None and config.valid_fraction is not None:
        raise DataError("data.split_file and data.valid_fraction both divide the patients: give one of them")
    if release.valid is not None and config.split_file is None and config.valid_fraction is None:
        return release.train, release.valid, "the release's own split"
    whole = release.train if release.valid is None else pd.concat([release.train, release.valid], ignore_index=True)
    if config.split_file is not None:
        return *splits.split_by_file(whole, in_project(config.split_file)), f"the file {Path(config.split_file).name}"
    given = config.valid_fraction
    fraction = splits.default_valid_fraction(len(whole)) if given is None else given
    return *splits.split(whole, fraction), f"a hash of the patient, {fraction:.4g} of them to validation"


def _read_external(config: DataConfig, tasks: Sequence[str]) -> tuple[Rows, tuple[Dropped, ...]]:
    """The sets of data.external, each in its data.roots.<name>, or in the set's own root where it is of its kind."""
    found: Rows = {}
    dropped: list[Dropped] = []
    for name in config.external:
        given = getattr(config.roots, name)
        if given is None and reader(name) != reader(config.name):
            raise DataError(f"data.external={name} needs data.roots.{name}=DIR, the set's folder")
        root = _root(config) if given is None else _folder(f"data.roots.{name}", given)
        frame, without = read_external(name, root, config)
        if frame.reindex(columns=list(tasks)).isna().all(axis=None):
            raise DataError(f"data.external={name}: none of its labels is of a task trained on ({', '.join(tasks)})")
        found[name] = root, frame
        dropped += without
    return found, tuple(dropped)


def _check_patients(rows: Rows, config: DataConfig) -> None:
    """Patients of one source stand in one split; a set's own test patients may be scored again as an external set."""
    patients = {name: frame["patient"].unique() for name, (_, frame) in rows.items()}
    own = {name: patients[name] for name in OWN}
    splits.assert_disjoint(own)
    _check_paths({name: rows[name] for name in OWN})
    for name in config.external:
        if reader(name) == reader(config.name) or rows[name][0] == rows["train"][0]:
            splits.assert_disjoint({"train": own["train"], "valid": own["valid"], f"external {name}": patients[name]})


def _check_paths(rows: Rows) -> None:
    """An image file stands in one split; which file it is, the bytes say once it is decoded (`bench.data.twins`)."""
    seen = pd.concat([frame[["path", "csv", "row"]].assign(split=name) for name, (_, frame) in rows.items()])
    twice = seen[seen["path"].duplicated(keep=False)]
    if len(twice):
        first = twice[twice["path"] == twice["path"].iloc[0]].head(2)
        where = " and ".join(f"{split} (row {row} of {csv})" for _, csv, row, split in first.itertuples(index=False))
        raise DataError(f"{first['path'].iloc[0]} is in both {where}: an image must not be in two splits")


def _select(rows: Rows, config: DataConfig) -> tuple[Rows, tuple[Dropped, ...]]:
    """Return the rows that pass the filters, and what was left out."""
    kept: Rows = {}
    dropped: list[Dropped] = []
    for name, (root, frame) in rows.items():
        chosen, without = selection.keep(frame, config, name)
        dropped += without
        kept[name] = root, chosen
    return kept, tuple(dropped)


def _label(rows: Rows, tasks: Sequence[str], policies: Sequence[str], known: npt.NDArray[np.bool_]) -> dict[str, Split]:
    """Return every split with its targets (train) or evaluation labels."""
    made = {}
    for name, (root, frame) in rows.items():
        given = _matrix(frame, tasks)
        if name == "train":
            images = image_names(frame).tolist()
            values = labels.training_targets(given, policies, known=known, images=images, tasks=tasks)
        elif name == "valid":
            values = labels.validation_labels(given, known=known)
        else:
            values = labels.test_labels(given)
        made[name] = Split(root, frame, values)
    return made


def _matrix(frame: pd.DataFrame, tasks: Sequence[str]) -> labels.FloatArray:
    """Return the labels as given, [n, tasks] float64; NaN for a task that an external set lacks."""
    return frame.reindex(columns=list(tasks)).to_numpy(np.float64)


def class_problems(data: DataSet, tasks: Sequence[str]) -> list[str]:
    """A sentence for each task that cannot be learnt, or has no validation AUROC, by which checkpoints are chosen."""
    return [
        *labels.empty_classes("training", data.train.labels, data.tasks, data.widths, tasks),
        *labels.empty_classes("validation", data.valid.labels, data.tasks, (1,) * len(data.tasks), tasks),
    ]
