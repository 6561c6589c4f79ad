import shutil
from pathlib import Path

import pandas as pd

from analysis.store.artifacts import load_predictions, paths
from analysis.store.io import load_runs
from bench.tracking.store import Store

TAGS = {"cell": "c1", "arch": "resnet18", "family": "ResNet", "pretrained": "true", "truncate": "0", "seed": "0"}
TAGS |= {"data": "phantom", "data_fingerprint": "0a"}


def record(place: Path, cell: str) -> str:
    """The id of a run that was recorded in a project at this place."""
    store = Store(f"sqlite:///{place}/mlflow.db", "study", place / "outputs")
    with store.run(cell, "n", TAGS | {"cell": cell}, {}) as attempt:
        frame = pd.DataFrame({"path": [cell]})
        attempt.artifact("predictions/test.parquet", lambda path: frame.to_parquet(path, index=False))
    return store.find(cell).run_id


def predicted(place: Path) -> set[str]:
    """What the report reads of a project at this place."""
    uri = f"sqlite:///{place}/mlflow.db"
    runs = load_runs(uri, "study")
    assert all(paths(uri, run, "predictions") for run in runs.to_dict("records"))
    return {frame.loc[0, "path"] for frame in load_predictions(uri, runs).values()}


def test_a_moved_project_is_read_and_goes_on_where_it_is(tmp_path, caplog):
    old, new = tmp_path / "old place", tmp_path / "new"
    run_id = record(old, "c1")
    shutil.move(old, new)
    assert predicted(new) == {"c1"}
    assert not caplog.text, "looking mended something"
    record(new, "c2")
    assert "the project folder was moved" in caplog.text
    assert predicted(new) == {"c1", "c2"}
    assert not old.exists(), "the old folder was made again"
    said = Store(f"sqlite:///{new}/mlflow.db", "study").server.client.get_run(run_id).info.artifact_uri
    assert said == (new / "mlartifacts" / "study" / run_id / "artifacts").as_uri()


def test_a_copy_is_a_project_of_its_own(tmp_path):
    first, copy = tmp_path / "first", tmp_path / "copy"
    record(first, "c1")
    shutil.copytree(first, copy)
    before = sorted(first.rglob("*.parquet"))
    record(copy, "c2")
    assert predicted(copy) == {"c1", "c2"}
    assert sorted(first.rglob("*.parquet")) == before, "the copy wrote into the first one"
    assert predicted(first) == {"c1"}
