import signal
import subprocess
import sys

import pytest

from bench import run
from bench.errors import TrackingError
from bench.sweeps.launch import Ended, WorkerDiedError
from bench.sweeps.survey import CellState
from bench.tracking.store import RunState
from bench.training.interrupts import GpuLost, Interrupted

WORDS = ["-m", "arch=resnet18", "seed=range(0,4)"]
FINISHED, FAILED, KILLED = (RunState("r", status, {}) for status in ("FINISHED", "FAILED", "KILLED"))


def state(seed, name, found=None):
    return CellState(f"resnet18-pretrained-t0-s{seed}", "resnet18", f"0{seed}", name, found, name)


@pytest.fixture
def launched(monkeypatch):
    """Puts cells' states and a launcher in their places; gives the seeds of every launch."""
    starts: list[list[str]] = []

    def put(cells, ends=()):
        endings = iter(ends)

        def launch(jobs, overrides, work):
            starts.append([word.removeprefix("seed=") for job in jobs for word in job if word.startswith("seed=")])
            assert all(f"sweep.size={len(jobs)}" in job for job in jobs)
            ended = next(endings, [])
            if isinstance(ended, BaseException):
                raise ended
            return Ended(ended, [])

        monkeypatch.setattr("bench.run._bring_in", lambda _: None)  # else the user's own store is made
        monkeypatch.setattr("bench.sweeps.closing.survey", lambda *_, **__: cells)
        monkeypatch.setattr("bench.sweeps.launch.launch", launch)
        monkeypatch.setattr(sys, "argv", ["bench.run"])
        return starts

    return put


def test_done_and_failed_cells_are_left_alone_and_those_begun_before_come_last(launched):
    cells = [state(0, "done", FINISHED), state(1, "missing", KILLED), state(2, "failed", FAILED), state(3, "missing")]
    starts = launched(cells)
    assert run.main(WORDS) == 1
    assert starts == [["3", "1"]]


def test_failed_cells_are_trained_again_on_request(launched):
    cells = [
        state(0, "done", FINISHED),
        *(state(seed, "failed", FAILED) for seed in (1, 2)),
        state(3, "done", FINISHED),
    ]
    starts = launched(cells)
    run.main([*WORDS, "retry=failed"])
    assert starts == [["1", "2"]]


def test_a_cell_that_another_worker_trains_is_looked_at_last_and_is_not_done(launched, capsys):
    running = RunState("r", "RUNNING", {}, host="gpu1")
    starts = launched([state(0, "running", running), *(state(seed, "missing") for seed in (1, 2, 3))])
    assert run.main(WORDS) == 1
    assert starts == [["1", "2", "3", "0"]]


def test_a_finished_sweep_starts_nothing_and_is_0(launched, capsys):
    starts = launched([state(seed, "done", FINISHED) for seed in range(4)])
    assert run.main(WORDS) == 0
    assert starts == []


def test_a_dry_run_says_what_would_be_done_and_does_nothing(launched, capsys):
    cells = [
        state(0, "done", RunState("r", "FINISHED", {"fit_seconds": 120.0})), state(1, "failed", FAILED),
        state(2, "missing"), state(3, "missing"),
    ]  # fmt: skip
    starts = launched(cells)
    assert run.main([*WORDS, "truncate=0,1,2,3,4", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "4 cells: 1 done, 1 failed, 2 missing" in said
    assert "4 left out: their architecture has no such depth" in said
    assert "about 6 min of training left" in said
    assert starts == []


def test_what_a_killed_process_left_is_started_again_and_not_for_ever(launched, capsys):
    starts = launched([state(seed, "missing") for seed in range(4)], [WorkerDiedError("a worker process died: x")] * 9)
    assert run.main(WORDS) == 1
    assert len(starts) == run.ROUNDS
    assert "crashed: a worker process died: x" in capsys.readouterr().out


def test_every_crash_is_listed_and_is_1(launched, capsys):
    launched([state(seed, "missing") for seed in range(4)], [["seed=0: ZeroDivisionError: x", "seed=1: KeyError: y"]])
    assert run.main(WORDS) == 1
    said = capsys.readouterr().out
    assert "crashed: seed=0: ZeroDivisionError: x" in said
    assert "crashed: seed=1: KeyError: y" in said


@pytest.mark.parametrize(
    ("stop", "code", "said"),
    [(Interrupted(signal.SIGTERM), 143, "the state is saved"), (KeyboardInterrupt(), 130, "the same command goes on")],
)
def test_a_stop_ends_the_sweep_with_the_status_that_a_shell_expects(launched, capsys, stop, code, said):
    launched([state(seed, "missing") for seed in range(4)], [stop])
    assert run.main(WORDS) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("launcher", "warned"), [("ray", True), ("joblib", False)])
def test_other_machines_may_choose_another_precision_and_that_is_said(launched, capsys, launcher, warned):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher", reason=f"pip install -e '.[{launcher}]'")
    launched([state(seed, "missing") for seed in range(4)])
    run.main([*WORDS, f"hydra/launcher={launcher}"])
    assert ("trainer.precision=auto is decided" in capsys.readouterr().out) == warned
    run.main([*WORDS, f"hydra/launcher={launcher}", "trainer.precision=fp32"])
    assert "trainer.precision=auto is decided" not in capsys.readouterr().out


def test_a_store_that_cannot_be_used_is_one_sentence(launched, monkeypatch, capsys):
    def survey(*_, **__):
        raise TrackingError("tracking.uri=x cannot be used")

    launched([])
    monkeypatch.setattr("bench.sweeps.closing.survey", survey)
    assert run.main(WORDS) == 1
    assert capsys.readouterr().err == "bench.run: tracking.uri=x cannot be used\n"


def test_a_search_has_no_list_to_show(capsys):
    pytest.importorskip("optuna", reason="no optuna (pip install -e '.[optuna]')")
    assert run.main(["-m", "protocol.lr=interval(1e-4,1e-2)", "hydra/sweeper=optuna", "--dry-run"]) == 2
    assert "there is no list to show" in capsys.readouterr().err


def test_a_wrong_command_line_is_2_and_neither_it_nor_a_look_at_a_sweep_imports_torch():
    asked = (
        "import sys, bench.sweeps.closing, bench.sync, bench.tracking.server; from bench.run import main; "
        "code = main(sys.argv[1:]); print(code, 'torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", asked, "-m", "hydra/launcher=nobody"], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["2", "False"]
    assert "Valid: basic, joblib" in said.stderr


def test_a_lost_gpu_ends_the_process_and_the_same_command_goes_on_in_a_new_one(launched, monkeypatch, capsys):
    class Replaced(BaseException):
        pass

    def execv(program, words):
        raise Replaced(program, *words)

    monkeypatch.setattr(run.os, "execv", execv)
    monkeypatch.setenv(run.BEGUN, "1")
    starts = launched([state(seed, "missing") for seed in range(4)], [GpuLost("CUDA error: unknown error")] * 9)
    words = [*WORDS, "weights=run:" + 32 * "a"]
    for begun in ("2", "3"):
        with pytest.raises(Replaced) as replaced:
            run.main(words)
        assert replaced.value.args == (sys.executable, sys.executable, "-m", "bench.run", *words)
        assert run.os.environ[run.BEGUN] == begun
    assert run.main(words) == 1
    assert len(starts) == run.ROUNDS
    said = capsys.readouterr().out
    assert "the GPU is lost to this process (CUDA error: unknown error)" in said
    assert "lost 3 times: ended here" in said
