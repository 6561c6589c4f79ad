"""One small experiment is trained, reported on and published; what is published is asked through MLflow alone."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench.publish
from analysis.report import main as report
from analysis.store.cells import select_cells
from analysis.store.io import load_runs
from bench.cells.runner import run_cell
from bench.data.decode import BadImage
from bench.errors import ConfigError
from bench.publish import choose, main, read_report
from bench.sweeps.plan import plan
from bench.tracking.server import Server
from bench.tracking.spool import Run
from bench.tracking.stores import store_of
from tests import told
from tests.bench.recording import PROJECT, copy_database, free_port, mlflow_server

EXPERIMENT = "chextransfer"
MODEL = f"chextransfer-{EXPERIMENT}"
SERVE_SECONDS = 120
PAGE = (PROJECT / "docs" / "mlflow.md").read_text(encoding="utf-8")
(SERVE,) = re.findall(r"^\$ (mlflow models serve .*)$", PAGE, re.MULTILINE)
(BODY,) = re.findall(r"printf '(.*?)'", PAGE)


def run(name, started=0, **metrics):
    return Run(name, "FINISHED", started, {}, {}, {key.replace("__", "/"): value for key, value in metrics.items()})


def test_the_best_by_validation_is_chosen_whatever_the_test_set_says():
    runs = [run("a", valid__auroc=0.7, test__auroc=0.99), run("b", valid__auroc=0.8, test__auroc=0.5)]
    assert choose(runs).id == "b"


def test_an_undefined_auroc_is_no_best_and_the_first_of_equals_is():
    runs = [run("a", valid__auroc=float("nan")), run("b", 9, valid__auroc=0.6), run("c", 2, valid__auroc=0.6), run("d")]
    assert choose(runs).id == "c"
    assert choose(runs[:1]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=training-1"], "model=training-1: not a name without"),
        (["model=a/b"], "model=a/b: not a name"),
        (["reprot=x"], "did you mean 'report'"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def write_report(folder, **origin):
    folder.mkdir()
    (folder / "index.html").write_text("")
    (folder / "verdicts.json").write_text(json.dumps({"verdicts": [{"sentence": "It helps", "verdict": "undecided"}]}))
    about = {"experiment": "mine", "created": "now", "runs": [{"run_id": "r1"}]} | origin
    (folder / "provenance.json").write_text(json.dumps(about))
    return folder


def test_a_report_says_what_it_rests_on(tmp_path):
    found = read_report(write_report(tmp_path / "report"), "mine", "sqlite:///x.db")
    assert (found.runs, found.created, found.verdicts) == (("r1",), "now", ("It helps: **undecided**",))


def test_a_report_that_is_not_there_or_of_another_experiment_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no report .*write one with `python -m analysis.report experiment=mine"):
        read_report(tmp_path, "mine", "sqlite:///x.db")
    with pytest.raises(ConfigError, match="it is of experiment other, not of tracking.experiment=mine"):
        read_report(write_report(tmp_path / "report", experiment="other"), "mine", "sqlite:///x.db")


@contextlib.contextmanager
def served(uri, log):
    """The address of `mlflow models serve` on the registered model, once it answers."""
    port = free_port()
    words = SERVE.replace("chextransfer-demo", MODEL).replace("5001", str(port)).split()
    command = [sys.executable, "-m", *words, "--workers", "1"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as in an activated environment: it looks for uvicorn
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=log.parent, stdout=out, stderr=out, start_new_session=True,
            env={**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": uri, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + SERVE_SECONDS
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{address}/ping", timeout=5).close()
                break
            time.sleep(0.2)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(address, content):
    """The probabilities by task of one file, asked for as the page says."""
    body = (BODY % base64.b64encode(content).decode()).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        (row,) = json.load(answer)["predictions"]
    return row


@pytest.fixture(scope="module")
def published(phantom_root, tmp_path_factory):
    """Two cells, trained, reported on and published."""
    from bench.config import compose_config
    from tests.conftest import TINY

    folder = tmp_path_factory.mktemp("published")
    for seed in (0, 1):
        config = compose_config([
            "arch=resnet18", "pretrained=false", "truncate=3", f"seed={seed}", "data=chexpert",
            f"data.root={phantom_root}", f"tracking.uri=sqlite:///{folder}/mlflow.db", f"outputs={folder}/outputs",
            f"data.cache={phantom_root.parent}/cache", *TINY, "protocol.image.resize=40", "trainer.precision=fp32",
        ])  # fmt: skip
        run_cell(config, store_of(config))
    uri = f"sqlite:///{folder}/mlflow.db"
    with pytest.raises(ConfigError) as missing:
        read_report(folder / "report", "chextransfer", uri)
    assert report([*told.command(str(missing.value))[3:], "resamples=20", "permutations=20"]) == 0
    words = [f"tracking.uri={uri}", f"report={folder}/report", "images=4"]
    assert main(words) == 0
    return folder, uri, words


def summary_of(server):
    (found,) = [run for run in server.runs() if run.tags.get("summary") == "true"]
    return found


@pytest.mark.slow
def test_the_summary_run_holds_the_report_and_is_no_cell(published):
    folder, uri, _ = published
    server = Server(uri, EXPERIMENT)
    summary = summary_of(server)
    assert summary.status == "FINISHED"
    assert "cell" not in summary.tags
    assert server.download(summary.id, "report/index.html").read_bytes() == (folder / "report/index.html").read_bytes()
    assert server.artifacts(summary.id, "report/tables")
    runs = load_runs(uri, EXPERIMENT)
    assert summary.id not in set(runs["run_id"])
    assert len(select_cells(runs, {}, EXPERIMENT)) == 2
    note = server.client.get_experiment(server.experiment_id).tags["mlflow.note.content"]
    assert f"/runs/{summary.id}/artifacts/report/index.html" in note
    assert f"#/models/{MODEL}/versions/1" in note


@pytest.mark.slow
def test_the_registered_model_is_the_best_by_validation_and_carries_no_patient(published, phantom_root):
    _, uri, _ = published
    server = Server(uri, EXPERIMENT)
    version = server.client.get_model_version_by_alias(MODEL, "best")
    cells = [run for run in server.runs() if "cell" in run.tags]
    assert version.tags["run"] == max(cells, key=lambda run: run.metrics["valid/auroc"]).id
    place = Path(version.source.removeprefix("file://"))
    assert re.search(r'inputs: .*"binary".*"image"', (place / "MLmodel").read_text())
    pins = (place / "requirements.txt").read_text().split()
    assert all("==" in line for line in pins)
    assert not any(line.startswith("torch") for line in pins)
    example = base64.b64decode(json.loads((place / "input_example.json").read_text())["data"][0][0])
    assert example not in {file.read_bytes() for file in phantom_root.rglob("*.jpg")}


@pytest.mark.slow
def test_served_it_answers_with_the_saved_scores(published, phantom_root, tmp_path):
    _, uri, _ = published
    server = Server(uri, EXPERIMENT)
    run_id = server.client.get_model_version_by_alias(MODEL, "best").tags["run"]
    saved = pd.read_parquet(server.download(run_id, "predictions/test.parquet")).iloc[[2, 17]]
    tasks = [name.removeprefix("score/") for name in saved.columns if name.startswith("score/")]
    wanted = saved[[f"score/{task}" for task in tasks]].to_numpy()
    with served(uri, tmp_path / "serve.log") as address:
        answers = [ask(address, (phantom_root / path).read_bytes()) for path in saved["path"]]
        assert [list(answer) for answer in answers] == [tasks, tasks]
        given = np.array([[answer[task] for task in tasks] for answer in answers])
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5)
        assert np.abs(given[0] - given[1]).max() > 1e-3, "scores that do not depend on the image would agree by chance"
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, b"no image")
        assert refused.value.code == 400
        assert "neither JPEG, PNG nor DICOM" in refused.value.read().decode()


@pytest.mark.slow
def test_a_model_that_cannot_be_checked_leaves_the_report_published(published, monkeypatch, capsys):
    _, uri, words = published

    def lacking(*_):
        raise BadImage(Path("patient00001/view1_frontal.jpg"), "no such image")

    monkeypatch.setattr(bench.publish, "_model", lacking)
    assert main(words) == 1
    run = summary_of(Server(uri, EXPERIMENT)).id
    said = f"the report is published in run {run}, and no model is registered: patient00001/view1_frontal.jpg: no such"
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_published_again_it_is_brought_up_to_date_and_not_doubled(published, tmp_path, capsys):
    folder, uri, words = published
    server = Server(uri, EXPERIMENT)
    before = summary_of(server).id
    changed = tmp_path / "report"
    shutil.copytree(folder / "report", changed)
    (changed / "index.html").write_text("newer")
    (changed / "tables" / "auroc.csv").unlink()
    assert main([*words, f"report={changed}"]) == 0
    assert "version 1, as before" in capsys.readouterr().out
    assert summary_of(server).id == before
    assert server.download(before, "report/index.html").read_text() == "newer"
    kept = server.artifacts(before, "report/tables")
    assert "report/tables/auroc.csv" not in kept
    assert "report/tables/auroc.md" in kept
    assert len(server.client.search_model_versions(f"name = '{MODEL}'")) == 1


@pytest.mark.slow
def test_published_twice_at_once_through_a_server_it_has_one_summary_run(published, tmp_path, monkeypatch):
    folder, _, words = published
    copy_database(folder / "mlflow.db", tmp_path / "mlflow.db")
    made, both = Server.create_run, threading.Barrier(2)

    def together(self, *given):
        """Both have looked before either makes a run."""
        both.wait(timeout=120)
        return made(self, *given)

    monkeypatch.setattr(Server, "create_run", together)
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path) as mlflow:
        server = Server(mlflow.uri, EXPERIMENT)
        server.client.delete_run(summary_of(server).id)
        settings = plan([*words, f"tracking.uri={mlflow.uri}"], "publish").configs[0]
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(bench.publish.publish, [settings] * 2))
        assert said[0][0] == said[1][0]
        summary = summary_of(server)
        assert summary.status == "FINISHED"
        assert server.download(summary.id, "report/index.html").read_bytes()
        note = server.client.get_experiment(server.experiment_id).tags["mlflow.note.content"]
        assert f"/runs/{summary.id}/artifacts/report/index.html" in note
