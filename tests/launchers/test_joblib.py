import os
import signal
import time

import pytest

from tests.launchers import commands

pytest.importorskip("joblib", reason="no joblib (pip install -e '.[joblib]'): several processes did not run")
TWO = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.mark.slow
def test_two_processes_train_the_cells_and_every_failure_is_listed(words):
    typed = words("seed=0,1", "pretrained=true,false", *TWO)
    code, said = commands.run("bench.run", typed)
    assert code == 1, said
    code, rows = commands.status(typed)
    assert code == 1
    assert {row["name"]: row["state"] for row in rows} == {
        f"resnet18-{start}-t3-s{seed}-32px": state
        for start, state in (("pretrained", "failed"), ("scratch", "done"))
        for seed in (0, 1)
    }
    for seed in (0, 1):
        assert f"resnet18-pretrained-t3-s{seed}-32px: WeightsError: no weights" in said.partition("4 cell(s)")[2]
    code, said = commands.run("bench.run", words("seed=0,1"))
    assert (code, "2 cells: 2 done" in said) == (0, True), "another launcher made the cells new"


@pytest.mark.slow
def test_a_sweep_goes_on_by_itself_after_one_of_its_processes_was_killed(words, tmp_path):
    typed = words("seed=range(0,6)", *TWO)
    store, log = commands.store(typed), tmp_path / "log"
    process = commands.start("bench.run", typed, log)
    try:
        until = time.monotonic() + commands.WHOLE
        while not (training := commands.holders(store)):
            assert process.is_alive(), log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        assert process.pid not in training, "the command trains by itself: the cells did not go through joblib"
        os.kill(training.pop(), signal.SIGKILL)
        assert commands.end(process) == 0, log.read_text()
    finally:
        commands.kill(process)
    assert "what is left is started again" in log.read_text()
    assert len(commands.predictions(typed)) == 6
