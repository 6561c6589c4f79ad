import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.cells.runner import run_cell
from bench.export import main
from bench.tracking.stores import store_of

RUN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no value for run"),
        (["run=12"], "run=12: not an MLflow run id"),
        ([f"run={RUN}", "images=1"], "images=1: must be at least 2"),
        ([f"run={RUN}", "image=3"], "did you mean 'images'"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_is_not_there_is_said(tmp_path, capsys):
    assert main([f"run={RUN}", f"tracking.uri=sqlite:///{tmp_path}/none.db"]) == 1
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "depth", "keep", "precision"),
    [
        ("resnet18", 0, 2, "bf16"),
        ("densenet121", 0, 1, "fp32"),
        ("mobilenetv3_large_100", 0, 1, "fp32"),
        ("efficientnet_b0", 3, 2, "fp32"),
    ],
)
def test_the_onnx_file_gives_the_scores_of_record(
    arch, depth, keep, precision, configure, phantom_root, tmp_path, capsys
):
    """The scores are made again from the image files with Pillow and onnxruntime alone."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    config = configure(
        f"arch={arch}", f"truncate={depth}", "protocol.image.resize=320", "protocol.image.crop=64",
        "protocol.checkpoints.every_examples=48", f"protocol.checkpoints.keep={keep}", f"trainer.precision={precision}",
    )  # fmt: skip
    run_id = run_cell(config, store_of(config)).run_id
    out = tmp_path / "exported"
    assert main([f"run={run_id}", f"tracking.uri={config.tracking.uri}", f"out={out}", "images=8"]) == 0
    assert "over 8 of its test images" in capsys.readouterr().out

    about = json.loads((out / "preprocessing.json").read_text())
    assert len(about["checkpoints"]) == keep
    session = onnxruntime.InferenceSession(str(out / "prediction.onnx"), providers=["CPUExecutionProvider"])
    frame = pd.read_parquet(store_of(config).download(run_id, "predictions/test.parquet")).iloc[3:9]
    whole = [np.asarray(Image.open(phantom_root / path).convert("L")) for path in frame["path"]]
    assert {image.shape for image in whole} == {(320, 390)}, "nothing to resize"
    pixels = np.stack([image[128:192, 163:227] for image in whole])[:, None]
    (scores,) = session.run(None, {"image": pixels})
    saved = frame[[f"score/{task}" for task in about["output"]["tasks"]]].to_numpy()
    np.testing.assert_allclose(scores, saved, rtol=0, atol=1e-5)
    assert np.ptp(saved, axis=0).max() > 1e-4, "scores that do not depend on the image would agree by chance"
