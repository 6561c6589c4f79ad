"""CheXpert Plus: CheXpert's images again (DICOM and PNG), with reports and the labels of another labeller.

Its table, `df_chexpert_plus_240401.csv`, says of each image who, which view and which split; the labels are CheXbert's
of one part of the report, a JSON object a line: `impression_fixed.json`, `findings_fixed.json`, `report_fixed.json`.
All come from Stanford AIMI, where CheXpert does. The labels of its `valid` images are CheXbert's, too, and not read:
tests are on what radiologists labelled, CheXpert's own files.

Source: Chambon et al., arXiv 2405.19538; the columns in github.com/Stanford-AIMI/chexpert-plus and in public code that
reads the files. The files themselves were not at hand, so that whatever is otherwise in them is refused.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import json as arrow

from bench.data.sources import common
from bench.data.tables import SHOWN, read_table
from bench.data.tasks import OBSERVATIONS
from bench.errors import DataError

TABLE = "df_chexpert_plus_240401.csv"
FOLDERS = ("PNG", "PNG/PNG")
"""Where its PNG files are unpacked to, beside the root itself."""

COLUMNS = {"path_to_image": "Path", "sex": "Sex", "age": "Age", "frontal_lateral": "Frontal/Lateral", "ap_pa": "AP/PA"}
"""Columns of its table by CheXpert's name for the same."""


def read_rows(csv: Path, labels_file: Path) -> pd.DataFrame:
    """The training rows of its table with the labels of a JSON file, in the columns of CheXpert's train.csv.

    Raises:
        DataError: a file is missing or not CheXpert Plus's, or an image of the one is not in the other.
    """
    table = read_table(csv, [name for name in COLUMNS if name != "age"] + ["split"], numbers=["age"])
    checks = {
        "path_to_image": (common.filled("path_to_image"), common.once("path_to_image")),
        "split": (common.filled("split"), common.among("split", ("train", "valid"))),
    }
    table = common.declared(table, checks, csv)
    table = table[table["split"] == "train"]
    if table.empty:
        raise DataError(f"{csv}: no row of split train")
    labels = _labels(labels_file)
    unlabelled = table.loc[~table["path_to_image"].isin(labels.index), "path_to_image"]
    if len(unlabelled):
        shown = ", ".join(f"{path} (row {row})" for row, path in unlabelled.head(SHOWN).items())
        raise DataError(f"{labels_file}: {len(unlabelled)} images of {csv} have no labels: {shown}")
    values = labels.loc[table["path_to_image"]].set_axis(table.index, axis=0)
    return table.rename(columns=COLUMNS).join(values)


def _labels(file: Path) -> pd.DataFrame:
    """[images, 14] by path_to_image, 1, 0, -1 or NaN."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; it comes with CheXpert Plus, in chexbert_labels")
    columns = {"path_to_image": pa.string()} | dict.fromkeys(OBSERVATIONS, pa.float64())
    options = arrow.ParseOptions(explicit_schema=pa.schema(columns), unexpected_field_behavior="ignore")
    try:
        table: pd.DataFrame = arrow.read_json(file, parse_options=options).to_pandas()
    except pa.ArrowInvalid as error:
        raise DataError(f"{file}: not a JSON object a line with numbers or null as labels ({error})") from None
    empty = [name for name in columns if table[name].isna().all()]
    if "path_to_image" in empty or len(empty) == len(columns) - 1:
        raise DataError(f"{file}: nothing under {', '.join(empty)}; is it one of CheXpert Plus's files of labels?")
    twice = table["path_to_image"].duplicated() | table["path_to_image"].isna()
    if twice.any():
        raise DataError(f"{file}: {twice.sum()} lines have the path_to_image of another or none")
    return table.set_index("path_to_image")
