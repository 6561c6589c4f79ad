import math

import pytest

from bench.tracking.store import Store


@pytest.mark.parametrize("key", ["progress", "images_per_second", "heartbeat"])
def test_a_tag_that_somebody_edited_costs_that_run_its_number_and_is_named(key, tmp_path, caplog):
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path / "outputs")
    for cell in ("c1", "c2"):
        with store.run(cell, f"name-{cell}", {"cell": cell}, {}) as record:
            record.metrics({"test/auroc": 0.5}, step=1)
    store.server.log(store.find("c1").run_id, tags={key: "half"})
    states = store.states()
    assert {state.status for state in states.values()} == {"FINISHED"}
    assert math.isnan(getattr(states["c1"], key))
    assert f"run name-c1: its tag {key}=half is no number" in caplog.text
    assert "name-c2" not in caplog.text
