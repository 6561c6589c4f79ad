"""An oracle for every layout: which row of the phantom's own CSV files an image is, found by its pixels."""

import csv
import gzip
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.config import compose_config
from bench.data.generated import phantom
from bench.data.sources import read_release


def pixels(path):
    with Image.open(path) as image:
        grey = np.asarray(image)
    return (grey // 257 if grey.dtype != np.uint8 else grey).astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory):
    """A smaller phantom than elsewhere, as every layout writes all of its images again; tests only read it."""
    root = tmp_path_factory.mktemp("small") / "CheXpert-phantom"
    phantom.generate(root, phantom.PhantomSpec(seed=3, train_patients=40, test_patients=20))
    return root


@pytest.fixture(scope="session")
def phantom_rows(phantom_root):
    """By an image's pixels, its row of train.csv or valid.csv, as text."""
    found = {}
    for split in ("train", "valid"):
        with open(phantom_root / f"{split}.csv", newline="") as file:
            for row in csv.DictReader(file):
                found[pixels(phantom_root / row["Path"].split("/", 1)[1])] = {**row, "split": split}
    return found


@pytest.fixture(scope="session")
def pairs(phantom_rows) -> Callable[..., list]:
    """(row of an index, row of the phantom's CSV) of every image of a frame; each must be one of the phantom's."""

    def pair(frame, root):
        assert len(frame) > 0
        return [(row, phantom_rows[pixels(root / row["path"])]) for row in frame.to_dict("records")]

    return pair


@pytest.fixture(scope="session")
def read() -> Callable[..., object]:
    """Reads a set as the one that is trained on, or with `primary=` as an external one."""

    def reading(name, root, *overrides, primary=None):
        config = compose_config([f"data={primary or name}", *([] if primary else [f"data.root={root}"]), *overrides])
        return read_release(name, root, config.data)

    return reading


@pytest.fixture(scope="session")
def edit() -> Callable[..., None]:
    """Rewrites a CSV file, every value as text, through a function of its frame."""

    def edited(path, change):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "wt", newline="") as file:
            change(table).to_csv(file, index=False)

    return edited
