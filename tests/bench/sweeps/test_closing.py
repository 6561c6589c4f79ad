import dataclasses
import shlex
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.types import Quote, QuotedString
from rich.console import Console

from analysis.settings import read_settings
from bench.cells.runner import run_cell
from bench.config import compose_config
from bench.errors import TrackingError, WeightsError
from bench.sweeps.closing import MOST_ROWS, closing_table, duration, states_table
from bench.sweeps.survey import CellState
from bench.tracking.store import RunState
from bench.tracking.stores import store_of


@pytest.fixture
def console():
    return Console(record=True, width=120)


def test_the_table_names_every_state_and_every_failure(configure, console, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    finished, failed, missing = configure(), configure("pretrained=true"), configure("seed=5")
    state = run_cell(finished, store_of(finished))
    with pytest.raises(WeightsError):
        run_cell(failed, store_of(failed))
    assert closing_table(console, [finished, failed, missing]) == 1
    text = console.export_text()
    rows = {line.split()[1]: line.split("│")[2:7] for line in text.splitlines() if line.startswith("│")}
    assert {name: (cells[0].strip(), cells[4].strip()) for name, cells in rows.items()} == {
        "resnet18-scratch-t0-s0-32px": ("done", f"{state.metrics['test/auroc']:.3f}"),
        "resnet18-pretrained-t0-s0-32px": ("failed", ""),
        "resnet18-scratch-t0-s5-32px": ("missing", ""),
    }
    assert "resnet18-pretrained-t0-s0-32px: WeightsError: no weights resnet18.tv_in1k" in text
    assert "resnet18-scratch-t0-s5-32px: not begun" in text
    assert closing_table(console, [finished]) == 0


def test_a_store_that_cannot_be_used_is_said(configure, console):
    with pytest.raises(TrackingError, match="nonsense://x cannot be used"):
        closing_table(console, [configure("tracking.uri=nonsense://x")])


def test_a_folder_that_is_no_data_set_is_said(configure, console):
    assert closing_table(console, [configure("data.root=/no/such")]) == 1
    text = console.export_text()
    assert "resnet18-scratch-t0-s0-32px: data.root=/no/such: no such folder" in text


@pytest.mark.parametrize("retry", ["none", "failed"])
def test_a_failed_cell_says_how_it_is_trained_again(configure, console, retry):
    failed = CellState("a", "resnet18", "0a", "failed", RunState("r", "FAILED", {}, failure="why"), "why")
    unread = CellState("b", "resnet18", "", "failed", None, "no such folder")  # looked at anew in any case
    closing_table(console, [configure(f"retry={retry}")], [failed, unread])
    assert ("1 failed and stay so: mend the reason, and add retry=failed" in console.export_text()) == (retry == "none")


ODD = "my runs (2), it's"


def test_hints_can_be_pasted(configure, console, monkeypatch):
    closing_table(console, [configure(f"tracking.experiment={QuotedString(ODD, Quote.single).with_quotes()}")], [])
    text = console.export_text()
    look, report = (shlex.split(line.partition(":")[2]) for line in text.splitlines() if ":  " in line)
    assert look[:3] == ["mlflow", "ui", "--backend-store-uri"]
    assert read_settings(report[3:]).experiment == ODD
    closing_table(console, [configure("tracking.offline=true", "outputs='/a (b)'")], [])
    upload = shlex.split(console.export_text().splitlines()[-1].partition(":")[2])
    assert upload[:3] == ["python", "-m", "bench.sync"]
    assert compose_config(upload[3:], "sync").outputs == "/a (b)"


def test_of_a_server_the_experiments_page_is_named(configure, console, monkeypatch):
    config = configure("tracking.uri=http://somewhere:5000/")
    server = SimpleNamespace(server=SimpleNamespace(experiment_id="7"))
    monkeypatch.setattr("bench.sweeps.closing.store_of", lambda _: server)
    closing_table(console, [config], [])
    text = console.export_text()
    assert "compare:  http://somewhere:5000/#/experiments/7\n" in text
    assert "mlflow ui" not in text


def test_states_that_are_known_are_not_asked_for_again(configure, console, monkeypatch):
    monkeypatch.setattr("bench.sweeps.closing.survey", None)
    done = CellState("a", "resnet18", "0a", "done", RunState("r", "FINISHED", {}), "")
    assert closing_table(console, [configure()], [done]) == 0


def test_of_a_large_sweep_only_what_is_not_done_has_a_row(console):
    done = [CellState(f"d{n}", "resnet18", f"{n}", "done", RunState("r", "FINISHED", {}), "") for n in range(MOST_ROWS)]
    left = CellState("left", "resnet18", "x", "missing", None, "not begun")
    console.print(states_table([*done, left], now=0.0))
    text = console.export_text()
    assert [line.split()[1] for line in text.splitlines() if line.startswith("│")] == ["left"]
    assert f"{MOST_ROWS + 1} cell(s), {MOST_ROWS} done and not shown" in text
    assert states_table(done, now=0.0).row_count == MOST_ROWS


def test_a_running_cell_says_how_far_it_is_how_fast_and_when_it_was_heard_of(console):
    run = RunState("r", "RUNNING", {}, progress=0.25, images_per_second=31.0, heartbeat=1000.0, host="gpu1")
    ahead = dataclasses.replace(run, heartbeat=1075.0)
    cells = [CellState(name, "resnet18", "0", "running", state, "") for name, state in (("a", run), ("b", ahead))]
    console.print(states_table(cells, now=1070.0))
    rows = [line.split("│")[1:-1] for line in console.export_text().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["a", "running", "25%", "31", "1 min", "", ""], ["b", "running", "25%", "31", "0 s", "", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.0, "59 s"), (60.0, "1 min"), (5400.0, "1.5 h"), (86_400.0, "24.0 h"), (200_000.0, "2.3 days")],
)
def test_a_duration_is_said_as_a_person_says_it(seconds, said):
    assert duration(seconds) == said
