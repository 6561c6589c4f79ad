import json
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from bench.cells import runner
from bench.cells.runner import run_cell
from bench.data.decode import decode
from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS
from bench.errors import DataError, MachineError, TrainingError, WeightsError
from bench.networks.models import build_model
from bench.networks.registry import architecture
from bench.sweeps.survey import survey
from bench.tracking.stores import store_of

CONTRACT_TAGS = (
    "cell",
    "arch",
    "family",
    "pretrained",
    "truncate",
    "seed",
    "weights",
    "sweep",
    "data",
    "data_fingerprint",
    "git",
)


def run(config):
    state = run_cell(config, store_of(config))
    return mlflow.MlflowClient(store_of(config).server.uri).get_run(state.run_id)


def artifact(config, run, path):
    return store_of(config).download(run.info.run_id, path)


def predictions(config, run, name="test"):
    return pd.read_parquet(artifact(config, run, f"predictions/{name}.parquet"))


def test_without_the_gpu_that_is_asked_for_nothing_is_recorded(configure, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = configure("trainer=gpu")
    with pytest.raises(MachineError, match="trainer=gpu"):
        run_cell(config, store_of(config))
    assert [cell.state for cell in survey([config], now=time.time())] == ["missing"]


def test_a_gpu_that_cannot_be_used_is_said(configure, monkeypatch):
    monkeypatch.setattr(runner, "unused_gpu", lambda trainer: f"not used, {trainer.accelerator}")
    monkeypatch.setattr(runner, "fit_and_predict", lambda *_: 1 / 0)
    config, said = configure(), []
    with pytest.raises(ZeroDivisionError):
        run_cell(config, store_of(config), announce=said.append)
    assert "not used, auto" in said


def test_a_cell_leaves_what_the_contract_says(configure, phantom_root):
    config = configure("sweep.name=mine")
    done = run(config)
    tags, params, metrics = done.data.tags, done.data.params, done.data.metrics
    assert done.info.status == "FINISHED"
    assert done.info.run_name == "resnet18-scratch-t0-s0-32px"
    assert {name: tags[name] for name in CONTRACT_TAGS if name not in ("cell", "data_fingerprint", "git")} == {
        "arch": "resnet18", "family": "ResNet", "pretrained": "false", "truncate": "0", "seed": "0",
        "weights": "none", "sweep": "mine", "data": "chexpert",
    }  # fmt: skip
    assert len(tags["cell"]) == len(tags["data_fingerprint"]) == 16
    assert params["protocol.lr"] == "0.0003"
    assert params["evaluation.tasks"] == ",".join(COMPETITION_TASKS)
    assert metrics["parameters"] == 11_183_694  # PROTOCOL: 11.184 million with the 14-output head
    assert metrics["train/images_per_second"] > 0
    assert metrics["macs"] == pytest.approx(1.82e9 * (32 / 224) ** 2, rel=0.02)  # resnet18's published 1.82 at 224 px
    assert 0 < metrics["latency_ms"] < 1000
    assert (metrics["last_map/channels"], metrics["last_map/height"], metrics["last_map/stride"]) == (512, 1, 32)
    assert 0 < metrics["fit_seconds"] < 600
    assert np.isfinite(metrics["train/loss"])

    file = pd.read_csv(phantom_root / "valid.csv")
    frame = predictions(config, done)
    assert list(frame.columns) == ["path", "patient", "study", "view", "sex", "age"] + [
        f"{kind}/{task}" for kind in ("label", "score") for task in ALL_TASKS
    ]
    assert list(frame["path"]) == list(file["Path"].str.split("/", n=1).str[1])
    np.testing.assert_array_equal(frame["label/edema"], file["Edema"])
    assert frame["score/edema"].dtype == np.float64
    assert frame["score/edema"].between(0, 1).all()

    for name in ("valid", "test"):
        studies = predictions(config, done, name).groupby("study").max(numeric_only=True)
        expected = [roc_auc_score(*_known(studies, task)) for task in COMPETITION_TASKS]
        assert [metrics[f"{name}/auroc/{task}"] for task in COMPETITION_TASKS] == pytest.approx(expected, abs=1e-12)
        assert metrics[f"{name}/auroc"] == pytest.approx(np.mean(expected), abs=1e-12)

    resolved = OmegaConf.load(artifact(config, done, "config.yaml"))
    assert resolved.arch.name == "resnet18"
    with open(artifact(config, done, "environment.json"), encoding="utf-8") as stream:
        assert json.load(stream)["versions"]["timm"]


def _known(studies, task):
    known = studies[f"label/{task}"].notna()
    return studies.loc[known, f"label/{task}"], studies.loc[known, f"score/{task}"]


def test_done_is_done(configure, monkeypatch):
    config = configure()
    first = run(config)
    monkeypatch.setattr(runner, "_train_and_record", lambda *_: pytest.fail("a finished cell was trained again"))
    assert run(configure("trainer=cpu", "trainer.workers=0")).info.run_id == first.info.run_id


def test_equal_cells_predict_the_same_bits_and_seeds_differ(configure):
    config = configure()
    first = predictions(config, run(config))
    other_place = configure("tracking.experiment=elsewhere", "trainer.workers=2")
    pd.testing.assert_frame_equal(predictions(other_place, run(other_place)), first, check_exact=True)
    other_seed = configure("seed=1")
    assert not predictions(other_seed, run(other_seed))["score/edema"].equals(first["score/edema"])


def test_the_prediction_is_the_mean_over_the_kept_checkpoints(configure, phantom_root):
    """Each stored state is applied by hand to the same images; the saved scores must be their mean."""
    config = configure(
        "protocol.checkpoints.every_examples=32", "protocol.checkpoints.keep=3", "trainer.precision=fp32"
    )
    done = run(config)
    frame = predictions(config, done)
    assert (done.data.params["input.mean"], done.data.params["input.std"]) == ("0.485,0.456,0.406", "0.229,0.224,0.225")
    scale = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    images = np.stack([decode(phantom_root / path, 32) for path in frame["path"][:8]])
    left = round(0.5 * (images.shape[2] - 32))
    batch = torch.from_numpy(images[:, None, :, left : left + 32].copy()).float() / 255
    total, states = 0, sorted(Path(artifact(config, done, "checkpoints")).iterdir())
    assert len(states) == 3
    for path in states:
        network = build_model(architecture("resnet18"), outputs=14, weights=None, seed=0).eval()
        network.load_state_dict(load_file(path))
        with torch.no_grad():
            total = total + torch.sigmoid(network((batch - scale[0]) / scale[1]).double()).numpy()
    np.testing.assert_allclose(frame[[f"score/{task}" for task in ALL_TASKS]][:8], total / 3, atol=1e-6)


def test_a_stored_state_says_what_it_is(configure):
    config = configure("protocol.checkpoints.every_examples=32", "protocol.checkpoints.keep=2")
    done = run(config)
    history = mlflow.MlflowClient(store_of(config).server.uri).get_metric_history(done.info.run_id, "valid/auroc")
    by_images = {}
    for point in history:  # the last one at the last step is the final prediction's
        by_images.setdefault(point.step, point.value)
    paths = sorted(Path(artifact(config, done, "checkpoints")).iterdir())
    kept = []
    for path in paths:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        assert header["mean"] == "0.485,0.456,0.406"
        images = 16 * int(path.stem.removeprefix("step="))
        kept.append(images)
        assert float(header["valid/auroc"]) == by_images[images]
    best = sorted(by_images, key=lambda images: (-by_images[images], images))[:2]
    assert sorted(kept) == sorted(best)


@pytest.mark.parametrize(("which", "files"), [("best", 1), ("none", 0)])
def test_how_many_states_are_stored_is_a_choice(configure, which, files):
    config = configure(
        "protocol.checkpoints.every_examples=32", "protocol.checkpoints.keep=3", f"tracking.checkpoints={which}"
    )
    client = mlflow.MlflowClient(store_of(config).server.uri)
    assert len(client.list_artifacts(run(config).info.run_id, "checkpoints")) == files


def test_the_average_is_a_choice_that_makes_another_cell(configure):
    overrides = ["protocol.checkpoints.every_examples=32", "protocol.checkpoints.keep=2"]
    frames = []
    for average in ("probability", "task", "weights"):
        config = configure(*overrides, f"protocol.checkpoints.average={average}")
        frames.append(predictions(config, run(config)).filter(like="score/"))
    assert not frames[0].equals(frames[1])
    assert not frames[0].equals(frames[2])


def test_a_failed_cell_is_trained_again_on_request_only(configure, monkeypatch):
    config = configure("trainer.precision=fp32")

    def fail(*_):
        raise DataError("the reason")

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_train_and_record", fail)
        with pytest.raises(DataError, match="the reason"):
            run_cell(config, store_of(config))
    with pytest.raises(TrainingError, match="failed before .*the reason.*retry=failed"):
        run_cell(config, store_of(config))
    assert run(configure("trainer.precision=fp32", "retry=failed")).info.status == "FINISHED"


def test_the_learning_rate_can_be_searched(configure):
    config = configure("protocol.lr=auto", "protocol.lr_grid=[1e-5,1e-3]", "protocol.checkpoints.every_examples=64")
    metrics = run(config).data.metrics
    tried = {float(name.partition("/")[2]): value for name, value in metrics.items() if name.startswith("lr_search/")}
    assert set(tried) == {1e-5, 1e-3}
    assert metrics["lr"] == max(tried, key=tried.get)


def test_without_weights_a_pretrained_cell_fails_and_nothing_replaces_them(configure, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    config = configure("pretrained=true", f"weights.dir={tmp_path}")
    with pytest.raises(WeightsError, match="no weights resnet18.tv_in1k"):
        run_cell(config, store_of(config))
    (left,) = mlflow.MlflowClient(store_of(config).server.uri).search_runs([store_of(config).server.experiment_id])
    assert left.info.status == "FAILED"
    assert left.data.tags["failure"].startswith("WeightsError: no weights resnet18.tv_in1k")
    assert "test/auroc" not in left.data.metrics

    network = build_model(architecture("resnet18"), outputs=3, weights=None, seed=9)
    save_file(network.state_dict(), tmp_path / "resnet18.tv_in1k.safetensors", metadata={"generated": "true"})
    done = run(configure("pretrained=true", f"weights.dir={tmp_path}"))
    assert done.data.tags["weights"] == "resnet18.tv_in1k"
    assert done.data.tags["weights_standin"] == "true"
    assert len(done.data.tags["weights_sha256"]) == 64


def test_no_secret_is_in_anything_that_is_logged(configure, monkeypatch):
    """The store is a file; only what the configuration says of it holds the password."""
    for name in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "hunter2")
    config = configure()
    store = store_of(config)
    config.tracking.uri = "postgresql://me:hunter2@host/db"
    run_id = run_cell(config, store).run_id
    done = mlflow.MlflowClient(store.server.uri).get_run(run_id)
    assert done.data.params["tracking.uri"] == "postgresql://me:***@host/db"
    assert "hunter2" not in str(done.to_dictionary())
    folder = store.download(run_id, "")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"config.yaml", "environment.json"} <= {path.name for path in files}
    assert [path.name for path in files if b"hunter2" in path.read_bytes()] == []


def test_a_batch_larger_than_the_split_is_refused(configure):
    config = configure("protocol.batch_size=4096")
    with pytest.raises(DataError, match="protocol.batch_size=4096 is larger than the training split"):
        run_cell(config, store_of(config))


def test_a_cell_can_start_from_an_earlier_runs_body(configure):
    """At a learning rate of 0 the convolutions stay those of the source, and the new head is another one."""
    first = run(configure("data.tasks=competition"))
    config = configure("pretrained=true", f"weights=run:{first.info.run_id}", "protocol.lr=0", "seed=3")
    second = run(config)
    assert second.data.tags["weights"] == f"run:{first.info.run_id}"
    (source,), (kept,) = (
        [load_file(path) for path in Path(artifact(config, done, "checkpoints")).iterdir()] for done in (first, second)
    )
    assert torch.equal(source["layer4.1.conv2.weight"], kept["layer4.1.conv2.weight"])
    assert kept["fc.weight"].shape[0] == 14 != source["fc.weight"].shape[0]
    (cell,) = survey([config], now=time.time())
    assert (cell.state, cell.run.run_id) == ("done", second.info.run_id), "found by the same weights"
