import errno
import gc
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import get_ident

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench.config import compose_config
from bench.data.cache import open_cache
from bench.data.images import AHEAD, Images, drop_bad, evaluation_loader, flip, open_caches, training_loader
from bench.data.resident import ResidentImages
from bench.data.sets import Split
from bench.errors import DataError

SIDE = 64


@pytest.fixture
def split(tmp_path):
    """Ten pictures, taller and wider than the crop, that differ in every pixel."""
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(10):
        shape = (64, 78) if number % 2 else (80, 64)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{number}.png")
    frame = pd.DataFrame({"path": [f"{n}.png" for n in range(10)], "csv": "all.csv", "row": range(2, 12)})
    labels = np.stack([np.arange(10.0) % 2, np.full(10, np.nan)], 1)
    return Split(root=folder, frame=frame, labels=labels)


def cache_of(split, on_bad="raise"):
    frames, folder = {"train": split.frame}, split.root.parent / "cache"
    return open_cache(split.root, frames, shorter_side=SIDE, folder=folder, on_bad=on_bad, progress=False)


def source(split, *, crop=32, **options):
    return Images(cache_of(split), split, crop=crop, **options)


def batches(loader):
    return [{key: value.clone() for key, value in batch.items()} for batch in loader]


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(
        one.keys() == other.keys() and all(torch.equal(one[key].nan_to_num(7), other[key].nan_to_num(7)) for key in one)
        for one, other in zip(ours, theirs, strict=True)
    )


def test_a_batch_is_what_its_draws_say(split):
    loader = training_loader(source(split), batch_size=3, seed=0, workers=0)
    drawn, seen = list(loader.sampler), batches(loader)
    assert len(seen) == len(loader) == 3, "the incomplete batch is dropped"
    for draws, batch in zip(drawn, seen, strict=True):
        assert {key: (tuple(value.shape), value.dtype) for key, value in batch.items()} == {
            "image": ((3, 1, 32, 32), torch.uint8),
            "label": ((3, 2), torch.float32),
            "row": ((3,), torch.int64),
            "flip": ((3,), torch.bool),
        }
        assert batch["row"].tolist() == draws.rows.tolist()
        assert batch["label"][:, 0].tolist() == [row % 2 for row in draws.rows]
        assert batch["label"][:, 1].isnan().all()
        for i, row in enumerate(draws.rows):
            whole = np.asarray(Image.open(split.root / f"{row}.png"))
            top = round(draws.vertical[i] * (whole.shape[0] - 32))
            left = round(draws.horizontal[i] * (whole.shape[1] - 32))
            np.testing.assert_array_equal(batch["image"][i, 0], whole[top : top + 32, left : left + 32])


def test_evaluation_cuts_at_the_centre_and_in_order(split):
    seen = batches(evaluation_loader(source(split), batch_size=4, workers=0))
    assert torch.cat([batch["row"] for batch in seen]).tolist() == list(range(10))
    whole = np.asarray(Image.open(split.root / "0.png"))
    np.testing.assert_array_equal(seen[0]["image"][0, 0], whole[24:56, 16:48])


def test_workers_change_nothing_over_epochs(split):
    loaders = [
        training_loader(source(split, flip=True), batch_size=3, micro_batch=1, seed=0, workers=n) for n in (0, 2)
    ]
    for epoch in range(2):
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
        assert equal(*(batches(loader) for loader in loaders))
    both = [batches(evaluation_loader(source(split), batch_size=4, workers=n)) for n in (0, 2)]
    assert equal(*both)


def test_workers_fill_no_more_than_a_few_batches_ahead(split, monkeypatch):
    images, filled = source(split), []
    original = images.cache.crops

    def counted(*given, **to):
        filled.append(get_ident())
        return original(*given, **to)

    monkeypatch.setattr(images.cache, "crops", counted)
    coming = iter(training_loader(images, batch_size=1, seed=0, workers=2))
    next(coming)
    coming.close()  # waits for what is being filled
    assert 1 <= len(filled) <= 2 * AHEAD + 1
    assert get_ident() not in filled
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_what_stops_a_worker_stops_who_asks_it(split, monkeypatch):
    images = source(split)

    def broken(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(images.cache, "crops", broken)
    with pytest.raises(OSError, match="Input/output error"):
        batches(training_loader(images, batch_size=3, seed=0, workers=2))


def test_images_on_the_device_need_no_workers(split):
    coming = iter(training_loader(source(split, resident=True), batch_size=3, seed=0, workers=2))
    next(coming)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_resumed_epoch_serves_the_rest(split):
    whole = training_loader(source(split), batch_size=3, seed=0, workers=0)
    resumed = training_loader(source(split), batch_size=3, seed=0, workers=2)
    resumed.sampler.start(0, 2)
    assert equal(batches(resumed), batches(whole)[2:])


def test_processes_share_the_evaluation_without_repeats(split):
    parts = [evaluation_loader(source(split), batch_size=2, workers=0, rank=rank, world=3) for rank in range(3)]
    assert sorted(int(row) for part in parts for batch in part for row in batch["row"]) == list(range(10))


def test_a_crop_larger_than_the_images_is_refused(split):
    with pytest.raises(DataError, match="crop=65 is larger than protocol.image.resize=64"):
        source(split, crop=65)


def test_flip_exchanges_left_and_right_where_it_is_asked_to():
    images = torch.arange(24, dtype=torch.uint8).view(2, 1, 3, 4)
    flipped = flip(images, torch.tensor([True, False]))
    np.testing.assert_array_equal(flipped[0, 0], np.fliplr(images[0, 0]))
    np.testing.assert_array_equal(flipped[1, 0], images[1, 0])
    assert flipped.dtype == torch.uint8


def test_bad_images_are_dropped_with_their_labels(split):
    assert drop_bad(split, cache_of(split)) is split
    (split.root / "3.png").unlink()
    cache = cache_of(split, on_bad="skip")
    kept = drop_bad(split, cache)
    assert kept.frame["path"].tolist() == [f"{n}.png" for n in range(10) if n != 3]
    assert kept.frame.index.tolist() == list(range(9))
    np.testing.assert_array_equal(kept.labels[:, 0], [n % 2 for n in range(10) if n != 3])
    assert len(Images(cache, kept, crop=32)) == 9
    with pytest.raises(DataError, match="3.png"):
        Images(cache, split, crop=32)


def test_splits_below_one_root_share_a_cache_and_others_do_not(split, tmp_path):
    (split.root.parent / "other").symlink_to(split.root)  # another path, the same folder
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.open(split.root / "0.png").save(elsewhere / "0.png")
    other = Split(root=elsewhere, frame=split.frame[:1], labels=split.labels[:1])
    config = compose_config(["data=chexpert", f"data.cache={tmp_path}/cache"]).data
    caches = open_caches({"train": split, "test": split, "nih": other}, config, shorter_side=SIDE)
    assert caches["train"] is caches["test"]
    assert caches["nih"].folder != caches["train"].folder
    assert (len(caches["train"]), len(caches["nih"])) == (10, 1)


@pytest.mark.parametrize("crop", [32, 64])
def test_resident_images_are_the_hosts_pixels(split, crop):
    rows = np.array([7, 2, 2, 9])  # a part of the split, in an order of its own
    part = Split(root=split.root, frame=split.frame.iloc[rows], labels=split.labels[rows])
    host = training_loader(source(split, crop=crop, flip=True), batch_size=5, seed=3, workers=0)
    kept = source(split, crop=crop, flip=True, resident=True)
    resident = ResidentImages(kept.cache, kept.positions, torch.device("cpu"))
    pairs = list(zip(host, training_loader(kept, batch_size=5, seed=3, workers=0), strict=True))
    assert any(ours["flip"].any() for ours, _ in pairs)
    for ours, theirs in pairs:
        assert "image" not in theirs
        image = resident.crops(theirs["row"], theirs["vertical"], theirs["horizontal"], theirs["flip"], crop)
        assert torch.equal(image, flip(ours["image"], ours["flip"]))
        assert torch.equal(theirs["row"], ours["row"])
    few = Images(kept.cache, part, crop=crop)
    held = ResidentImages(few.cache, few.positions, torch.device("cpu"))
    half, never = torch.full((4,), 0.5, dtype=torch.float64), torch.zeros(4, dtype=torch.bool)
    seen = held.crops(torch.arange(4), half, half, never, crop)
    assert torch.equal(seen, next(iter(evaluation_loader(few, batch_size=4, workers=0)))["image"])


def test_a_device_without_room_is_said(split, monkeypatch):
    kept = source(split)

    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("bench.data.resident.torch.empty", full)
    with pytest.raises(DataError, match=r"resident=device needs 0.0 GB for 10 images, and cpu .*resident=host"):
        ResidentImages(kept.cache, kept.positions, torch.device("cpu"))


def own_memory():
    """KiB that belong to this process and no file: what grows where something is copied or kept."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def memory_by_epoch(folder, frame):
    one = Split(root=folder, frame=frame, labels=np.zeros((len(frame), 5)))
    cache = open_cache(
        folder, {"train": frame}, shorter_side=256, folder=folder.parent / "cache", on_bad="raise", progress=False
    )
    loader = training_loader(Images(cache, one, crop=224), batch_size=16, seed=0, workers=2)
    used = [own_memory()]
    for epoch in range(12):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            assert batch["image"].shape[0] == 16
        gc.collect()
        used.append(own_memory())
    return used


@pytest.mark.slow
def test_memory_stays_flat_over_epochs(tmp_path, monkeypatch):
    """In a process of its own, where nothing else comes and goes and the C library keeps nothing for later."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    folder = tmp_path / "set"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    Image.fromarray(pixels).save(folder / "0.png")
    for number in range(1, 600):  # 39 MB decoded
        (folder / f"{number}.png").symlink_to(folder / "0.png")
    frame = pd.DataFrame({"path": [f"{n}.png" for n in range(600)], "csv": "all.csv", "row": range(600)})
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        used = alone.submit(memory_by_epoch, folder, frame).result()
    assert max(used) - used[0] < 4_000, f"KiB before and after each epoch: {used}"
