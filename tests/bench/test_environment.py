"""MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME give the tracking keys that nobody typed."""

import os

import pytest
from rich.console import Console

from analysis import report
from analysis.settings import read_settings
from bench import run, status, sync
from bench.config import compose_config
from bench.sweeps.launch import pinned
from bench.sweeps.plan import plan
from bench.sweeps.search import search

RUN = "1" * 32


@pytest.fixture
def set_to(monkeypatch, tmp_path):
    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "lab's own")
    return uri


def test_what_is_not_typed_is_the_environments(set_to):
    tracking = compose_config([]).tracking
    assert (tracking.uri, tracking.experiment) == (set_to, "lab's own")
    settings = read_settings([])
    assert (settings.tracking.uri, settings.experiment) == (set_to, "lab's own")
    for name in ("sync", "publish", "cam", "export"):
        words = {"cam": [f"run={RUN}"], "export": [f"run={RUN}"]}.get(name, [])
        assert compose_config(words, name).tracking.uri == set_to


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_variable_of_mlflows_is_an_unset_one(monkeypatch, empty, tmp_path):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, empty)
    tracking = compose_config([]).tracking
    assert (tracking.uri, tracking.experiment) == ("sqlite:///mlflow.db", "chextransfer")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(name, empty)
    assert read_settings([]).experiment == "chextransfer"
    assert read_settings([]).tracking.uri == "sqlite:///mlflow.db"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ, "MLflow would take it for a number"


def test_what_is_typed_or_stands_in_a_sweep_is_not(set_to):
    tracking = compose_config(["tracking.uri=sqlite:///own.db", "tracking.experiment=own"]).tracking
    assert (tracking.uri, tracking.experiment) == ("sqlite:///own.db", "own")
    assert {one.tracking.experiment for one in plan(["+sweeps=demo"]).configs} == {"demo"}
    assert read_settings(["experiment=own"]).experiment == "own"


@pytest.mark.parametrize("command", [status.main, lambda words: run.main([*words, "--dry-run"])])
def test_it_is_said_in_a_line_each_and_only_where_it_is_so(command, set_to, phantom_root, tmp_path, capsys):
    words = [
        "arch=resnet18", "pretrained=false", "data=chexpert", f"data.root={phantom_root}", f"outputs={tmp_path}",
        f"data.cache={phantom_root.parent}/cache",
    ]  # fmt: skip
    command(words)
    said = capsys.readouterr().err.splitlines()
    assert f"tracking.uri={set_to}: from MLFLOW_TRACKING_URI" in said
    assert "tracking.experiment=lab's own: from MLFLOW_EXPERIMENT_NAME" in said
    command([*words, f"tracking.uri={set_to}", "tracking.experiment=own"])
    assert "from MLFLOW" not in capsys.readouterr().err


def test_the_small_commands_and_the_report_say_it_too(set_to, tmp_path, capsys):
    assert sync.main([f"outputs={tmp_path}"]) == 0
    assert f"tracking.uri={set_to}: from MLFLOW_TRACKING_URI" in capsys.readouterr().err
    assert report.main([f"out={tmp_path}/report"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        f"tracking.uri={set_to}: from MLFLOW_TRACKING_URI",
        "experiment=lab's own: from MLFLOW_EXPERIMENT_NAME",
    ]


def test_jobs_for_other_nodes_carry_the_place_of_their_record_and_no_password(set_to):
    checked = compose_config([])
    again = compose_config(pinned(checked))
    assert again.tracking == checked.tracking
    secret = compose_config(["tracking.uri='http://ann:secret@host'"])
    assert not any("secret" in text for text in pinned(secret))


def test_trials_of_a_search_carry_the_place_of_their_record_too(set_to, tmp_path):
    pytest.importorskip("optuna", reason="no optuna (pip install -e '.[optuna]'): a search was not made")
    words = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "seed=0,1", f"outputs={tmp_path}"]
    launched = []

    def launch(jobs, first):
        launched.extend(jobs)
        return [0.5] * len(jobs)

    search(plan(words), launch, Console(quiet=True))
    assert len(launched) == 2
    assert {tuple(text for text in job if text.startswith("tracking.")) for job in launched} == {
        tuple(pinned(compose_config([])))
    }
