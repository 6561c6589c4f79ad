"""NIH ChestX-ray14: 112,120 frontal X-rays of 30,805 patients, labels mined from the reports.

Source: Wang et al., CVPR 2017, arXiv 1705.02315; files and official lists at https://nihcc.app.box.com/v/ChestXray-NIHCC.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import pandera.pandas as pa

from bench.data.index import check_index
from bench.data.sources import Release, common
from bench.data.tables import read_table
from bench.data.tasks import ALL_TASKS
from bench.errors import DataError
from bench.schema import DataConfig

TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
"""The table's name in the release of 2020 and in the first; the newer is taken where both lie there."""

TRAIN_LIST, TEST_LIST = "train_val_list.txt", "test_list.txt"
FOLDERS = ("images*", "images*/images")
"""images/ or, as the downloaded archives unpack, images_001/images/ to images_012/images/."""

SEX = ("Patient Gender", "Patient Sex")
"""Both names are in circulation for the same column."""

FINDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "atelectasis": ("Atelectasis",),
        "cardiomegaly": ("Cardiomegaly",),
        "consolidation": ("Consolidation",),
        "edema": ("Edema",),
        "pleural_effusion": ("Effusion",),
        "no_finding": ("No Finding",),
        "lung_opacity": ("Infiltration", "Consolidation", "Pneumonia", "Atelectasis", "Edema", "Mass", "Nodule"),
        "lung_lesion": ("Mass", "Nodule"),
        "pneumonia": ("Pneumonia",),
        "pneumothorax": ("Pneumothorax",),
        "pleural_other": ("Pleural_Thickening",),
    }
)
"""NIH's findings by CheXpert's observation.

Source: phrases/mention/ of github.com/stanfordmlgroup/chexpert-labeler, where "mass" and "nodule" are a Lung Lesion and
"pleural thickening" is a Pleural Other; for Lung Opacity, the parents and children of CheXpert's own hierarchy (Irvin
et al., AAAI 2019, Figure 1)."""

UNMAPPED = ("Emphysema", "Fibrosis", "Hernia")
"""Findings that no observation of CheXpert stands for; they are read and left out."""

KNOWN = frozenset({name for names in FINDINGS.values() for name in names} | set(UNMAPPED))


@functools.cache
def _findings(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split("|"))


COLUMNS: Mapping[str, tuple[pa.Check, ...]] = MappingProxyType(
    {
        "Image Index": (common.filled("Image Index"), common.once("Image Index")),
        "Finding Labels": (
            common.filled("Finding Labels"),
            pa.Check(
                lambda column: column.map(lambda text: _findings(text) <= KNOWN),
                error=f"Finding Labels has a finding that is none of {', '.join(sorted(KNOWN))}",
            ),
        ),
        "Follow-up #": (common.filled("Follow-up #"),),
        "Patient ID": (common.filled("Patient ID"),),
        "Patient Age": (common.shaped("Patient Age", r"-?\d+[YMD]?", "a number of years, or like 058Y, 006M or 012D"),),
        "View Position": (common.filled("View Position"), common.among("View Position", ("AP", "PA"))),
    }
)

IDS = ("Patient ID", "Follow-up #")

YEARS_PER = {"Y": 1.0, "M": 1 / 12, "D": 1 / 365.25}
"""By the last letter of a DICOM age string, which the first release copies into its table."""


def read(root: Path, config: DataConfig) -> Release:  # noqa: ARG001 (all readers are called alike)
    """The official training and test images; a study is one follow-up of one patient.

    Raises:
        DataError: a file is missing, its columns or values are not NIH's, or the lists and the table differ.
    """
    csv = common.first_file(root, TABLES, f"NIH ChestX-ray14 with {TRAIN_LIST} and {TEST_LIST}")
    table, train, test = common.together(
        lambda: common.declared(read_table(csv, list(COLUMNS), ids=IDS, optional=SEX), COLUMNS, csv),
        lambda: _names(root / TRAIN_LIST),
        lambda: _names(root / TEST_LIST),
    )
    _check_lists(table["Image Index"], train, test, csv)
    frame = check_index(_frame(table, root, csv), observations=ALL_TASKS, csv=csv)
    in_test = table["Image Index"].isin(test).to_numpy()
    return Release(
        name="nih",
        root=root,
        observations=ALL_TASKS,
        train=frame[~in_test].reset_index(drop=True),
        valid=None,
        tests={"test": frame[in_test].reset_index(drop=True)},
        files=(csv, root / TRAIN_LIST, root / TEST_LIST),
    )


def _frame(table: pd.DataFrame, root: Path, csv: Path) -> pd.DataFrame:
    name = table["Image Index"]
    stems = name.str.rsplit(".", n=1).str[0]
    frame = pd.DataFrame(
        {
            "path": common.paths(stems, common.locate(root, FOLDERS), "images/" + name),
            "patient": table["Patient ID"],
            "study": table["Patient ID"] + "/" + table["Follow-up #"],
            "view": "frontal",
            "sex": _sex(table, csv),
            "age": _years(table["Patient Age"]),
            "ap_pa": table["View Position"],
            "row": common.row_numbers(table),
        }
    )
    return common.with_observations(frame, common.named_findings(table["Finding Labels"], _findings, FINDINGS))


def _sex(table: pd.DataFrame, csv: Path) -> "pd.Series[str]":
    name = next((name for name in SEX if name in table), None)
    if name is None:
        raise DataError(f"{csv}: no column {' or '.join(SEX)}; there are: {', '.join(table.columns)}")
    common.declared(table, {name: (common.among(name, ("F", "M")),)}, csv)
    return table[name].map({"F": "Female", "M": "Male"}).fillna("Unknown")


def _years(texts: "pd.Series[str]") -> "pd.Series[float]":
    parts = texts.str.extract(r"(?P<number>-?\d+)(?P<unit>[YMD]?)")
    return parts["number"].astype(float) * parts["unit"].replace("", "Y").map(YEARS_PER)


def _names(file: Path) -> list[str]:
    """The image names of an official list, one a line."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; it is part of NIH ChestX-ray14, and divides training from test")
    names = file.read_text(encoding="utf-8").split()
    if not names:
        raise DataError(f"{file}: the file is empty")
    return names


def _check_lists(named: "pd.Series[str]", train: list[str], test: list[str], csv: Path) -> None:
    both = sorted(set(train) & set(test))
    if both:
        raise DataError(f"{csv.parent}: {len(both)} image(s) are in both {TRAIN_LIST} and {TEST_LIST}, first {both[0]}")
    common.same_names(named, [*train, *test], f"{csv} and the official lists {TRAIN_LIST} and {TEST_LIST}")
