"""VinDr-CXR: 18,000 postero-anterior X-rays, 15,000 to train on read by three radiologists each, 3,000 to test by five.

The release has no patient identifier: every image counts as a patient of its own, so that two images of one patient may
fall on both sides of our training and validation split. Sex and age stand only in the DICOM files, often wrongly, and
are not read. A training label is what at least two of the three radiologists said; a test label is the consensus.

Source: Nguyen et al., Scientific Data 2022, doi 10.1038/s41597-022-01498-w; files at
https://physionet.org/content/vindr-cxr/1.0.0/.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pandera.pandas as pa

from bench.data.index import check_index
from bench.data.known import WHERE
from bench.data.sources import Release, common
from bench.data.tables import SHOWN, read_table
from bench.data.tasks import ALL_TASKS
from bench.errors import DataError
from bench.schema import DataConfig

FINDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "atelectasis": ("Atelectasis",),
        "cardiomegaly": ("Cardiomegaly",),
        "consolidation": ("Consolidation",),
        "edema": ("Edema",),
        "pleural_effusion": ("Pleural effusion",),
        "no_finding": ("No finding",),
        "lung_opacity": ("Lung Opacity",),
        "lung_lesion": ("Nodule/Mass",),
        "pneumonia": ("Pneumonia",),
        "pneumothorax": ("Pneumothorax",),
        "pleural_other": ("Pleural thickening",),
        "fracture": ("Clavicle fracture", "Rib fracture"),
    }
)
"""VinDr's columns by CheXpert's observation; the other 15 have no counterpart and are left out.

Source: as for NIH, phrases/mention/ of github.com/stanfordmlgroup/chexpert-labeler."""

READERS = 3
"""Radiologists per training image. Source: Nguyen et al., "Data annotation"."""

COLUMNS: Mapping[str, tuple[pa.Check, ...]] = MappingProxyType(
    {
        "image_id": (common.filled("image_id"),),
        **{
            column: (common.filled(column), common.numbers(column, (1, 0)))
            for columns in FINDINGS.values()
            for column in columns
        },
    }
)
VOTES = MappingProxyType({"rad_id": (common.filled("rad_id"),), **COLUMNS})


def read(root: Path, config: DataConfig) -> Release:  # noqa: ARG001 (all readers are called alike)
    """The official training and test images, in train/ and test/: the DICOM files, or PNG or JPEG made of them.

    Raises:
        DataError: a file is missing, its columns or values are not VinDr's, or an image was not read by READERS.
    """
    if not (root / "annotations").is_dir() and (root / "train.csv").is_file():
        raise DataError(f"{root}: train.csv and no annotations/: VinBigData's files from Kaggle, perhaps; {WHERE}")
    train_csv, test_csv = (root / "annotations" / f"image_labels_{split}.csv" for split in ("train", "test"))
    votes, test = common.together(lambda: _read(train_csv, VOTES), lambda: _read(test_csv, COLUMNS))
    frames = common.together(
        lambda: _frame(_majority(votes, train_csv), root, "train", train_csv),
        lambda: _frame(test.assign(row=common.row_numbers(test)), root, "test", test_csv),
    )
    return Release("vindr", root, ALL_TASKS, frames[0], None, {"test": frames[1]}, (train_csv, test_csv))


def _read(csv: Path, columns: Mapping[str, tuple[pa.Check, ...]]) -> pd.DataFrame:
    texts = [name for name in columns if name in ("image_id", "rad_id")]
    table = read_table(csv, texts, numbers=[name for name in columns if name not in texts])
    return common.declared(table, columns, csv)


def _majority(votes: pd.DataFrame, csv: Path) -> pd.DataFrame:
    """One row per image, in the order of its first vote: 1 where most of its radiologists said 1.

    Raises:
        DataError: an image does not have READERS different radiologists.
    """
    votes = votes.assign(row=common.row_numbers(votes))
    images = votes.groupby("image_id", sort=False)
    readers = images["rad_id"].nunique()
    wrong = readers.index[(readers != READERS) | (images.size() != READERS)]
    if len(wrong):
        shown = ", ".join(map(str, wrong[:SHOWN]))
        raise DataError(f"{csv}: {len(wrong)} image(s) without {READERS} rows by {READERS} radiologists ({shown})")
    columns = [column for column in COLUMNS if column != "image_id"]
    said = (images[columns].mean() > 0.5).astype(np.float64)
    return said.assign(row=images["row"].min()).reset_index()


def _frame(table: pd.DataFrame, root: Path, split: str, csv: Path) -> pd.DataFrame:
    image = table["image_id"]
    frame = pd.DataFrame(
        {
            "path": common.paths(image, common.locate(root, [split]), f"{split}/" + image + ".dicom"),
            "patient": image,
            "study": image,
            "view": "frontal",
            "sex": "Unknown",
            "age": np.nan,
            "ap_pa": "PA",
            "row": table["row"],
        }
    )
    labels = pd.DataFrame({name: table[list(columns)].max(axis=1) for name, columns in FINDINGS.items()})
    return check_index(common.with_observations(frame, labels), observations=ALL_TASKS, csv=csv)
