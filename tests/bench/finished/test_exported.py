import dataclasses
import json
import types

import numpy as np
import pandas as pd
import pytest

from bench.errors import ExportError, MissingExtraError, StorageError
from bench.finished import exported
from bench.finished.exported import TOLERANCE, check, write
from bench.finished.prediction import Prediction, predict
from bench.finished.saved import Checkpoint, SavedRun
from bench.networks.models import Normalisation, build_model
from bench.networks.registry import architecture

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 1, 32, 32)).astype(np.uint8)
TASKS = ("edema", "fracture")
NUMBERS = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))


def files(*shifts):
    return [lambda images, shift=shift: images.mean(axis=(2, 3)) / 255 + shift for shift in shifts]


def checked(*shifts, here=0.0, saved=0.0):
    truth = IMAGES.mean(axis=(2, 3)) / 255
    run = types.SimpleNamespace(run_id="a1")
    return check(run, files(*shifts), truth + here, truth + saved, IMAGES)


def test_the_largest_difference_over_both_files_is_said():
    agreement = checked(2e-5, -5e-5, saved=1e-5)
    assert agreement.images == 20
    assert (agreement.from_scores, agreement.from_checkpoints) == pytest.approx((6e-5, 5e-5))
    assert TOLERANCE == 1e-4


@pytest.mark.parametrize("shift", [2e-4, -2e-4, np.nan])
def test_a_file_that_does_not_compute_the_checkpoints_is_refused(shift):
    with pytest.raises(
        ExportError, match=r"on 20 of its test images .* from the checkpoints themselves, more than 0.0001"
    ):
        checked(0.0, shift, saved=shift)


def test_a_file_that_does_not_give_the_saved_scores_is_refused():
    with pytest.raises(ExportError, match="its saved scores, more than 0.0001, and nothing was written; the images"):
        checked(0.0, saved=2e-4)


def test_files_are_given_one_image_alone_and_then_batches():
    seen = []
    run = types.SimpleNamespace(run_id="a1")
    truth = IMAGES.mean(axis=(2, 3))
    check(run, [lambda images: (seen.append(len(images)), images.mean(axis=(2, 3)))[1]], truth, truth, IMAGES)
    assert seen == [1, 16, 3]


@pytest.fixture
def run(configure, monkeypatch):
    """A run of two checkpoints whose saved scores are right."""
    networks = [build_model(architecture("resnet18"), outputs=2, weights=None, seed=s, depth=3).eval() for s in (0, 1)]
    scores = predict(Prediction(networks, NUMBERS, (1, 1)), IMAGES)
    test = pd.DataFrame(
        {"path": [str(row) for row in range(20)]} | {f"score/{t}": scores[:, i] for i, t in enumerate(TASKS)}
    )
    monkeypatch.setattr(exported, "read_test_images", lambda _, paths, __: IMAGES[[int(path) for path in paths]])
    return SavedRun(
        run_id="a1", config=configure("truncate=3", "trainer.precision=fp32"), row=architecture("resnet18"),
        normalisation=NUMBERS,
        checkpoints=tuple(Checkpoint(f"step={s}.safetensors", 0.5 + s, network) for s, network in enumerate(networks)),
        tasks=TASKS, widths=(1, 1), test=test,
    )  # fmt: skip


@pytest.mark.slow
def test_what_is_written_says_what_a_user_must_know(run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    agreement = write(run, tmp_path / "out", images=7)
    assert agreement.images == 7
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "prediction.onnx", "prediction.pt2", "preprocessing.json",
    ]  # fmt: skip
    about = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert (about["run"], about["output"]["tasks"]) == ("a1", list(TASKS))
    assert about["inside"] == {"divide_by": 255, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.5]}
    assert (about["input"]["resize"], about["input"]["crop"]) == (32, 32)
    assert about["checkpoints"] == {"step=0.safetensors": 0.5, "step=1.safetensors": 1.5}
    assert about["agreement"]["from_scores"] == agreement.from_scores <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "prediction.onnx"))
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == (about["input"]["name"], "tensor(uint8)", [1, 32, 32])
    assert (made.name, made.type, made.shape[1:]) == (about["output"]["name"], "tensor(float)", [2])


@pytest.mark.slow
def test_an_export_that_fails_its_check_leaves_no_file(run, tmp_path):
    wrong = dataclasses.replace(run, test=run.test.assign(**{"score/fracture": run.test["score/fracture"] + 2e-4}))
    with pytest.raises(ExportError, match="differs by 0.0002 from its saved scores"):
        write(wrong, tmp_path / "out", images=7)
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written_is_said(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/out: cannot be written .* give another folder as out=DIR"):
        write(run, tmp_path / "file" / "out", images=2)


def test_a_missing_package_is_said_before_anything_is_done(run, tmp_path, monkeypatch):
    def missing(module, name):
        raise MissingExtraError(f"{module} [{name}]")

    monkeypatch.setattr(exported, "extra", missing)
    with pytest.raises(MissingExtraError, match=r"onnx \[export\]"):
        write(run, tmp_path / "out", images=2)
    assert not (tmp_path / "out").exists()
