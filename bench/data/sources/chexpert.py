"""CheXpert, every release of it, and whatever has its layout: train.csv, valid.csv and the released test labels.

Source: PROTOCOL, "CheXpert facts". The later download (AIMI, `chexpertchestxrays-u20210408`) unpacks to the folders
`CheXpert-v1.0 batch 1 (validate & csv)` with both CSV files and `valid/`, and `CheXpert-v1.0 batch 2 (train 1)` to
`batch 4 (train 3)`, each with a share of the `patientN` folders; `Path` still says `CheXpert-v1.0/train/...`.
"""

import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from bench.data.index import check_index
from bench.data.known import WHERE
from bench.data.sources import Release, chexpert_plus, common
from bench.data.sources.files import as_they_lie, stem
from bench.data.tables import SHOWN, read_table
from bench.data.tasks import ALL_TASKS, OBSERVATIONS, task_name
from bench.errors import DataError
from bench.schema import DataConfig

STUDY = r"(?P<side>train|valid|test)/(?P<patient>patient\d+)/(?P<study>study\d+)"
"""What names a study in a path; what stands before it is the release's own folder name, and not relied upon."""
IMAGE = STUDY + r"/(?P<file>[^/]+)"
FILE = r"view\d+_(frontal|lateral)\.(?i:jpe?g|png|dcm|dicom)"

PHOTOGRAPHED = r"(?:train|valid)/(?:synthetic|natural)/"
"""In CheXphoto's paths, before the device and the patient."""

VIEW, AP_PA = "Frontal/Lateral", "AP/PA"

NEITHER = ("LL", "RL")
"""Values of AP/PA in a few frontal rows of the released train.csv: neither AP nor PA, so it is not known which."""

OFFICIAL = ("groundtruth.csv", "test_labels.csv")
"""The labels of the 500 test studies: keyed by `Study`, one row for all views of a study (PROTOCOL); or, as
CheXlocalize ships them, by `Path`, a row an image. Where both lie there the first is read."""

BATCHES = "*batch [0-9]*"
"""The folders of the later download."""

LABELS = {name: (common.numbers(name, (-1, 0, 1)),) for name in OBSERVATIONS}
ROWS: dict[str, tuple[pa.Check, ...]] = {
    "Path": (
        common.filled("Path"),
        common.shaped("Path", rf"(.*/)?{IMAGE}", "a path that ends in train|valid|test/patientN/studyN/file"),
        common.once("Path"),
    ),
    "Sex": (common.among("Sex", ("Female", "Male", "Unknown")),),
    "Age": (),
    VIEW: (common.filled(VIEW), common.among(VIEW, ("Frontal", "Lateral"))),
    AP_PA: (common.among(AP_PA, ("AP", "PA", *NEITHER)),),
    **LABELS,
}
TESTED = {
    "Path": (
        common.filled("Path"),
        common.shaped("Path", rf"(.*/)?{STUDY}/{FILE}", "a path that ends in test/patientN/studyN/viewN_frontal.jpg"),
        common.once("Path"),
    ),
    **LABELS,
}
STUDIES = {
    "Study": (
        common.filled("Study"),
        common.shaped("Study", rf"(.*/)?{STUDY}", "a path that ends in test/patientN/studyN"),
        common.once("Study"),
    ),
    **LABELS,
}


def read(root: Path, config: DataConfig) -> Release:
    """train.csv (or `data.labels_file`, a relabelled copy or CheXpert Plus's) and the test set that `data.test` names.

    Raises:
        DataError: a file is missing or not CheXpert's; the problems of all files in one message.
    """
    read_test = read_official if config.test == "official" else read_valid
    train = _find(root, config.labels_file or "train.csv")
    frame, (test, csv) = common.together(lambda: _read_rows(root, train), lambda: read_test(root))
    return Release(
        name="chexpert",
        root=root,
        observations=ALL_TASKS,
        train=frame,
        valid=None,
        tests={"test": test},
        files=(train, csv),
    )


def read_valid(root: Path) -> tuple[pd.DataFrame, Path]:
    """(index of valid.csv, that file): 200 studies, labelled by radiologists."""
    csv = _find(root, "valid.csv")
    return _read_rows(root, csv), csv


def read_official(root: Path) -> tuple[pd.DataFrame, Path]:
    """(index of the released test set, its label file): every image that is labelled, by its study or its own row.

    The views come from the file names. Nothing is said of the patients: sex is Unknown, age NaN.

    Raises:
        DataError: the file is missing or wrong, or a study has no image.
    """
    csv = _find(root, *OFFICIAL)
    images = (_by_study if csv.name == OFFICIAL[0] else _by_image)(root, csv)
    images["view"] = images["path"].str.extract(rf"/{FILE}$")[0]
    return check_index(images.assign(sex="Unknown", age=np.nan, ap_pa=None), observations=ALL_TASKS, csv=csv), csv


def _by_image(root: Path, csv: Path) -> pd.DataFrame:
    table = common.declared(read_table(csv, ["Path"], numbers=OBSERVATIONS), TESTED, csv)
    place = common.parts(table["Path"], IMAGE + "$")
    frame = pd.DataFrame(
        {
            "path": as_they_lie(root, _folders(root, place) + "/" + place["file"]),
            "patient": place["patient"],
            "study": place["patient"] + "/" + place["study"],
            "row": common.row_numbers(table),
        }
    )
    return frame.join(_labels(table))


def _by_study(root: Path, csv: Path) -> pd.DataFrame:
    table = common.declared(read_table(csv, ["Study"], numbers=OBSERVATIONS), STUDIES, csv)
    place = common.parts(table["Study"], STUDY + "$")
    folders = _folders(root, place)
    files = [_views(root / folder) for folder in folders]
    empty = [folder for folder, names in zip(folders, files, strict=True) if not names]
    if empty:
        raise DataError(
            f"{csv}: {len(empty)} studies have no viewN_frontal or viewN_lateral image below {root}: "
            f"{', '.join(empty[:SHOWN])}"
        )
    frame = pd.DataFrame(
        {
            "path": folders,
            "patient": place["patient"],
            "study": place["patient"] + "/" + place["study"],
            "file": files,
            "row": common.row_numbers(table),
        }
    )
    images = frame.join(_labels(table)).explode("file", ignore_index=True)
    return images.assign(path=images["path"] + "/" + images["file"].astype("str"))


def _read_rows(root: Path, csv: Path) -> pd.DataFrame:
    """The index of a CSV file with train.csv's columns."""
    if csv.suffix == ".json":
        csv, labels = _find(root, chexpert_plus.TABLE), csv
        table = chexpert_plus.read_rows(csv, labels)
    else:
        table = read_table(csv, ["Path", "Sex", VIEW, AP_PA], numbers=["Age", *OBSERVATIONS])
    if table["Path"].str.contains(PHOTOGRAPHED, na=False).any():
        raise DataError(f"{csv}: the table of CheXphoto, whose paths tell apart several pictures of a view; {WHERE}")
    table = common.declared(table, ROWS, csv)
    place = common.parts(table["Path"], IMAGE + "$")
    frame = pd.DataFrame(
        {
            "path": as_they_lie(root, _folders(root, place) + "/" + place["file"]),
            "patient": place["patient"],
            "study": place["patient"] + "/" + place["study"],
            "view": table[VIEW].str.lower(),
            "sex": table["Sex"].fillna("Unknown"),
            "age": table["Age"],
            "ap_pa": table[AP_PA].mask(table[AP_PA].isin(NEITHER)),
            "row": common.row_numbers(table),
        }
    )
    return check_index(frame.join(_labels(table)), observations=ALL_TASKS, csv=csv)


def _labels(table: pd.DataFrame) -> pd.DataFrame:
    return table[list(OBSERVATIONS)].rename(columns=task_name)


def _views(folder: Path) -> list[str]:
    """The names of a study's images, sorted."""
    if not folder.is_dir():
        return []
    names = sorted(pd.Series(os.listdir(folder), dtype="str").loc[lambda name: name.str.fullmatch(FILE)])
    for first, second in itertools.pairwise(names):
        if stem(first) == stem(second):
            raise DataError(f"{folder}: {first} and {second} are one image to the set's table; move one elsewhere")
    return names


def _find(root: Path, *names: str) -> Path:
    """The first of some files in the root or in its `batch 1` folder; if none, the root's, for its reader's message."""
    folders = [root, *sorted(root.glob(BATCHES))]
    places = [folder / name for name in names for folder in folders]
    found = next((path for path in places if path.is_file()), None)
    below = next((path for name in names for path in sorted(root.glob(f"*/{name}"))), None)
    if found is None and below is not None:
        raise DataError(f"{places[0]}: no such file, but there is {below}: give data.root={below.parent}")
    return found or places[0]


def _folders(root: Path, place: pd.DataFrame) -> "pd.Series[str]":
    """Each study's folder relative to the root: below train, valid or test, or below the batch that has the patient.

    Raises:
        DataError: there is neither such a folder nor a batch.
    """
    study = place["patient"] + "/" + place["study"]
    folders = place["side"] + "/" + study
    for side in place["side"].unique():
        if (root / side).is_dir():
            continue
        rows = place["side"] == side
        plus = next((folder for folder in chexpert_plus.FOLDERS if (root / folder / side).is_dir()), None)
        if plus is not None:
            folders[rows] = plus + "/" + folders[rows]
            continue
        batches = [path for path in sorted(root.glob(BATCHES)) if path.is_dir()]
        if not batches:
            raise DataError(f"{root / side}: no such folder, and no '{BATCHES}' in {root}: where are the images?")
        # a patient in no batch keeps the plain path, so that the missing image is said where images are looked for
        folders[rows] = place["patient"][rows].map(_patients(root, batches, side)).fillna(side) + "/" + study[rows]
    return folders


def _patients(root: Path, batches: list[Path], side: str) -> dict[str, str]:
    """By patient, the folder (relative to the root) that holds the patient's folder."""
    found: dict[str, str] = {}
    for batch in batches:
        within = batch / side if (batch / side).is_dir() else batch
        for name in os.listdir(within):
            if name.startswith("patient"):
                found[name] = within.relative_to(root).as_posix()
    return found
