import json

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from bench.config import compose_config
from bench.errors import DataError
from bench.networks.models import build_model
from bench.networks.registry import architecture
from bench.networks.weights import locate
from bench.pretrain import main, pretrain
from bench.schema import SourceConfig, WeightsConfig
from bench.training.classification import open_folder

ROW = architecture("resnet18")


@pytest.fixture
def folder(tmp_path):
    """Two classes that differ in brightness: learnt within a few steps."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("valid", 8)):
        for name, level in (("dark", 60), ("light", 190)):
            place = tmp_path / "images" / part / name
            place.mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(-30, 30, (40, 48, 3))
                Image.fromarray((level + noise).astype(np.uint8)).save(place / f"{number}.png")
    return tmp_path / "images"


def settings(folder, tmp_path, *overrides):
    own = (f"source.root={folder}", f"weights.dir={tmp_path}/weights", "image=32", "batch_size=8", "epochs=3")
    return compose_config([*own, "trainer.workers=0", *overrides], "pretrain")


def test_the_exported_body_is_what_a_cell_then_starts_from(folder, tmp_path):
    path = pretrain(settings(folder, tmp_path))
    assert path == tmp_path / "weights" / "resnet18.folder.safetensors"
    found = locate(ROW, WeightsConfig(tag="folder", dir=str(tmp_path / "weights")))
    assert not found.standin
    assert found.source == "image folder images"
    with safe_open(path, framework="pt") as file:
        assert float(file.metadata()["valid_top1"]) > 0.9, "dark and light are told apart"
        assert not [key for key in file.keys() if key.startswith("fc.")]  # noqa: SIM118  # no mapping
    network = build_model(ROW, outputs=14, weights=found, seed=0)
    assert not np.array_equal(
        network.conv1.weight.detach(), build_model(ROW, outputs=14, weights=None, seed=0).conv1.weight.detach()
    )


def test_a_file_that_is_there_is_left_as_it_is(folder, tmp_path):
    config = settings(folder, tmp_path, "weights.tag=mine", "epochs=1")
    path = pretrain(config)
    before = path.read_bytes()
    path.write_bytes(before[:-4] + b"mark")
    assert pretrain(config).read_bytes().endswith(b"mark")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SourceConfig("folder", None), "needs source.root=DIR"),
        (SourceConfig("folder", "/no/such"), r"/no/such: no folder train/"),
    ],
)
def test_a_folder_that_is_none_is_refused(source, message):
    with pytest.raises(DataError, match=message):
        open_folder(source)


def test_different_classes_in_train_and_valid_are_refused(folder):
    (folder / "valid" / "dark").rename(folder / "valid" / "darker")
    with pytest.raises(DataError, match=r"different classes \(dark, darker\)"):
        open_folder(SourceConfig("folder", str(folder)))


def test_a_wrong_key_is_refused(capsys):
    assert main(["epoch=3"]) == 2
    assert "did you mean 'epochs'" in capsys.readouterr().err


def test_generated_shapes_are_marked_as_such(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("bench.data.generated.shapes.generate", lambda root, _: (made.append(root), _two_classes(root)))
    source = SourceConfig("shapes", str(tmp_path / "shapes"))
    assert open_folder(source).generated
    assert open_folder(source).classes == ("a", "b")
    assert made == [tmp_path / "shapes"], "generated once"
    assert json.dumps(open_folder(source).generated) == "true"


def _two_classes(root):
    for part in ("train", "valid"):
        for name in "ab":
            (root / part / name).mkdir(parents=True)
