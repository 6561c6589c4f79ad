import math

import pytest

from bench.cells.identify import identify
from bench.errors import TrackingError
from bench.sweeps import survey as module
from bench.sweeps.survey import SILENT_SECONDS, seconds_left, survey
from bench.tracking.store import RunState

NOW = 10_000.0


class FakeStore:
    """Knows the given runs, and counts how often it is asked."""

    def __init__(self, runs):
        self.runs, self.asked = runs, 0

    def states(self):
        self.asked += 1
        return self.runs


@pytest.fixture
def known(monkeypatch):
    """Says what the store knows, by configuration."""

    def say(*pairs):
        store = FakeStore({identify(config).cell.hash: run for config, run in pairs if run is not None})
        monkeypatch.setattr(module, "store_of", lambda *_, **__: store)
        return store

    return say


@pytest.mark.parametrize(
    ("run", "state", "problem"),
    [
        (None, "missing", "not begun"),
        (RunState("r", "FINISHED", {}), "done", ""),
        (RunState("r", "FAILED", {}, "DataError: torn"), "failed", "DataError: torn"),
        (RunState("r", "RUNNING", {}, heartbeat=NOW - SILENT_SECONDS, host="gpu3"), "running", "running on gpu3"),
        (RunState("r", "RUNNING", {}, started=NOW - 1, host="gpu3"), "running", "running on gpu3"),
        (RunState("r", "RUNNING", {}, heartbeat=NOW - SILENT_SECONDS - 1, started=NOW), "missing",
         "interrupted; goes on when started again"),
        (RunState("r", "KILLED", {}, progress=0.5, heartbeat=NOW), "missing",
         "interrupted at 50%; goes on when started again"),
    ],
)  # fmt: skip
def test_a_cell_is_what_its_run_says(configure, known, run, state, problem):
    config = configure()
    known((config, run))
    (cell,) = survey([config], now=NOW)
    assert (cell.state, cell.problem, cell.run) == (state, problem, run)
    assert (cell.name, cell.arch, cell.hash) == ("resnet18-scratch-t0-s0-32px", "resnet18", identify(config).cell.hash)


def test_the_store_is_asked_once_and_the_data_read_once_for_many_cells(configure, known, monkeypatch):
    configs = [configure(f"seed={seed}") for seed in range(5)]
    store = known((configs[3], RunState("r", "FINISHED", {})))
    opened, opens = module.open_dataset, []
    monkeypatch.setattr(module, "open_dataset", lambda *a, **k: opens.append(1) or opened(*a, **k))
    cells = survey(configs, now=NOW)
    assert [cell.state for cell in cells] == ["missing"] * 3 + ["done", "missing"]
    assert (store.asked, len(opens)) == (1, 1)


def test_data_that_cannot_be_read_fail_their_cells_and_no_others(configure, known):
    good, bad = configure(), configure("data.root=/no/such")
    known((good, RunState("r", "FINISHED", {})))
    cells = survey([bad, good], now=NOW)
    assert [(cell.state, cell.hash == "") for cell in cells] == [("failed", True), ("done", False)]
    assert "/no/such" in cells[0].problem
    assert cells[0].name == cells[1].name == "resnet18-scratch-t0-s0-32px"


@pytest.mark.parametrize(
    "words",
    [("trainer.workers=3",), ("outputs=elsewhere",), ("trainer.save_minutes=1",), ("tracking.checkpoints=none",),
     ("retry=failed",)],
)  # fmt: skip
def test_a_detail_of_the_machine_makes_no_new_cell(configure, known, words):
    known((configure(), RunState("r", "FINISHED", {})))
    assert survey([configure(*words)], now=NOW)[0].state == "done"


@pytest.mark.parametrize("words", [("protocol.lr=1e-3",), ("data.uncertain=u-ones",), ("seed=1",), ("arch=resnet34",)])
def test_a_change_of_the_science_makes_a_new_cell(configure, known, words):
    known((configure(), RunState("r", "FINISHED", {})))
    assert survey([configure(*words)], now=NOW)[0].state == "missing"


def test_a_store_that_cannot_be_used_is_said(configure):
    with pytest.raises(TrackingError, match="nonsense://x cannot be used"):
        survey([configure("tracking.uri=nonsense://x")], now=NOW)


def test_what_is_left_takes_as_long_as_finished_cells_of_the_same_architecture(configure, known):
    def took(seconds):
        return RunState("r", "FINISHED", {"fit_seconds": seconds})

    done = [
        (configure("seed=0"), took(10.0)),
        (configure("seed=1"), took(30.0)),
        (configure("arch=resnet34"), took(80.0)),
    ]
    left = [configure("seed=2"), configure("arch=resnet34", "seed=1"), configure("arch=resnet50")]
    known(*done)
    cells = survey([*(config for config, _ in done), *left], now=NOW)
    assert seconds_left(cells) == pytest.approx(20.0 + 80.0 + (10.0 + 30.0 + 80.0) / 3)
    assert seconds_left(cells[:3]) == 0.0
    assert math.isnan(seconds_left(cells[3:]))
