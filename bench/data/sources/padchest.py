"""PadChest: 160,868 X-rays of 67,000 patients of one Spanish hospital, labels read from the reports.

A part of the reports (27 %) was labelled by physicians, the rest by a network trained on those: column MethodLabel.
Only what physicians labelled is ever tested on. There is no official split, so where PadChest is trained on, a tenth of
its patients (by a hash of the patient) is held out, and the rows of these that physicians labelled are the test set:
our choice, and no number of it compares with a paper's. As an external test set (`data.external=[padchest]`) it is all
rows that physicians labelled.

Source: Bustos et al., Medical Image Analysis 2020, arXiv 1901.07441; columns in the README of
github.com/auriml/Rx-thorax-automatic-captioning.
"""

import ast
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pandera.pandas as pa

from bench.data.index import check_index
from bench.data.selection import Dropped
from bench.data.sources import Release, common
from bench.data.tables import read_table
from bench.data.tasks import ALL_TASKS
from bench.errors import DataError
from bench.schema import DataConfig

TABLES = tuple(
    f"PADCHEST_chest_x_ray_images_labels_160K{date}.csv{ending}" for date in ("_01.02.19", "") for ending in ("", ".gz")
)
FOLDERS = ("[0-9]", "[0-9][0-9]", "images*", ".")
"""One folder per archive, named by ImageDir; or all images in one folder, as resized copies come."""

PHYSICIAN = "Physician"

HELD_OUT = 0.1
"""Share of the patients that are tested on where PadChest is trained on. Ours; the paper divides reports only."""

VIEWS: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {"PA": ("frontal", "PA"), "AP": ("frontal", "AP"), "AP_horizontal": ("frontal", "AP"), "L": ("lateral", None)}
)
"""(view, AP or PA) by Projection; AP_horizontal is a lying patient. The others (COSTAL, blank) are dropped."""

FINDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "atelectasis": (
            "atelectasis",
            "total atelectasis",
            "lobar atelectasis",
            "segmental atelectasis",
            "laminar atelectasis",
            "round atelectasis",
            "atelectasis basal",
        ),
        "cardiomegaly": ("cardiomegaly",),
        "consolidation": ("consolidation", "air bronchogram"),
        "edema": ("pulmonary edema",),
        "pleural_effusion": (
            "pleural effusion",
            "loculated pleural effusion",
            "loculated fissural effusion",
            "hydropneumothorax",
            "empyema",
            "hemothorax",
        ),
        "no_finding": ("normal",),
        "lung_lesion": ("nodule", "multiple nodules", "mass", "pulmonary mass"),
        "pneumonia": ("pneumonia", "atypical pneumonia"),
        "pneumothorax": ("pneumothorax", "hydropneumothorax"),
        "pleural_other": ("pleural thickening", "apical pleural thickening", "calcified pleural thickening"),
        "fracture": (
            "fracture",
            "clavicle fracture",
            "humeral fracture",
            "vertebral fracture",
            "rib fracture",
            "callus rib fracture",
        ),
    }
)
"""PadChest's labels by CheXpert's observation, each with its children in PadChest's own trees of terms.

Source: the trees in the same repository (tree_term_CUI_counts...csv), whose README says to search a term with its
children. Lung Lesion leaves out the masses that the tree places outside the lung; Lung Opacity, Enlarged
Cardiomediastinum and Support Devices have no one term there and stay blank."""

PHOTOMETRIC, UNSURE = "PhotometricInterpretation_DICOM", "MONOCHROME1"
"""The column, and what it says of images that may be inverted. The PNG files were made by windowing alone,
and the set's makers leave out these images, as the word is wrong for many of them: so no image is inverted by it.

Source: README.md (DICOM-to-PNG preprocessing) and util.py (`generateExcludedImageList`) in the same repository."""

SAYS_NOTHING = frozenset({"", "exclude", "unchanged", "suboptimal study"})
"""Labels that name neither a finding nor its absence. A row with none but these is dropped, and any with `exclude`."""

IDS = ("PatientID", "StudyID")

SEXES: Mapping[str, str] = MappingProxyType({"F": "Female", "M": "Male", "O": "Unknown"})
"""DICOM's Patient's Sex: F, M or O (other)."""


@functools.cache
def _labels(text: str) -> frozenset[str]:
    """The labels of a list as the file writes it; some carry blanks before or after."""
    labels = ast.literal_eval(text)
    if not isinstance(labels, list):
        raise ValueError(text)
    return frozenset(str(label).strip().lower() for label in labels)


def _is_list(text: str) -> bool:
    try:
        _labels(text)
    except (ValueError, SyntaxError):
        return False
    return True


COLUMNS: Mapping[str, tuple[pa.Check, ...]] = MappingProxyType(
    {
        "ImageID": (common.filled("ImageID"), common.once("ImageID")),
        "ImageDir": (common.filled("ImageDir"),),
        "StudyID": (common.filled("StudyID"),),
        "PatientID": (common.filled("PatientID"),),
        "StudyDate_DICOM": (common.shaped("StudyDate_DICOM", r"\d{8}(\.0)?", "a date like 20140915"),),
        "PatientBirth": (common.shaped("PatientBirth", r"\d{4}(\.0)?", "a year"),),
        "PatientSex_DICOM": (common.among("PatientSex_DICOM", tuple(SEXES)),),
        "Projection": (),
        "MethodLabel": (),
        "Labels": (pa.Check(lambda column: column.map(_is_list), error="Labels is not a list like ['normal']"),),
    }
)


def read(root: Path, config: DataConfig) -> Release:
    """The rows of nine in ten patients to train on, and what physicians labelled of the others to test on.

    As an external set: nothing to train on, and all that physicians labelled to test on.

    Raises:
        DataError: the table is missing, its columns or values are not PadChest's, or physicians labelled none of it.
    """
    csv = common.first_file(root, TABLES, "PadChest's table and its image folders")
    table = common.declared(read_table(csv, list(COLUMNS), ids=IDS, optional=[PHOTOMETRIC]), COLUMNS, csv)
    table, dropped = _cut(table.assign(row=common.row_numbers(table)), trained=config.name == "padchest")
    frame = check_index(_frame(table, root), observations=ALL_TASKS, csv=csv)
    train, test = (frame[(table["split"] == name).to_numpy()].reset_index(drop=True) for name in ("train", "test"))
    if test.empty:
        raise DataError(f"{csv}: no row to test on, which takes MethodLabel={PHYSICIAN} and labels that say something")
    return Release("padchest", root, ALL_TASKS, train, None, {"test": test}, (csv,), dropped)


def _cut(table: pd.DataFrame, *, trained: bool) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    """The rows that can be used, with a column `split`: train or test."""
    patients = table["PatientID"]
    tested = patients.map({patient: not trained or _held_out(patient) for patient in patients.unique()}).astype(bool)
    table = table.assign(split=np.where(tested, "test", "train"))
    photometric = table.get(PHOTOMETRIC, pd.Series("", table.index))
    rules = (
        (PHOTOMETRIC, f"{UNSURE}, inverted or not", photometric != UNSURE),
        ("Projection", f"none of {', '.join(VIEWS)}", table["Projection"].isin(VIEWS)),
        ("Labels", "neither a finding nor normal", table["Labels"].fillna("[]").map(_says_something)),
        (
            "MethodLabel",
            "to be tested on, and not labelled by physicians",
            ~tested | (table["MethodLabel"] == PHYSICIAN),
        ),
    )
    return common.cut(table, rules, split=table["split"], patient="PatientID")


def _held_out(patient: str) -> bool:
    # not the hash that the validation split goes by: of that, the lowest tenth would leave no patient to validate on
    digest = hashlib.sha256(f"PadChest, tested on: {patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT * 2**64


def _says_something(text: str) -> bool:
    labels = _labels(text)
    return "exclude" not in labels and not labels <= SAYS_NOTHING


def _frame(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    name = table["ImageID"]
    frame = pd.DataFrame(
        {
            "path": common.paths(
                name.str.rsplit(".", n=1).str[0], common.locate(root, FOLDERS), table["ImageDir"] + "/" + name
            ),
            "patient": table["PatientID"],
            "study": table["PatientID"] + "/" + table["StudyID"],
            "view": table["Projection"].map({name: view for name, (view, _) in VIEWS.items()}),
            "sex": table["PatientSex_DICOM"].map(SEXES).fillna("Unknown"),
            "age": table["StudyDate_DICOM"].str[:4].astype(float) - table["PatientBirth"].astype(float),
            "ap_pa": table["Projection"].map({name: ap_pa for name, (_, ap_pa) in VIEWS.items()}),
            "row": table["row"],
        }
    )
    return common.with_observations(frame, common.named_findings(table["Labels"], _labels, FINDINGS))
