"""Hashes a data set's content to 16 hex digits."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.data.tables import SHOWN
from bench.errors import DataError

IMAGES = 32
"""How many image files are read: enough to tell the small release from the full one, in milliseconds."""

BLANK = 9
"""What a blank label is hashed as; none of 1, 0 and -1."""


def image_names(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return the lasting name of each image: study and file name, whichever folder a release puts them in."""
    return frame["study"] + "/" + frame["path"].str.replace(r"^.*/", "", regex=True)


def fingerprint(splits: Mapping[str, tuple[Path, pd.DataFrame]], observations: Sequence[str], *, strict: bool) -> str:
    """Return 16 hex digits of every row of every split and of the bytes of a fixed sample of the images.

    Neither the order of the rows nor the folder's name matters. The sample: the images whose name's hash is lowest.

    Args:
        observations: names of the label columns; a split may lack some.
        strict: whether a sampled image must be there; else the images that are missing are part of the fingerprint, so
            that a training without them is not taken for one with them.

    Raises:
        DataError: a sampled image cannot be read, and `strict`; all images that are missing are counted then.
    """
    digest, sample = hashlib.sha256(), dict[tuple[int, str], Path]()
    for name, (root, frame) in splits.items():
        images = image_names(frame)
        hashes = _row_hashes(images, frame, observations)
        digest.update(f"{name}: {len(frame)} of {','.join(observations)}\n".encode())
        digest.update(np.sort(hashes).tobytes())
        order = pd.util.hash_array(images.to_numpy(dtype=object), categorize=False)
        if not strict:
            there = np.array([os.access(f"{root}/{path}", os.F_OK) for path in frame["path"]], np.bool_)
            digest.update(np.sort(order[~there]).tobytes())
        for row in np.argsort(order, kind="stable")[:IMAGES]:
            sample[int(order[row]), images.iloc[row]] = root / frame["path"].iloc[row]
    for key in sorted(sample)[:IMAGES]:
        try:
            digest.update(hashlib.sha256(sample[key].read_bytes()).digest())
        except OSError as error:
            if strict:
                raise DataError(_unread(splits, error)) from None
            digest.update(b"missing")
    return digest.hexdigest()[:16]


def _row_hashes(images: "pd.Series[str]", frame: pd.DataFrame, observations: Sequence[str]) -> npt.NDArray[np.uint64]:
    """[n] uint64."""
    labels = frame.reindex(columns=list(observations)).fillna(BLANK).astype("int8")
    columns = labels.assign(image=images, patient=frame["patient"], view=frame["view"])
    return np.asarray(pd.util.hash_pandas_object(columns, index=False, categorize=False), dtype=np.uint64)


def _unread(splits: Mapping[str, tuple[Path, pd.DataFrame]], error: OSError) -> str:
    """Return a sentence that counts the missing images; or the system's error, if none is missing."""
    rows = [
        (f"{root}/{path}", csv, row)
        for root, frame in splits.values()
        for path, csv, row in frame[["path", "csv", "row"]].itertuples(index=False)
    ]
    gone = [f"{path} (row {row} of {csv})" for path, csv, row in rows if not os.path.exists(path)]
    if not gone:
        return f"{error.filename}: {error.strerror}"
    more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
    return (
        f"{len(gone)} of {len(rows)} images are not there: {', '.join(gone[:SHOWN])}{more}. Mend them, or leave them "
        "out with data.on_bad_image=skip; python -m bench.prepare lists every image that cannot be used, and why"
    )
