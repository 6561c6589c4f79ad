"""Finds the image files that a table names, where their endings or accents are written another way on the disk."""

import os
import unicodedata
from pathlib import Path

import pandas as pd

from bench.errors import DataError

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})
"""Endings of image files, lower case; other files beside the images are not looked at."""

SAMPLE = 256
"""How many images of a set are looked for before all are: a set is converted as a whole, and to ask for every file
takes minutes on a network's disk."""


def stem(name: str) -> str:
    """Return a file's name without an image's suffix: `1.2.840` has none."""
    before, ending = os.path.splitext(name)
    return before if ending.lower() in IMAGES else name


class Folders:
    """Names of the files in the folders below a root, each listed once."""

    def __init__(self, root: Path) -> None:
        self._root, self._listed = root, dict[str, tuple[set[str], dict[str, list[str]]]]()

    def lies(self, path: str) -> str:
        """Return the path with its file's suffix; unchanged if no file, or one of that very name, is there.

        Raises:
            DataError: two files have its name but for the ending.
        """
        folder, slash, name = path.rpartition("/")
        names, images = self._list(folder)
        others = images.get(stem(name), [])
        if name in names or not others:
            return path
        if len(others) > 1:
            pair = " and ".join(f"{folder}{slash}{other}" for other in sorted(others)[:2])
            raise DataError(f"{self._root}: {pair} are one image to the set's table; move one of them elsewhere")
        return f"{folder}{slash}{others[0]}"

    def _list(self, folder: str) -> tuple[set[str], dict[str, list[str]]]:
        """Return all names of a folder, and its images' names by stem."""
        if folder not in self._listed:
            place = f"{self._root}/{folder}"
            names = set(os.listdir(place)) if os.path.isdir(place) else set[str]()
            images: dict[str, list[str]] = {}
            for name in names:
                if stem(name) != name:
                    images.setdefault(stem(name), []).append(name)
            self._listed[folder] = names, images
        return self._listed[folder]


def as_they_lie(root: Path, paths: "pd.Series[str]") -> "pd.Series[str]":
    """Return the paths with the suffixes and accents that the files below `root` have.

    Another ending is taken where a path has none, or where most of the set are not there under their own: a copy of the
    set in another form. What is not there under any stays as it is, so that its absence is reported under that name;
    so does a single image of a set, beside which another file of its name, a mask perhaps, may lie.

    Raises:
        DataError: two files have the name of one that is not there but for the ending.
    """
    given = paths.dropna()
    plain = given.map(str.isascii).astype(bool)
    if not plain.all():
        given = given.where(plain, given[~plain].map(lambda path: _composed(root, path)))
    folders = Folders(root)
    bare = ~given.str.lower().str.endswith(tuple(IMAGES))
    if bare.any():
        given = given.where(~bare, given[bare].map(folders.lies))
    sample = given.iloc[:: max(1, len(given) // SAMPLE)]
    missing = [path for path in sample if not os.path.exists(f"{root}/{path}")]
    if 2 * len(missing) > len(sample) and any(folders.lies(path) != path for path in missing):
        given = given.map(folders.lies)
    return given.reindex(paths.index).astype("str")


def _composed(root: Path, path: str) -> str:
    """Return the path with its accents composed or decomposed, whichever names a file."""
    ways = [path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))]
    return next((way for way in ways if os.path.exists(f"{root}/{way}")), ways[1])
