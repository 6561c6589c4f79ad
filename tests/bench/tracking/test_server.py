import contextlib
import math
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bench.tracking.claim import rivals
from bench.tracking.server import Server
from bench.tracking.store import Store
from tests.bench.recording import EXPERIMENT, free_port, mlflow_server, workers

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root."""


def record_all(number, uri, outputs):
    """So many processes record a cell each at once; returns what they heard."""
    with workers(number, uri, outputs) as together:
        for index, worker in enumerate(together):
            worker.say(f"open cell{index}")
        heard = [worker.hear() for worker in together]
        for step in range(3):
            for index, worker in enumerate(together):
                worker.say(f"metric loss {index} {step}")
            assert {worker.hear() for worker in together} == {"done"}
        for worker in together:
            worker.say("file predictions/test.txt rows")
        assert {worker.hear() for worker in together} == {"done"}
        for worker in together:
            worker.say("end")
        return heard + [worker.hear() for worker in together]


def check_all(number, uri):
    server = Server(uri, EXPERIMENT)
    runs = {run.tags["cell"]: run for run in server.runs()}
    assert len(server.runs()) == len(runs) == number
    for index in range(number):
        run = runs[f"cell{index}"]
        assert (run.status, run.metrics, run.params) == ("FINISHED", {"loss": float(index)}, {"p": "1", "q": "x"})
        assert server.artifacts(run.id, "predictions") == ["predictions/test.txt"]
    assert rivals(server.runs()) == []


@pytest.mark.slow
def test_sixteen_processes_that_start_on_nothing_lose_no_run(tmp_path):
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    assert set(record_all(16, uri, tmp_path / "outputs")) == {"got", "finished"}
    check_all(16, uri)


@pytest.mark.slow
def test_a_server_that_is_killed_and_started_again_in_the_middle_of_a_run_loses_nothing(tmp_path, monkeypatch):
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path) as server:
        store = Store(server.uri, EXPERIMENT, tmp_path / "outputs")
        with store.run("c1", "n", {"cell": "c1"}, {"p": 1}) as record:
            record.metrics({"loss": 3.0, "nothing": math.nan}, step=1)
            server.kill()
            started = time.monotonic()
            record.metrics({"loss": 2.0}, step=2)
            record.artifact("a/b.txt", lambda path: path.write_text("text"))
            assert time.monotonic() - started < 1
            server.start()
            record.metrics({"loss": 1.0}, step=3)
        done = store.find("c1")
        assert (done.status, done.uploaded, done.metrics["loss"]) == ("FINISHED", True, 1.0)
        assert math.isnan(done.metrics["nothing"])
        assert store.download(done.run_id, "a/b.txt").read_text() == "text"


@pytest.mark.slow
def test_a_server_that_stays_away_leaves_a_finished_cell_that_comes_in_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.tracking.record.END_SECONDS", 0.0)
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path) as server:
        store = Store(server.uri, EXPERIMENT, tmp_path / "outputs")
        with store.run("c1", "n", {"cell": "c1"}, {}) as record:
            server.kill()
            record.metrics({"loss": 2.0}, step=2)
        assert (store.find("c1").status, store.find("c1").uploaded) == ("FINISHED", False)
        server.start()
        again = Store(server.uri, EXPERIMENT, tmp_path / "outputs")
        assert again.upload("c1").uploaded
        (run,) = again.server.runs()
        assert (run.id, run.status, run.metrics) == (record.run_id, "FINISHED", {"loss": 2.0})


@pytest.mark.slow
def test_a_server_that_is_stopped_and_answers_nothing_holds_no_training_up(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.tracking.record.END_SECONDS", 0.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path) as server:
        store = Store(server.uri, EXPERIMENT, tmp_path / "outputs")
        with store.run("c1", "n", {"cell": "c1"}, {}) as record:
            os.killpg(server._process.pid, signal.SIGSTOP)
            for step in range(20):
                started = time.monotonic()
                record.metrics({"loss": 1.0 / (1 + step)}, step=step)
                assert time.monotonic() - started < 1
        os.killpg(server._process.pid, signal.SIGCONT)
        assert store.upload("c1").metrics["loss"] == 1 / 20
        assert len(store.server.runs()) == 1


def account():
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(ACCOUNT)
    return None


def run_postgres(*words, folder):
    """A command of PostgreSQL's, as the account that it needs."""
    uid = os.geteuid()
    done = subprocess.run(
        [str(POSTGRES / words[0]), *words[1:]], cwd=folder, capture_output=True, text=True,
        user=ACCOUNT if uid == 0 else None, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def postgres(tmp_path_factory):
    """The URI of a fresh PostgreSQL on loopback; SQLAlchemy 2.1 takes psycopg 3 where no driver is named."""
    if POSTGRES is None or shutil.which(str(POSTGRES / "initdb")) is None:
        pytest.skip("no PostgreSQL (apt-get install postgresql): 16 workers on a real one did not run")
    if os.geteuid() == 0 and account() is None:
        pytest.skip("PostgreSQL does not run as root, and there is no account postgres")
    pytest.importorskip("psycopg2", reason="no psycopg2 (pip install psycopg2-binary): a real PostgreSQL did not run")
    folder = Path(f"/tmp/postgres-{os.getpid()}-{time.time_ns()}")  # the account must reach it
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT)
    (folder / "password").write_text("secret")
    (folder / "password").chmod(0o644)
    port = free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run_postgres(
        "initdb", "-D", f"{folder}/data", "-U", "mlflow", "-A", "scram-sha-256", f"--pwfile={folder}/password",
        folder=folder,
    )  # fmt: skip
    run_postgres("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w", "-o", options, "start", folder=folder)
    yield f"postgresql+psycopg2://mlflow:secret@127.0.0.1:{port}/postgres"
    run_postgres("pg_ctl", "-D", f"{folder}/data", "-w", "-m", "immediate", "stop", folder=folder)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_sixteen_workers_at_once_on_a_server_with_postgresql(postgres, tmp_path):
    with mlflow_server(postgres, tmp_path) as server:
        assert set(record_all(16, server.uri, tmp_path / "outputs")) == {"got", "finished"}
        check_all(16, server.uri)
        with workers(8, server.uri, tmp_path / "racing", "fast", apart=True) as racing:
            for number in range(3):
                for worker in racing:
                    worker.say(f"open race{number}")
                heard = [worker.hear().split()[0] for worker in racing]
                assert sorted(heard) == ["got", *["taken"] * 7]
                assert racing[heard.index("got")].ask("end") == "finished"
            assert racing[0].ask("open dying") == "got"
            racing[0].signal(signal.SIGKILL)
            racing[0].process.wait()
            assert racing[1].ask("open dying") == "got"
            assert racing[1].ask("end") == "finished"
