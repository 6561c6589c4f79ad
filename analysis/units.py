"""What is resampled: which rows belong together, and whether there are enough of them."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.errors import AnalysisError
from analysis.statistics.auroc import Floats

AUTO = "auto"
FEWEST = 10
"""Units with a positive, and with a negative, below which a task has no interval. Ours: from here on the report's own
covers an AUROC of 0.75 to 0.95 at least 93 % of the time (docs/statistics.md, "Which interval, and how often it
covers")."""
UNITS = {"study": ["patient", "study"], "patient": ["patient"], "image": ["path"]}
"""What is resampled, and the key columns that name it."""


def unit_codes(keys: pd.DataFrame, unit: str) -> tuple[npt.NDArray[np.int64], int]:
    """Which resampling unit each row belongs to: codes [n] from 0, and how many units there are.

    Raises:
        AnalysisError: an unknown unit, or images where the rows are studies.
    """
    if unit not in UNITS:
        raise AnalysisError(f"unit={unit} is not one of {', '.join(UNITS)}")
    if any(name not in keys.columns for name in UNITS[unit]):
        raise AnalysisError(f"unit={unit} needs rows that are images, but the runs are evaluated by study")
    codes = np.asarray(keys.groupby(UNITS[unit], sort=True).ngroup(), dtype=np.int64)
    return codes, int(codes.max()) + 1


def choose_unit(keys: pd.DataFrame, unit: str) -> str:
    """The unit itself; of `auto`, patient where any patient has several studies in these rows, and else study.

    Args:
        unit: auto, study, patient or image.
    """
    if unit != AUTO:
        return unit
    return "patient" if clustered(keys, "study") else "study"


def clustered(keys: pd.DataFrame, unit: str) -> int:
    """How many patients have several of the units in these rows: with any, the units are not independent.

    Args:
        unit: study, patient or image.
    """
    units = keys[["patient", *(name for name in UNITS[unit] if name != "patient")]].drop_duplicates()
    return int((units["patient"].value_counts() > 1).sum())


def dependent_units(keys: pd.DataFrame, unit: str) -> str:
    """Why intervals that resample these units are too narrow; empty where the units are independent.

    Args:
        keys: patient and study of each row.
        unit: study, patient or image.
    """
    n = clustered(keys, unit)
    if n == 0:
        return ""
    several = {"study": "studies", "image": "images"}[unit]
    return f"unit={unit} takes {several} for independent, and {n} of {keys['patient'].nunique()} patients have several"


def unit_strata(labels: Floats, codes: npt.NDArray[np.int64], n_units: int) -> npt.NDArray[np.int64]:
    """One task's stratum of each unit: 2 with a positive row, 1 with negative rows only, 0 without a label.

    Args:
        labels: [n] 0, 1 or NaN, the task's.
        codes: [n] the unit of each row, from 0.
        n_units: how many units there are.

    Returns:
        [n_units] int64.

    >>> unit_strata(np.array([0.0, 1.0, 0.0, np.nan]), np.array([0, 0, 1, 2]), 3).tolist()
    [2, 1, 0]
    """
    strata = np.zeros(n_units, dtype=np.int64)
    strata[codes[labels == 0]] = 1
    strata[codes[labels == 1]] = 2
    return strata


def too_few(labels: Floats, codes: npt.NDArray[np.int64], n_units: int, fewest: int = FEWEST) -> str:
    """Why a task has no interval: units with a positive, or with a negative, that are too few; else empty.

    Args:
        labels: [n] 0, 1 or NaN, the task's.
        codes: [n] the unit of each row, from 0.
        n_units: how many units there are.
        fewest: that are enough.

    >>> too_few(np.array([1.0, 1.0] + [0.0] * 20), np.array([0, 0, *range(20)]), 20)
    'too few positives (1)'
    """
    of = {"positives": unit_strata(labels, codes, n_units), "negatives": unit_strata(1 - labels, codes, n_units)}
    counts = {word: int((strata == 2).sum()) for word, strata in of.items()}
    return "; ".join(f"too few {word} ({n})" for word, n in counts.items() if n < fewest)
