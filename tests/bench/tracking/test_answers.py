import errno
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import ErrorCode

from analysis.errors import AnalysisError
from analysis.store.io import load_runs
from bench import run, status
from bench.sync import sync
from bench.tracking.answers import MissingError, RefusedError, TakenError, UnavailableError, translated
from bench.tracking.claim import Claim, ClaimTakenError, Timing, rivals
from bench.tracking.server import Server
from bench.tracking.spool import Spool
from bench.tracking.store import Store
from bench.tracking.upload import patiently
from tests import told
from tests.bench.recording import grant, password, server_with_users

QUICK = Timing(beat=0.2, lease=10.0, poll=0.1)
PLAIN = "API request to endpoint /api failed with error code {} != 200. Response body: 'x'"


def rest(code, message="x"):
    return RestException({"error_code": code, "message": message})


def of_artifact(status):
    answer = requests.Response()
    answer.status_code = status
    return requests.HTTPError(f"{status} for url", response=answer)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (rest("RESOURCE_ALREADY_EXISTS"), TakenError, ""),
        (rest("RESOURCE_DOES_NOT_EXIST"), MissingError, ""),
        (rest("INVALID_PARAMETER_VALUE", "The run 1a must be in the 'active' state."), MissingError, ""),
        (rest("INVALID_PARAMETER_VALUE", "The experiment 1 must be in the 'active' state."), RefusedError, "restore"),
        (rest("INVALID_PARAMETER_VALUE", "Changing param values is not allowed."), RefusedError, "Changing"),
        (rest("UNAUTHENTICATED"), RefusedError, "MLFLOW_TRACKING_USERNAME"),
        (rest("PERMISSION_DENIED"), RefusedError, "user ann"),
        (MlflowException(PLAIN.format(401), ErrorCode.Value("UNAUTHENTICATED")), RefusedError, "MLFLOW_TRACKING_USER"),
        (MlflowException(PLAIN.format(404), ErrorCode.Value("ENDPOINT_NOT_FOUND")), RefusedError, "this address"),
        (MlflowException(PLAIN.format(405)), RefusedError, "this address"),
        (MlflowException("the response body was not in a valid JSON format"), RefusedError, "login page"),
        (MlflowException("(Caused by SSLError(... CERTIFICATE_VERIFY_FAILED ...))"), RefusedError, "certificate"),
        (MlflowException("(sqlite3) attempt to write a readonly database"), RefusedError, "tracking store"),
        (of_artifact(403), RefusedError, "user ann"),
        (of_artifact(413), RefusedError, "proxy"),
        (of_artifact(404), MissingError, ""),
        (PermissionError(errno.EACCES, "no", "/x"), RefusedError, "may not write"),
        (MlflowException(PLAIN.format(429)), UnavailableError, ""),
        (MlflowException(PLAIN.format(502)), UnavailableError, ""),
        (MlflowException("Max retries exceeded (Caused by NewConnectionError)"), UnavailableError, ""),
        (rest("TEMPORARILY_UNAVAILABLE"), UnavailableError, ""),
        (MlflowException("(sqlite3.OperationalError) database is locked"), UnavailableError, ""),
        (of_artifact(503), UnavailableError, ""),
        (requests.ConnectionError("refused"), UnavailableError, ""),
        (OSError(errno.ENOSPC, "No space left on device"), UnavailableError, ""),
    ],
)  # fmt: skip
def test_every_answer_is_away_or_no_or_ours_to_mend(error, kind, said, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    with pytest.raises(kind) as caught, translated():
        raise error
    assert (type(caught.value), said in str(caught.value)) == (kind, True)


def test_a_no_is_not_asked_again():
    asked = []

    def refuse():
        asked.append(1)
        raise RefusedError("no")

    with pytest.raises(RefusedError):
        patiently(refuse, 60.0)
    assert len(asked) == 1


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    """A server with the users ann and bob, each of whom may read what the other made."""
    if importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("no Flask-WTF (pip install 'mlflow[auth]'): a server with users did not run")
    with server_with_users(tmp_path_factory.mktemp("users"), "ann", "bob") as server:
        yield server


@pytest.fixture
def login(monkeypatch):
    def as_user(name, secret=None):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", secret or password(name))

    return as_user


@pytest.mark.slow
def test_who_may_only_read_is_told_so_at_once_and_leaves_nothing(users, login, tmp_path):
    login("ann")
    Store(users.uri, "study", tmp_path / "ann").check_writable()
    login("bob")
    store, started = Store(users.uri, "study", tmp_path / "bob"), time.monotonic()
    with pytest.raises(RefusedError, match=r"experiment study of .* cannot be recorded in.*user bob") as said:
        store.check_writable()
    assert told.keys(str(said.value))[-1:] == ["tracking.experiment=NAME"]
    Store(users.uri, "NAME", tmp_path / "own").check_writable()
    with pytest.raises(RefusedError), store.run("c1", "n", {"cell": "c1"}, {}):
        raise AssertionError("trained")
    assert time.monotonic() - started < 30
    assert store.server.runs() == []
    grant(users, store.server.experiment_id, "bob", by="ann")  # as the message says: the owner gives the permission
    login("bob")
    store.check_writable()


@pytest.mark.slow
def test_who_names_nobody_or_a_wrong_password_is_told_what_to_set(users, login, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    with pytest.raises(RefusedError, match="MLFLOW_TRACKING_USERNAME"):
        Store(users.uri, "study", tmp_path)
    login("ann", "a wrong one")
    with pytest.raises(RefusedError, match="MLFLOW_TRACKING_USERNAME"):
        Store(users.uri, "study", tmp_path)
    with pytest.raises(AnalysisError, match="MLFLOW_TRACKING_USERNAME"):
        load_runs(users.uri, "study")
    login("ann")
    Store(users.uri, "study", tmp_path)


@pytest.fixture
def claim(tmp_path):
    def make(server, cell, place):
        spool = Spool.create(tmp_path / cell, cell=cell, experiment="e", name="n", tags={}, params={})
        return Claim(server, spool, place, QUICK)

    return make


@pytest.mark.slow
def test_a_dead_worker_of_another_user_who_may_edit_is_passed_and_nothing_is_left(users, login, claim):
    login("ann")
    hers = Server(users.uri, "claimed")
    grant(users, hers.experiment_id, "bob", by="ann")
    dead = claim(hers, "c1", "hers")
    dead.acquire()
    dead._stop.set()
    dead._thread.join()  # she died on another machine: no beat
    login("bob")
    server = Server(users.uri, "claimed")
    his = claim(server, "c1", "his")
    his.acquire()
    assert his.run_id == dead.run_id
    his.release()
    (left,) = rivals(server.runs(cell="c1"))
    assert left.id == "", "a claim is left"


@pytest.mark.slow
def test_who_may_not_delete_leaves_a_run_that_is_no_cell_s(users, login, claim, monkeypatch):
    login("ann")
    server = Server(users.uri, "no deleting")
    grant(users, server.experiment_id, "bob", by="ann")
    login("bob")
    one = claim(server, "c1", "here")
    monkeypatch.setattr(one, "_win", lambda: (_ for _ in ()).throw(ClaimTakenError("taken")))
    with pytest.raises(ClaimTakenError):
        one.acquire()
    (run,) = server.runs()
    assert (run.status, {key for key in run.tags if not key.startswith("mlflow.")}) == ("KILLED", set())


@pytest.mark.slow
def test_a_deleted_experiment_is_refused_with_the_command_that_restores_it(tmp_path, phantom_root, capsys):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    server = Server(uri, "study")
    mlflow.MlflowClient(uri).delete_experiment(server.experiment_id)
    words = [
        "-m", "arch=resnet18", "pretrained=false", "seed=0,1", "data=chexpert", f"data.root={phantom_root}",
        f"data.cache={phantom_root.parent}/cache", f"tracking.uri={uri}", "tracking.experiment=study",
        f"outputs={tmp_path}/outputs",
    ]  # fmt: skip
    started = time.monotonic()
    assert status.main(words) == 2
    assert run.main(words) == 1
    said = capsys.readouterr().err.splitlines()
    assert time.monotonic() - started < 60
    assert all("experiment study is deleted: restore it with" in line for line in said)
    with pytest.raises(AnalysisError, match="experiment study is deleted"):
        load_runs(uri, "study")
    with Store(uri, "study", tmp_path / "offline", offline=True).run("c9", "n", {"cell": "c9"}, {}):
        pass
    (outcome,) = sync(uri, tmp_path / "offline")
    assert ("study is deleted" in outcome.said, outcome.settled) == (True, False)
    variable, *command = told.command(said[0])
    own = os.environ | dict([variable.split("=", 1)])
    subprocess.run([sys.executable, "-m", *command], check=True, env=own, capture_output=True)
    assert Server(uri, "study").experiment_id == server.experiment_id


def test_looking_at_what_is_not_there_makes_nothing_and_names_what_there_is(tmp_path, phantom_root, capsys, caplog):
    words = [
        "-m", "arch=resnet18", "pretrained=false", "seed=0,1", "data=chexpert", f"data.root={phantom_root}",
        f"data.cache={phantom_root.parent}/cache", f"outputs={tmp_path}/outputs",
    ]  # fmt: skip
    place = tmp_path / "new"
    uri = f"sqlite:///{place}/mlflow.db"
    for look in (status.main, lambda typed: run.main([*typed, "--dry-run"])):
        look([*words, f"tracking.uri={uri}"])
        assert not place.exists()
        assert "there is no such file yet" in caplog.text
        caplog.clear()
    Server(uri, "study")
    before = sorted(path.name for path in place.iterdir())
    for look in (status.main, lambda typed: run.main([*typed, "--dry-run"])):
        look([*words, f"tracking.uri={uri}", "tracking.experiment=stduy"])
        assert "no experiment stduy; there are: Default, study" in caplog.text
        caplog.clear()
    assert {found.name for found in mlflow.MlflowClient(uri).search_experiments()} == {"Default", "study"}
    assert sorted(path.name for path in place.iterdir()) == before
    assert not Path(tmp_path / "outputs").exists()
