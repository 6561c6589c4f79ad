"""MIMIC-CXR-JPG: 377,110 X-rays of 227,827 studies, labels of CheXpert's or NegBio's labeller, an official split.

Source: Johnson et al., arXiv 1901.07042; files and columns at https://physionet.org/content/mimic-cxr-jpg/2.1.0/, whose
files still carry 2.0.0 in their names.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pandera.pandas as pa

from bench.data.index import check_index
from bench.data.sources import Release, common
from bench.data.sources.files import as_they_lie
from bench.data.tables import read_table
from bench.data.tasks import ALL_TASKS, OBSERVATIONS, task_name
from bench.schema import DataConfig

LABELS, SPLIT, METADATA = (
    tuple(f"mimic-cxr-2.0.0-{part}.csv{ending}" for ending in (".gz", "")) for part in ("chexpert", "split", "metadata")
)
"""The files as downloaded, or unpacked. NegBio's labels are `data.labels_file=mimic-cxr-2.0.0-negbio.csv.gz`."""

TEST_LABELS = "mimic-cxr-2.1.0-test-set-labeled.csv"
"""What a radiologist said of test studies (release 2.1.0), keyed by study_id: `data.test=official`."""
AIRSPACE = {"Lung Opacity": "Airspace Opacity"}
"""Its name for that observation."""

VIEWS: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {"AP": ("frontal", "AP"), "PA": ("frontal", "PA"), "LATERAL": ("lateral", None), "LL": ("lateral", None)}
)
"""(view, AP or PA) by ViewPosition; LL is a left lateral. All others (oblique, decubitus, axial, blank) are dropped."""

SPLITS = ("train", "validate", "test")
KEYS = ("subject_id", "study_id")

SPLIT_COLUMNS: Mapping[str, tuple[pa.Check, ...]] = MappingProxyType(
    {
        "dicom_id": (common.filled("dicom_id"), common.once("dicom_id")),
        "split": (common.filled("split"), common.among("split", SPLITS)),
    }
)
METADATA_COLUMNS: Mapping[str, tuple[pa.Check, ...]] = MappingProxyType(
    {
        "dicom_id": (common.filled("dicom_id"), common.once("dicom_id")),
        "subject_id": (common.filled("subject_id"),),
        "study_id": (common.filled("study_id"),),
        "ViewPosition": (),
    }
)
LABEL_COLUMNS: Mapping[str, tuple[pa.Check, ...]] = MappingProxyType(
    {
        "subject_id": (common.filled("subject_id"),),
        "study_id": (common.filled("study_id"), common.once("study_id")),
        **{name: (common.numbers(name, (1, 0, -1)),) for name in OBSERVATIONS},
    }
)


TEST_COLUMNS: Mapping[str, tuple[pa.Check, ...]] = MappingProxyType(
    {
        "study_id": LABEL_COLUMNS["study_id"],
        **{AIRSPACE.get(name, name): (common.numbers(AIRSPACE.get(name, name), (1, 0, -1)),) for name in OBSERVATIONS},
    }
)


def read(root: Path, config: DataConfig) -> Release:
    """The official split; every image carries its study's labels. Sex and age are not in this release.

    With `data.test=official` the test images are those of the studies that a radiologist labelled, with these labels.

    Raises:
        DataError: a file is missing, its columns or values are not MIMIC's, or metadata and split differ.
    """
    names = (config.labels_file,) if config.labels_file and config.name == "mimic" else LABELS
    what = "MIMIC-CXR-JPG's CSV files and files/"
    files = common.together(
        *(lambda options=options: common.first_file(root, options, what) for options in (names, SPLIT, METADATA))
    )
    columns = [LABEL_COLUMNS, SPLIT_COLUMNS, METADATA_COLUMNS]
    if config.test == "official":
        files, columns = [*files, root / TEST_LABELS], [*columns, TEST_COLUMNS]
    labels, split, metadata, *official = common.together(
        *(lambda csv=csv, names=names: _read(csv, names) for csv, names in zip(files, columns, strict=True))
    )
    common.same_names(metadata["dicom_id"], split["dicom_id"], f"{files[2]} and {files[1]}")
    table = metadata.assign(row=common.row_numbers(metadata)).merge(split[["dicom_id", "split"]], on="dicom_id")
    table = table.merge(labels, on=list(KEYS), how="left", indicator="labelled")
    table["split"] = table["split"].replace("validate", "valid")
    known = table["labelled"] == "both"
    if official:
        table, known = _relabelled(table, known, official[0])
    rules = (
        ("ViewPosition", f"none of {', '.join(VIEWS)}", table["ViewPosition"].isin(VIEWS)),
        (files[0].name, "of a study without labels", known | (table["split"] == "test") & bool(official)),
        (files[-1].name, "of a study without labels", known),
    )
    table, dropped = common.cut(table, rules, split=table["split"], patient="subject_id")
    frame = check_index(_frame(table, root), observations=ALL_TASKS, csv=files[2])
    train, valid, test = (
        frame[(table["split"] == name).to_numpy()].reset_index(drop=True) for name in ("train", "valid", "test")
    )
    return Release("mimic", root, ALL_TASKS, train, valid, {"test": test}, tuple(files), dropped)


def _relabelled(
    table: pd.DataFrame, known: "pd.Series[bool]", official: pd.DataFrame
) -> tuple[pd.DataFrame, "pd.Series[bool]"]:
    """The table with the radiologist's labels of the test studies in place of a labeller's; which rows have labels."""
    names = list(OBSERVATIONS)
    said = official.set_index("study_id").rename(columns={own: name for name, own in AIRSPACE.items()})
    test = table["split"] == "test"
    table.loc[test, names] = said[names].reindex(table.loc[test, "study_id"]).to_numpy()
    return table, known.where(~test, table["study_id"].isin(said.index))


def _read(csv: Path, columns: Mapping[str, tuple[pa.Check, ...]]) -> pd.DataFrame:
    numbers = [name for name in columns if name in (*OBSERVATIONS, *AIRSPACE.values())]
    texts = [name for name in columns if name not in numbers]
    table = read_table(csv, texts, numbers=numbers, ids=[name for name in KEYS if name in texts])
    return common.declared(table, columns, csv)


def _frame(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    patient, study = "p" + table["subject_id"], "s" + table["study_id"]
    paths = "files/" + patient.str[:3] + "/" + patient + "/" + study + "/" + table["dicom_id"] + ".jpg"
    frame = pd.DataFrame(
        {
            "path": as_they_lie(root, paths),
            "patient": patient,
            "study": patient + "/" + study,
            "view": table["ViewPosition"].map({name: view for name, (view, _) in VIEWS.items()}),
            "sex": "Unknown",
            "age": np.nan,
            "ap_pa": table["ViewPosition"].map({name: ap_pa for name, (_, ap_pa) in VIEWS.items()}),
            "row": table["row"],
        }
    )
    return common.with_observations(frame, table[list(OBSERVATIONS)].rename(columns=task_name).astype(np.float64))
