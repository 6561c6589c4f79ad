"""Published figures, each row with its source and its status: quoted, digitised, not readable or ours."""

from functools import cache
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).resolve().parent
DIGITISED_ERROR = 0.0001
"""Largest error of a digitised AUROC (PROTOCOL, "Known")."""


def figure1() -> pd.DataFrame:
    """The points of CheXtransfer's Figure 1, one row an architecture.

    Returns:
        16 rows in the paper's order: arch, model (the paper's name), family, imagenet_top1, auroc_pretrained,
        auroc_scratch (0 to 1; digitised, NaN where not readable) and parameters (ours: with the 14-output head, by
        which the paper counts; PROTOCOL, "Known").
    """
    rows = figure1_rows()
    wide = rows.set_index(["arch", "model", "family", "quantity"])["value"].unstack("quantity")  # noqa: PD010 (pivot_table averages duplicates)
    wide = wide.loc[pd.MultiIndex.from_frame(rows[["arch", "model", "family"]].drop_duplicates())].reset_index()
    wide.columns.name = None
    return wide[["arch", "model", "family", "imagenet_top1", "auroc_pretrained", "auroc_scratch", "parameters"]]


def figure1_rows() -> pd.DataFrame:
    """The same as stored, one row a quantity: arch, model, family, quantity, value, status, source."""
    return _read("chextransfer_figure1.csv").copy()


def printed() -> pd.DataFrame:
    """The correlations that the paper prints: x, y, subset, method, value, n, status, source."""
    return _read("chextransfer_printed.csv").copy()


def imagenet_top1() -> pd.DataFrame:
    """timm's published ImageNet top-1, one row a weight tag and image size.

    Returns:
        weights (`<timm name>.<tag>`), arch, img_size (px), top1_percent, default (whether the size is the tag's own:
        `input_size` of its configuration in timm 1.0.31), paper_era (whether the tag is the one nearest to the
        paper's weights; PROTOCOL, "ImageNet weights"), status, source.
    """
    return _read("imagenet_top1.csv").copy()


@cache
def top1(weights: str) -> float:
    """ImageNet top-1 (0 to 1) of a weight tag at its own image size, NaN where timm publishes none.

    >>> top1("densenet121.tv_in1k")
    0.7475
    """
    rows = _read("imagenet_top1.csv")
    found = rows.loc[(rows["weights"] == weights) & rows["default"], "top1_percent"]
    return round(float(found.iloc[0]) / 100, 5) if len(found) else float("nan")


@cache
def paper_era(arch: str) -> str:
    """The architecture's weight tag nearest to the paper's, empty where it is none of the 16."""
    rows = _read("imagenet_top1.csv")
    found = rows.loc[(rows["arch"] == arch) & rows["paper_era"], "weights"]
    return str(found.iloc[0]) if len(found) else ""


def label(arch: str) -> str:
    """The paper's name of an architecture, `DenseNet121` for `densenet121`; the name itself for any other."""
    rows = _read("chextransfer_figure1.csv")
    found = rows.loc[rows["arch"] == arch, "model"]
    return str(found.iloc[0]) if len(found) else arch


@cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / name)
