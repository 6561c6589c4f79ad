import multiprocessing
from pathlib import Path

import mlflow
import pytest

from bench.errors import TrackingError
from bench.schema import TrackingConfig
from bench.tracking import Store


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A fresh SQLite store takes seconds to make: made once, copied for each test."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(TrackingConfig(f"sqlite:///{path}", "other"))
    return path


@pytest.fixture
def store(migrated, tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_bytes(migrated.read_bytes())
    return Store(TrackingConfig(f"sqlite:///{path}", "test"))


def runs(store):
    return mlflow.MlflowClient(store.uri).search_runs([store.experiment_id])


def test_a_run_is_finished_with_what_was_logged(store):
    with store.run("c1", "name-of-run", {"cell": "c1", "arch": "x"}, {f"p{n}": n for n in range(120)}) as record:
        record.metrics({"test/auroc": 0.75, "parameters": 10}, step=7)
        record.artifact("predictions/test.parquet", lambda path: path.write_text("rows"))
        assert store.find("c1").status == "RUNNING"
    (run,) = runs(store)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "name-of-run")
    assert run.data.tags["arch"] == "x"
    assert len(run.data.params) == 120
    assert run.data.metrics == {"test/auroc": 0.75, "parameters": 10}
    client = mlflow.MlflowClient(store.uri)
    assert [file.path for file in client.list_artifacts(run.info.run_id, "predictions")] == ["predictions/test.parquet"]
    assert store.find("c1").metrics["test/auroc"] == 0.75
    assert store.find("c2") is None


def test_a_failure_keeps_its_reason_and_goes_on_up(store, tmp_path):
    with pytest.raises(ZeroDivisionError), store.run("c1", "n", {"cell": "c1"}, {}):
        _ = 1 / 0
    state = store.find("c1")
    assert (state.status, state.failure) == ("FAILED", "ZeroDivisionError: division by zero")
    text = mlflow.MlflowClient(store.uri).download_artifacts(state.run_id, "failure.txt", str(tmp_path))
    assert "_ = 1 / 0" in Path(text).read_text(encoding="utf-8")


def test_an_interrupted_cell_goes_on_in_the_same_run(store):
    with pytest.raises(KeyboardInterrupt), store.run("c1", "n", {"cell": "c1"}, {"p": 1}):
        raise KeyboardInterrupt
    first = store.find("c1")
    assert first.status == "KILLED"
    with store.run("c1", "n", {"cell": "c1"}, {"p": 1}):
        assert store.find("c1").status == "RUNNING"
    assert len(runs(store)) == 1
    assert store.find("c1").run_id == first.run_id


def test_a_finished_run_is_found_before_a_later_failed_one(store):
    with store.run("c1", "n", {"cell": "c1"}, {}) as record:
        pass
    client = mlflow.MlflowClient(store.uri)
    later = client.create_run(store.experiment_id, tags={"cell": "c1"}).info.run_id
    client.set_terminated(later, "FAILED")
    assert store.find("c1").run_id == record.run_id


def test_the_experiment_opens_as_model_training_in_the_ui(store):
    experiment = mlflow.MlflowClient(store.uri).get_experiment(store.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "analysis.report" in experiment.tags["mlflow.note.content"]


def test_a_password_is_in_no_message():
    with pytest.raises(TrackingError) as caught:
        Store(TrackingConfig("nonsense://me:secret@host/x", "test"))
    assert "secret" not in str(caught.value)


def test_a_store_that_is_none_is_refused(tmp_path):
    with pytest.raises(TrackingError, match=r"tracking.uri=nonsense://x cannot be used"):
        Store(TrackingConfig("nonsense://x", "test"))


def _open(uri, queue):
    queue.put(Store(TrackingConfig(uri, "together")).experiment_id)


@pytest.mark.slow
def test_processes_that_start_together_on_nothing_share_one_experiment(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    uri = f"sqlite:///{tmp_path}/fresh.db"
    workers = [context.Process(target=_open, args=(uri, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    ids = {queue.get(timeout=120) for _ in workers}
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(ids) == 1
