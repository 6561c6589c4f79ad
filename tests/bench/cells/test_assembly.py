"""Where a training gets its images from, and what becomes of those that cannot be used."""

import shutil

import pandas as pd
import pytest

from bench.cells.identify import identify
from bench.cells.runner import run_cell
from bench.data.resident import ResidentImages
from bench.errors import DataError
from bench.tracking.stores import store_of


@pytest.fixture
def spoilt(phantom_root, tmp_path):
    """A copy of the phantom with an empty image to train on and a torn one to be tested on; the second's path."""
    root = tmp_path / "spoilt"
    shutil.copytree(phantom_root, root)
    (root / "train" / "patient00001" / "study1" / "view1_frontal.jpg").write_bytes(b"")
    torn = pd.read_csv(root / "valid.csv")["Path"].iloc[0].partition("/")[2]
    (root / torn).write_bytes((root / torn).read_bytes()[:-400])
    return root, torn


def scores(config):
    found = store_of(config).find(identify(config).cell.hash)
    return found, pd.read_parquet(store_of(config).download(found.run_id, "predictions/test.parquet"))


def test_images_in_the_devices_memory_train_the_same_bits(configure, monkeypatch):
    served = []
    crops = ResidentImages.crops
    monkeypatch.setattr(ResidentImages, "crops", lambda self, *cut: (served.append(len(cut[0])), crops(self, *cut))[1])
    frames = []
    for where in ("host", "device"):
        config = configure("protocol.image.resize=40", "protocol.image.flip=true", f"data.resident={where}")
        config.tracking.experiment = where  # else the second is done: where images lie is no part of what a cell is
        run_cell(config, store_of(config))
        frames.append(scores(config)[1])
        images = len(identify(config).data.train.frame)
        assert sum(served) == (0 if where == "host" else images // 16 * 16)
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_images_that_are_skipped_are_counted_in_the_run_and_left_out_of_its_predictions(configure, spoilt):
    root, torn = spoilt
    config = configure(f"data.root={root}", "data.on_bad_image=skip")
    run_cell(config, store_of(config))
    state, frame = scores(config)
    assert state.metrics["data/bad_images"] == 2
    table = pd.read_csv(root / "valid.csv")
    assert set(table["Path"].str.partition("/")[2]) - set(frame["path"]) == {torn}


def test_images_that_cannot_be_used_fail_the_run_with_all_of_them(configure, spoilt):
    root, torn = spoilt
    config = configure(f"data.root={root}")
    with pytest.raises(DataError, match=r"2 of \d+ images of .* cannot be used") as caught:
        run_cell(config, store_of(config))
    first = "patient00001/study1/view1_frontal.jpg (row 2 of train.csv) is empty (0 bytes)"
    for said in (first, f"{torn} (row 2 of valid.csv) cannot be decoded: Premature end"):
        assert said in str(caught.value)
    state = store_of(config).find(identify(config).cell.hash)
    assert state.status == "FAILED"
    assert "2 of " in state.failure
