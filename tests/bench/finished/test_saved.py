import types

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file

from bench.errors import ConfigError, DataError, TrackingError, WeightsError
from bench.finished.saved import open_run, open_store, read_test_images
from bench.networks.models import build_model
from bench.networks.registry import architecture
from bench.schema import StoreConfig

ROW = architecture("resnet18")


class Folder:
    """A tracking store that is a folder; its one run is a1."""

    def __init__(self, place):
        self.place, self.root = place, place / "a1"
        self.numbers = {"input.mean": "0.5,0.4,0.3", "input.std": "0.2,0.25,0.5"}

    def artifacts(self, run_id, folder):
        run = self.place / run_id
        return sorted(str(path.relative_to(run)) for path in (run / folder).glob("*"))

    def download(self, run_id, path):
        return self.place / run_id / path

    def params(self, run_id):
        return self.numbers if run_id == "a1" else {}


def network(seed, outputs=2, depth=3):
    return build_model(ROW, outputs=outputs, weights=None, seed=seed, depth=depth)


def store_state(folder, step, auroc, made):
    state = {name: value.contiguous() for name, value in made.state_dict().items()}
    save_file(state, folder / "checkpoints" / f"step={step}.safetensors", metadata={"valid/auroc": repr(auroc)})


@pytest.fixture
def store(configure, tmp_path):
    """A run of two tasks as the runner leaves it, with three checkpoints."""
    root = tmp_path / "a1"
    for name in ("checkpoints", "predictions"):
        (root / name).mkdir(parents=True)
    OmegaConf.save(OmegaConf.structured(configure("truncate=3")), root / "config.yaml")
    columns = ["path", "patient", "study", "view", *(f"{kind}/{task}" for kind in ("label", "score") for task in "ab")]
    pd.DataFrame([["x.jpg", "p", "p/s", "frontal", 1.0, 0.0, 0.25, 0.5]], columns=columns).to_parquet(
        root / "predictions" / "test.parquet"
    )
    for step, auroc in ((8, 0.61), (16, 0.75), (24, 0.6)):
        store_state(root, step, auroc, network(step))
    return Folder(tmp_path)


def test_a_run_is_opened_as_it_was_recorded(store):
    run = open_run(store, "a1")
    assert (run.row, run.depth, run.tasks, run.widths) == (ROW, 3, ("a", "b"), (1, 1))
    assert (run.normalisation.mean, run.normalisation.std) == ((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))
    assert run.label == "ResNet-18 -3"
    assert run.config.protocol.image.crop == 32
    assert run.test["score/a"].tolist() == [0.25]


def test_checkpoints_come_best_first_and_ready_to_predict(store):
    checkpoints = open_run(store, "a1").checkpoints
    assert [(item.name, item.auroc) for item in checkpoints] == [
        ("step=16.safetensors", 0.75), ("step=8.safetensors", 0.61), ("step=24.safetensors", 0.6),
    ]  # fmt: skip
    for item, step in zip(checkpoints, (16, 8, 24), strict=True):
        assert not item.network.training
        expected = network(step).state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in item.network.state_dict().items())


def test_a_task_of_three_outputs_has_them(store):
    config = OmegaConf.load(store.root / "config.yaml")
    config.data.uncertain = {"default": "u-ignore", "b": "u-multiclass"}
    OmegaConf.save(config, store.root / "config.yaml")
    for step in (8, 16, 24):
        store_state(store.root, step, 0.5, network(step, outputs=4))
    run = open_run(store, "a1")
    assert run.widths == (1, 3)
    assert run.checkpoints[0].network.head.out_features == 4


def test_a_run_without_stored_checkpoints_is_refused(store):
    for path in (store.root / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(
        WeightsError, match="run a1 has no stored checkpoints .*train its cell with tracking.checkpoints=k"
    ):
        open_run(store, "a1")


def test_an_unfinished_run_is_refused(store):
    (store.root / "predictions" / "test.parquet").unlink()
    with pytest.raises(TrackingError, match="run a1 has no predictions/test.parquet: only a finished run"):
        open_run(store, "a1")


def test_a_checkpoint_of_another_network_is_refused(store):
    store_state(store.root, 16, 0.75, network(0, depth=2))
    with pytest.raises(WeightsError, match=r"step=16.safetensors does not fit resnet18 at truncate=3"):
        open_run(store, "a1")


def test_a_configuration_of_another_version_is_refused(store):
    with (store.root / "config.yaml").open("a") as stream:
        stream.write("optimiser: sgd\n")
    with pytest.raises(ConfigError, match="run a1: its config.yaml is not one of this version .*optimiser"):
        open_run(store, "a1")


def test_a_configuration_with_code_in_it_is_refused_and_not_run(store, tmp_path):
    (store.root / "config.yaml").write_text(f'seed: !!python/object/apply:os.mkdir ["{tmp_path}/made"]\n')
    with pytest.raises(ConfigError, match="run a1: its config.yaml is not one of this version"):
        open_run(store, "a1")
    assert not (tmp_path / "made").exists()


def test_a_configuration_that_asks_for_a_secret_of_this_machine_is_refused(store, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    text = (store.root / "config.yaml").read_text()
    (store.root / "config.yaml").write_text(text.replace("outputs: ", "outputs: ${oc.env:SECRET}"))
    with pytest.raises(ConfigError, match=r"run a1: its config.yaml has places to fill in \(\$\{\.\.\.\}\)") as refused:
        open_run(store, "a1")
    assert "hunter2" not in str(refused.value)


def test_a_run_that_says_no_normalisation_is_refused(store):
    del store.numbers["input.std"]
    with pytest.raises(TrackingError, match=r"run a1 has no params input\.std"):
        open_run(store, "a1")


def test_no_store_is_made_where_there_is_none(tmp_path):
    with pytest.raises(TrackingError, match=r"nothing.db cannot be used: there is no file"):
        open_store(StoreConfig(f"sqlite:///{tmp_path}/nothing.db", "mine"))
    assert not list(tmp_path.iterdir())


def test_images_are_those_of_the_test_set_cut_at_the_centre(configure, phantom_root):
    run = types.SimpleNamespace(config=configure("protocol.image.resize=320", "protocol.image.crop=300"))
    path = pd.read_csv(phantom_root / "valid.csv")["Path"][5].split("/", 1)[1]
    pixels = read_test_images(run, [path, path], None)
    whole = np.asarray(Image.open(phantom_root / path).convert("L"))
    assert whole.shape == (320, 390), "nothing to resize, so that the pixels are the file's"
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.stack([whole[10:310, 45:345]] * 2)[:, None])


def test_a_data_set_that_was_moved_is_found_where_it_is_said_to_be(configure, phantom_root, tmp_path):
    run = types.SimpleNamespace(config=configure("data.root=/no/longer/here"))
    path = pd.read_csv(phantom_root / "valid.csv")["Path"][0].split("/", 1)[1]
    moved = tmp_path / "moved"
    moved.symlink_to(phantom_root)
    assert read_test_images(run, [path], str(moved)).shape == (1, 1, 32, 32)


def test_a_run_leads_to_no_file_outside_its_test_set(configure):
    run = types.SimpleNamespace(config=configure())
    with pytest.raises(DataError, match=r"no test image \.\./private\.jpg"):
        read_test_images(run, ["../private.jpg"], None)
