import pytest
from rich.console import Console

from bench import runner
from bench.closing import closing_table
from bench.errors import WeightsError
from bench.runner import run_cell, store_of


@pytest.fixture(autouse=True)
def fresh_stores():
    runner._store.cache_clear()


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
    rows = {line.split()[1]: line.split()[3:7:2] for line in text.splitlines() if line.startswith("│")}
    assert rows == {
        "resnet18-scratch-t0-s0": ["finished", f"{state.metrics['test/auroc']:.3f}"],
        "resnet18-pretrained-t0-s0": ["failed", "nan"],
        "resnet18-scratch-t0-s5": ["missing", "nan"],
    }
    assert "resnet18-pretrained-t0-s0: WeightsError: no weights resnet18.tv_in1k" in text
    assert "resnet18-scratch-t0-s5: missing" in text
    assert closing_table(console, [finished]) == 0


def test_a_store_that_cannot_be_used_is_said_and_no_crash(configure, console):
    assert closing_table(console, [configure("tracking.uri=nonsense://x")]) == 1
    assert "nonsense://x cannot be used" in console.export_text()


def test_a_folder_that_is_no_data_set_is_said(configure, console):
    assert closing_table(console, [configure("data.root=/no/such")]) == 1
    assert "/no/such: no such folder" in console.export_text()
