import threading

import pytest

from bench.sync import main, sync
from bench.tracking.claim import Timing
from bench.tracking.server import Server
from bench.tracking.spool import spools
from bench.tracking.store import Store
from tests.bench.recording import EXPERIMENT, copy_database


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Server(f"sqlite:///{path}", "other")
    return path


@pytest.fixture
def uri(migrated, tmp_path):
    copy_database(migrated, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def offline(tmp_path):
    """Three cells of a node without a server: finished, failed, and one whose process was killed."""
    outputs = tmp_path / "outputs"
    store = Store("http://127.0.0.1:9/", EXPERIMENT, outputs, offline=True)
    with store.run("done", "name-done", {"cell": "done"}, {"p": 1}) as record:
        record.metrics({"loss": 1.0}, step=1)
        record.artifact("predictions/test.parquet", lambda path: path.write_text("rows"))
    with pytest.raises(ZeroDivisionError), store.run("failed", "name-failed", {"cell": "failed"}, {}):
        _ = 1 / 0
    with store.run("killed", "name-killed", {"cell": "killed"}, {}) as record:
        record.metrics({"loss": 1.0}, step=1)
    (killed,) = spools(outputs, "killed")
    journal = killed.folder / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    return outputs


def told(uri):
    return {run.tags["cell"]: run for run in Server(uri, EXPERIMENT).runs()}


def test_everything_is_brought_in_once_however_often_it_is_called(uri, offline, capsys):
    words = [f"tracking.uri={uri}", f"outputs={offline}"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.count("brought in, as run") == 3
    runs = told(uri)
    assert {cell: run.status for cell, run in runs.items()} == {
        "done": "FINISHED", "failed": "FAILED", "killed": "KILLED",
    }  # fmt: skip
    assert runs["done"].params == {"p": "1"}
    assert runs["done"].metrics == {"loss": 1.0}
    server = Server(uri, EXPERIMENT)
    assert server.artifacts(runs["done"].id, "predictions") == ["predictions/test.parquet"]
    assert "ZeroDivisionError" in runs["failed"].tags["failure"]
    assert main(words) == 0
    assert "nothing to bring in" in capsys.readouterr().out
    assert len(server.runs()) == 3


def test_a_run_keeps_the_times_of_its_training_not_of_the_sync(uri, offline):
    (spool,) = spools(offline, "done")
    list(sync(uri, offline))
    assert told(uri)["done"].started == spool.run().started


def test_two_syncs_at_once_bring_each_cell_in_once(uri, offline):
    both = threading.Barrier(2)
    outcomes = []

    def go():
        both.wait()
        outcomes.extend(sync(uri, offline))

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("brought in, as run" in outcome.said for outcome in outcomes) == 3
    assert len(Server(uri, EXPERIMENT).runs()) == 3


def test_an_attempt_that_is_still_written_is_left_alone(uri, tmp_path, capsys):
    store = Store("http://127.0.0.1:9/", EXPERIMENT, tmp_path / "live", offline=True)
    with store.run("c", "name-c", {"cell": "c"}, {}):
        assert main([f"tracking.uri={uri}", f"outputs={tmp_path}/live"]) == 0
    assert "name-c: is being trained" in capsys.readouterr().out
    assert told(uri) == {}


def test_a_cell_that_others_finished_meanwhile_is_not_overwritten(uri, offline, tmp_path, capsys):
    online = Store(uri, EXPERIMENT, tmp_path / "elsewhere")
    for cell in ("done", "failed"):
        with online.run(cell, "n", {"cell": cell}, {}) as record:
            record.metrics({"loss": 7.0}, step=1)
    assert main([f"tracking.uri={uri}", f"outputs={offline}"]) == 0
    assert "superseded" in capsys.readouterr().out
    runs = told(uri)
    assert (runs["done"].metrics, runs["failed"].status) == ({"loss": 7.0}, "FINISHED")
    assert spools(offline, "failed") == []
    assert (offline / "done" / "superseded").is_dir()


def test_a_cell_that_another_worker_trains_right_now_is_left_for_later(uri, offline, tmp_path, capsys):
    online = Store(uri, EXPERIMENT, tmp_path / "elsewhere", timing=Timing(beat=0.05))
    words = [f"tracking.uri={uri}", f"outputs={offline}"]
    with online.run("done", "n", {"cell": "done"}, {}) as record:
        assert main(words) == 1
        assert "name-done: not brought in" in capsys.readouterr().out
    assert told(uri)["done"].id == record.run_id


def test_a_sync_that_breaks_off_goes_on_where_it_stopped(uri, offline, monkeypatch):
    real, uploads = Server.end, []

    def breaks(self, *arguments):
        uploads.append(arguments)
        if len(uploads) == 1:
            raise OSError("cable pulled")
        real(self, *arguments)

    monkeypatch.setattr(Server, "end", breaks)
    with pytest.raises(OSError, match="cable"):
        list(sync(uri, offline))
    logged = []
    log = Server.log
    monkeypatch.setattr(Server, "log", lambda self, run_id, **what: logged.append(what) or log(self, run_id, **what))
    assert all(outcome.settled for outcome in sync(uri, offline))
    assert len(told(uri)) == 3
    first = next(iter(spools(offline)))
    assert [what for what in logged if first.run().name in str(what)] == []


def test_a_server_that_does_not_answer_is_said(offline, capsys):
    assert main(["tracking.uri=http://127.0.0.1:9", f"outputs={offline}"]) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_a_wrong_key_is_refused(capsys):
    assert main(["output=x"]) == 2
    assert "did you mean 'outputs'" in capsys.readouterr().err
