import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench.data.images import ChestXrayDataset, TrainingSampler, evaluation_loader, read_image, training_loader
from bench.data.sets import Split
from bench.errors import DataError


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = rng.integers(0, 256, (64, 78), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def dataset(root, *, resize=64, crop=64):
    labels = np.arange(10.0)[:, None] % 2
    return ChestXrayDataset(
        root, Split(pd.DataFrame({"path": [f"{n}.png" for n in range(10)]}), labels), resize=resize, crop=crop
    )


def test_the_shorter_side_is_resized_and_the_aspect_kept(root):
    assert read_image(root / "0.png", 32).shape == (32, 39)
    Image.new("L", (50, 100)).save(root / "tall.png")
    assert read_image(root / "tall.png", 25).shape == (50, 25)
    assert read_image(root / "0.png", 64).shape == (64, 78)


def test_an_unchanged_size_leaves_every_pixel(root):
    np.testing.assert_array_equal(read_image(root / "0.png", 64), np.asarray(Image.open(root / "0.png")))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such image"), (b"", "cannot be decoded"), (b"GIF89a", "cannot")]
)
def test_an_image_that_cannot_be_read_is_named(root, content, message):
    path = root / "bad.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"bad.png: {message}"):
        read_image(path, 64)


def test_a_truncated_jpeg_is_refused(root):
    Image.open(root / "0.png").save(root / "whole.jpg")
    (root / "torn.jpg").write_bytes((root / "whole.jpg").read_bytes()[:-500])
    with pytest.raises(DataError, match=r"torn.jpg: cannot be decoded \(.*truncated"):
        read_image(root / "torn.jpg", 64)


def test_crops_lie_where_the_draw_says(root):
    whole = np.asarray(Image.open(root / "3.png"))
    item = dataset(root, crop=40)[(3, 0.0, 1.0)]
    np.testing.assert_array_equal(item["image"][0], whole[:40, 38:])
    centre = dataset(root, crop=40)[(3, 0.5, 0.5)]
    np.testing.assert_array_equal(centre["image"][0], whole[12:52, 19:59])
    assert item["image"].shape == (1, 40, 40)
    assert (item["row"], item["label"].tolist()) == (3, [1.0])


def test_a_crop_larger_than_the_image_is_refused(root):
    with pytest.raises(DataError, match="crop=65 is larger than protocol.image.resize=64"):
        dataset(root, crop=65)


def test_an_epoch_is_a_permutation_that_seed_and_epoch_decide():
    sampler = TrainingSampler(50, seed=0)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(row for row, _, _ in first) == list(range(50))
    sampler.set_epoch(1)
    second = list(sampler)
    assert [row for row, _, _ in second] != [row for row, _, _ in first]
    assert list(TrainingSampler(50, seed=1)) != first


def batches(loader):
    return [{key: value.clone() for key, value in batch.items()} for batch in loader]


def test_the_number_of_workers_changes_nothing(root):
    plain = batches(training_loader(dataset(root, crop=32), batch_size=3, seed=0, workers=0))
    parallel = batches(training_loader(dataset(root, crop=32), batch_size=3, seed=0, workers=2))
    assert len(plain) == 3, "the incomplete batch is dropped"
    for one, other in zip(plain, parallel, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in ("image", "label", "row"))


def test_evaluation_sees_every_image_once_in_order(root):
    seen = batches(evaluation_loader(dataset(root, crop=32), batch_size=4, workers=0))
    assert torch.cat([batch["row"] for batch in seen]).tolist() == list(range(10))
