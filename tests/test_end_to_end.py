"""The whole way as users type it: weights, 2 x 2 cells, report; each command a process of its own."""

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from bench.paths import PROJECT
from tests.conftest import TINY

TASKS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
ARCHS = ("resnet18", "mobilenetv3_large_100")


def command(*arguments, expect=0):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def cells(place):
    """Arguments shared by every command line below."""
    phantom = ["data=phantom", f"data.root={place}/phantom", "data.phantom.train_patients=90"]
    return [
        *phantom,
        "data.phantom.test_patients=60",
        *TINY,
        f"arch={','.join(ARCHS)}",
        f"weights.dir={place}/weights",
        "weights.tag=folder",
        f"tracking.uri=sqlite:///{place}/mlflow.db",
        f"outputs={place}/outputs",
    ]


@pytest.fixture(scope="module")
def swept(place, cells):
    """First without weights, then with: what the two command lines printed."""
    without = command("bench.run", "-m", *cells, "pretrained=true,false", expect=1)
    rng = np.random.default_rng(0)
    for part in ("train", "valid"):
        for name, level in (("dark", 60), ("light", 190)):
            (place / "images" / part / name).mkdir(parents=True)
            for number in range(8):
                pixels = (level + rng.integers(-30, 30, (32, 32, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(place / "images" / part / name / f"{number}.png")
    command(
        "bench.pretrain", "-m", f"arch={','.join(ARCHS)}", f"source.root={place}/images",
        f"weights.dir={place}/weights", "epochs=1", "image=32", "batch_size=8", "trainer.workers=0",
    )  # fmt: skip
    return without, command("bench.run", "-m", *cells, "pretrained=true,false")


@pytest.fixture(scope="module")
def report(place, swept):
    printed = command("analysis.report", f"tracking.uri=sqlite:///{place}/mlflow.db", f"out={place}/report")
    assert str(place / "report" / "index.html") in printed
    return place / "report"


@pytest.mark.slow
def test_without_weights_the_scratch_cells_finish_and_the_others_say_what_to_do(swept):
    without, _ = swept
    assert "cell 4 of 4" in without
    assert without.count("weights.dir=DIR") >= 2
    table = [line for line in without.splitlines() if line.startswith("│")]
    assert sorted(line.split()[1] + " " + line.split()[3] for line in table) == [
        "mobilenetv3_large_100-pretrained-t0-s0-32px failed",
        "mobilenetv3_large_100-scratch-t0-s0-32px done",
        "resnet18-pretrained-t0-s0-32px failed",
        "resnet18-scratch-t0-s0-32px done",
    ]


@pytest.mark.slow
def test_with_weights_only_the_missing_cells_are_trained(swept):
    _, with_weights = swept
    assert "4 cells: 2 done, 2 missing" in with_weights
    assert "cell 2 of 2" in with_weights
    table = [line for line in with_weights.splitlines() if line.startswith("│")]
    assert [line.split()[3] for line in table] == ["done"] * 4
    assert "mlflow ui --backend-store-uri" in with_weights
    assert "python -m analysis.report" in with_weights


@pytest.mark.slow
def test_the_reports_numbers_are_scikit_learns_on_the_saved_predictions(place, report, tmp_path):
    table = pd.read_csv(report / "tables" / "auroc.csv")
    runs = mlflow.MlflowClient(f"sqlite:///{place}/mlflow.db").search_runs(["1"], "attributes.status = 'FINISHED'")
    assert len(runs) == 4
    for run in runs:
        path = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id,
            artifact_path="predictions/test.parquet",
            tracking_uri=f"sqlite:///{place}/mlflow.db",
            dst_path=str(tmp_path / run.info.run_id),
        )
        studies = pd.read_parquet(path).groupby("study").max(numeric_only=True)
        expected = {task: roc_auc_score(studies[f"label/{task}"], studies[f"score/{task}"]) for task in TASKS}
        expected["mean"] = np.mean(list(expected.values()))
        rows = table[table["cell"] == run.data.tags["cell"]].set_index("task")
        assert rows["estimate"].to_dict() == pytest.approx(expected, abs=1e-12)
        assert (rows["low"] < rows["estimate"]).all()
        assert (rows["estimate"] < rows["high"]).all()
        assert set(rows["n"]) == {len(studies)}
        assert set(rows["n_resamples"]) == {0}  # DeLong's, in closed form
        several = pd.read_parquet(path).groupby("patient")["study"].nunique().max() > 1
        assert set(rows["unit"]) == {"patient" if several else "study"}


@pytest.mark.slow
def test_the_boost_is_the_paired_difference(report):
    auroc, boost = (pd.read_csv(report / "tables" / f"{name}.csv") for name in ("auroc", "boost"))
    means = auroc[auroc["task"] == "mean"].set_index(["arch", "pretrained"])["estimate"]
    rows = boost[boost["task"] == "mean"].set_index("arch")
    assert set(rows.index) == set(ARCHS)
    for arch in ARCHS:
        assert rows.loc[arch, "estimate"] == pytest.approx(means[arch, True] - means[arch, False], abs=1e-12)
        assert rows.loc[arch, "low"] <= rows.loc[arch, "estimate"] <= rows.loc[arch, "high"]
        assert 0 < rows.loc[arch, "p_value"] <= 1


@pytest.mark.slow
def test_the_report_is_whole_and_says_what_it_is(report):
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "not a reproduction" in page
    provenance = json.loads((report / "provenance.json").read_text(encoding="utf-8"))
    assert {"tracking_uri", "experiment", "command", "git", "versions", "created"} <= set(provenance)
    points = pd.read_csv(report / "figures" / "auroc.csv")
    assert len(points) == 4
    with Image.open(BytesIO((report / "figures" / "auroc.png").read_bytes())) as picture:
        assert picture.info["dpi"][0] == pytest.approx(300, abs=1)
    assert (report / "figures" / "auroc.pdf").read_bytes().startswith(b"%PDF")
    assert Path(report / "tables" / "auroc.tex").read_text(encoding="utf-8").count("\\toprule") == 1
