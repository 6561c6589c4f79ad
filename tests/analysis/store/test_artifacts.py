import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.store import artifacts
from analysis.store.artifacts import load_predictions, paths, read
from analysis.store.io import load_runs


def one_run(store):
    return load_runs(store.uri, "chextransfer").iloc[0].to_dict()


def elsewhere(run):
    """The same run, as one whose artifacts lie on a server."""
    return run | {"artifacts": "mlflow-artifacts:/1/artifacts"}


def test_predictions_come_back_as_they_were_written(four_cells, predictions):
    runs = load_runs(four_cells.uri, "chextransfer")
    runs = runs[runs["name"] == "densenet121-pretrained-t0-s0"]
    frames = load_predictions(four_cells.uri, runs)
    pd.testing.assert_frame_equal(frames[runs["run_id"].iloc[0]], predictions(3, skill=1.5))


def test_predictions_that_are_missing_or_broken_are_refused_by_name(store):
    run_id = store.add()
    runs = load_runs(store.uri, "chextransfer")
    store.parquet(run_id).write_bytes(b"PAR1 and no more")
    with pytest.raises(AnalysisError, match=rf"of run densenet121-pretrained-t0-s0 \({run_id}\) cannot be read: "):
        load_predictions(store.uri, runs)
    store.parquet(run_id).unlink()
    with pytest.raises(AnalysisError, match="cannot be read: there is no file"):
        load_predictions(store.uri, runs)


@pytest.mark.parametrize("place", [dict, elsewhere], ids=["folder", "server"])
def test_files_are_found_and_read(store, place):
    run_id = store.add()
    store.leave(run_id, "note.txt", b"n")
    store.leave(run_id, "cams/b.json", b"b")
    store.leave(run_id, "cams/a.png", b"a")
    store.leave(run_id, "cams/deeper/c.json", b"c")
    run = place(one_run(store))
    assert paths(store.uri, run) == ["note.txt"]
    assert paths(store.uri, run, "cams") == ["cams/a.png", "cams/b.json"]
    assert paths(store.uri, run, "none") == []
    assert read(store.uri, run, "cams/b.json") == b"b"
    with pytest.raises(AnalysisError):
        read(store.uri, run, "cams/none.json")


def test_what_lies_in_a_folder_is_read_without_asking_the_server(store, monkeypatch):
    store.add()
    run = one_run(store)
    monkeypatch.setattr(artifacts, "open_store", lambda _: pytest.fail("the server was asked"))
    assert paths(store.uri, run, "predictions") == ["predictions/test.parquet"]
    assert read(store.uri, run, "predictions/test.parquet").startswith(b"PAR1")
