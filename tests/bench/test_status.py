import json

import pytest

from bench import status
from bench.sweeps.survey import CellState
from bench.tracking.server import UnavailableError
from bench.tracking.store import RunState

DONE = CellState("a", "resnet18", "0a", "done", RunState("r1", "FINISHED", {"test/auroc": 0.75, "x": float("nan")}), "")
FAILED = CellState(
    "b", "resnet18", "0b", "failed", RunState("r2", "FAILED", {}, "DataError: b torn"), "DataError: b torn"
)
LOST = CellState("c", "resnet18", "0c", "failed", None, "DataError: no such folder")
RUNNING = CellState(
    "d", "resnet18", "0d", "running",
    RunState("r4", "RUNNING", {}, progress=0.25, images_per_second=31.0, heartbeat=9.0, host="gpu1"), "running on gpu1",
)  # fmt: skip
WORDS = ["-m", "arch=resnet18", "seed=0,1"]


@pytest.fixture
def surveyed(monkeypatch):
    """Gives the looks at a sweep, one after the other."""

    def give(*looks):
        answers = iter(looks)
        monkeypatch.setattr("bench.sweeps.survey.survey", lambda *_, **__: next(answers))

    return give


def test_everything_done_is_0(surveyed, capsys):
    surveyed([DONE])
    assert status.main(WORDS) == 0
    assert "0.750" in capsys.readouterr().out


@pytest.mark.parametrize("other", [FAILED, RUNNING, LOST])
def test_anything_else_is_1(surveyed, other):
    surveyed([DONE, other])
    assert status.main(WORDS) == 1


def test_every_failure_is_listed_and_progress_shown(surveyed, capsys):
    surveyed([FAILED, DONE, LOST, RUNNING])
    status.main(WORDS)
    said = capsys.readouterr().out
    assert "b: DataError: b torn" in said
    assert "c: DataError: no such folder" in said
    assert "25%" in said
    assert "31" in said


def test_json_is_valid_and_has_null_for_what_is_undefined(surveyed, capsys):
    surveyed([DONE, RUNNING, LOST])
    assert status.main([*WORDS, "--json"]) == 1

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    done, running, lost = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert (done["cell"], done["state"], done["run_id"]) == ("0a", "done", "r1")
    assert done["metrics"] == {"test/auroc": 0.75, "x": None}
    assert (running["progress"], running["images_per_second"], running["heartbeat"]) == (0.25, 31.0, 9.0)
    assert (running["started"], running["host"]) == (None, "gpu1")
    assert lost == {"cell": "0c", "name": "c", "state": "failed", "problem": "DataError: no such folder"}


def test_watch_looks_until_all_are_done(surveyed, monkeypatch, capsys):
    monkeypatch.setattr(status, "LOOK_SECONDS", 0.0)
    surveyed([RUNNING], [RUNNING], [DONE])
    assert status.main([*WORDS, "--watch"]) == 0


def test_watch_outlives_a_restart_of_the_server(monkeypatch, capsys):
    monkeypatch.setattr(status, "LOOK_SECONDS", 0.0)
    looks = iter([[RUNNING], UnavailableError("no answer"), [DONE]])

    def survey(*_, **__):
        look = next(looks)
        if isinstance(look, Exception):
            raise look
        return look

    monkeypatch.setattr("bench.sweeps.survey.survey", survey)
    assert status.main([*WORDS, "--watch"]) == 0
    assert "no look now: no answer" in capsys.readouterr().out


def test_watch_ends_with_ctrl_c(surveyed, monkeypatch, capsys):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", interrupt)
    surveyed([RUNNING])
    assert status.main([*WORDS, "--watch"]) == 1


@pytest.mark.parametrize("words", [["-m", "no_such=1,2"], ["-m", "hydra/launcher=none"], ["--cfg", "job"]])
def test_a_wrong_command_line_is_2_and_one_sentence(words, capsys):
    assert status.main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("bench.status: ")


def test_a_store_that_cannot_be_used_is_said(phantom_root, capsys):
    words = ["pretrained=false", "tracking.uri=nonsense://x", "data=chexpert", f"data.root={phantom_root}"]
    assert status.main([*WORDS, *words, f"data.cache={phantom_root.parent}/cache"]) == 2
    assert "nonsense://x cannot be used" in capsys.readouterr().err


def test_help(capsys):
    assert status.main(["--help"]) == 0
    assert "Exit status 0 only when all cells are done" in " ".join(capsys.readouterr().out.split())
