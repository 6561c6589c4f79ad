"""Which images and patients of a split are used; whatever is left out is counted."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from bench.errors import DataError
from bench.schema import DataConfig


@dataclass(frozen=True)
class Dropped:
    """What one filter left out of one split.

    Attributes:
        filter: the key and value, or the file, that decided: `data.views=frontal`.
        reason: what the images had in common: `not frontal`.
        split: train, valid, test, or the name of an external set.
        images: images left out.
        patients: patients of whom no image is left.
    """

    filter: str
    reason: str
    split: str
    images: int
    patients: int


def keep(frame: pd.DataFrame, config: DataConfig, split: str) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    """Return the rows that pass every filter, and what each filter dropped of those that the filters before it kept.

    Raises:
        DataError: a filter leaves no image.
    """
    dropped: list[Dropped] = []
    for name, reason, passes in _filters(frame, config):
        mask = passes.reindex(frame.index)
        kept = frame[mask]
        dropped.append(counted(frame, kept, name, reason, split))
        if kept.empty:
            raise DataError(f"{name} leaves no image of {split}: all {len(frame)} are {reason}")
        frame = kept
    return frame.reset_index(drop=True), tuple(dropped)


def _filters(frame: pd.DataFrame, config: DataConfig) -> "Iterator[tuple[str, str, pd.Series[bool]]]":
    """(key=value, reason, whether a row passes) of each filter that is set."""
    if config.views in ("frontal", "lateral"):
        yield f"data.views={config.views}", f"not {config.views}", frame["view"] == config.views
    elif config.views != "all":
        side = config.views.upper()
        yield f"data.views={config.views}", f"not {side}, or not said to be", frame["ap_pa"] == side
    if config.sex != "all":
        yield f"data.sex={config.sex}", f"not {config.sex}, or unknown", frame["sex"] == config.sex.capitalize()
    if config.age_min is not None or config.age_max is not None:
        low = 0.0 if config.age_min is None else config.age_min
        high = float("inf") if config.age_max is None else config.age_max
        name = " ".join(
            f"data.{key}={value:g}"
            for key, value in (("age_min", config.age_min), ("age_max", config.age_max))
            if value is not None
        )
        yield name, "of unknown age", frame["age"].notna()
        yield name, "outside the range of age", frame["age"].between(low, high)


def thin(train: pd.DataFrame, config: DataConfig) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    """Return the training rows of a share or a number of patients.

    Both take patients in the order of a hash of their name alone: a smaller share or number lies inside a larger one,
    and a share takes the same patients whoever else is there.

    Args:
        train: an index; validation and test sets are never thinned.
        config: its fraction and patients.

    Raises:
        DataError: both are set, the share is above 1, there are fewer patients than asked for, or none is left.
    """
    if config.patients is None and config.fraction == 1:
        return train, ()
    if config.patients is not None and config.fraction != 1:
        raise DataError(
            f"data.fraction={config.fraction:g} and data.patients={config.patients} both choose the training patients: "
            "give one of them"
        )
    if config.fraction > 1:
        raise DataError(f"data.fraction={config.fraction:g}: a share is above 0 and at most 1")
    places = {patient: place(patient) for patient in train["patient"].unique()}
    if config.patients is None:
        name, chosen = f"data.fraction={config.fraction:g}", {who for who, at in places.items() if at < config.fraction}
    else:
        name, chosen = (
            f"data.patients={config.patients}",
            set(sorted(places, key=places.__getitem__)[: config.patients]),
        )
    if len(chosen) < (config.patients or 1):
        raise DataError(f"{name}: there are {len(places)} training patients, and {len(chosen)} would be chosen")
    kept = train[train["patient"].isin(chosen)].reset_index(drop=True)
    return kept, (counted(train, kept, name, "of other patients", "train"),)


def place(patient: str) -> float:
    """Return a patient's place in [0, 1) in the order by which shares are taken."""
    # not the hash that the validation split goes by: a share of that order would end where the split began
    digest = hashlib.sha256(f"share of training patients: {patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def counted(before: pd.DataFrame, after: pd.DataFrame, name: str, reason: str, split: str) -> Dropped:
    """Return what a filter left out of a split.

    Args:
        before, after: its rows without and with the filter.
    """
    patients = before["patient"].nunique() - after["patient"].nunique()
    return Dropped(name, reason, split, len(before) - len(after), patients)
