import os
import signal
import subprocess
import time

import pytest

from tests.launchers import commands

pytest.importorskip("joblib", reason="no joblib (pip install -e '.[joblib]'): several processes did not run")
TWO = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.mark.slow
def test_two_processes_train_the_cells_and_every_failure_is_listed(tmp_path):
    typed = commands.words(tmp_path, "seed=0,1", "pretrained=true,false", *TWO)
    code, said = commands.run("bench.run", typed)
    assert code == 1, said
    code, rows = commands.status(typed)
    assert code == 1
    assert {row["name"]: row["state"] for row in rows} == {
        f"resnet18-{start}-t0-s{seed}": state
        for start, state in (("pretrained", "failed"), ("scratch", "done"))
        for seed in (0, 1)
    }
    for seed in (0, 1):
        assert f"resnet18-pretrained-t0-s{seed}: WeightsError: no weights" in said.partition("4 cell(s)")[2]
    code, said = commands.run("bench.run", commands.words(tmp_path, "seed=0,1"))
    assert (code, "2 cells: 2 done" in said) == (0, True), "another launcher made the cells new"


@pytest.mark.slow
def test_a_sweep_goes_on_by_itself_after_one_of_its_processes_was_killed(tmp_path):
    typed = commands.words(tmp_path, "seed=range(0,6)", *TWO)
    log = tmp_path / "log"
    process = commands.start("bench.run", typed, log)
    until = time.monotonic() + commands.WHOLE
    while log.read_text().count("cell ") < 3:
        assert process.poll() is None and time.monotonic() < until, log.read_text()  # noqa: PT018
        time.sleep(0.1)
    os.kill(loky_worker(process.pid), signal.SIGKILL)
    assert process.wait(timeout=commands.WHOLE) == 0, log.read_text()
    assert "what is left is started again" in log.read_text()
    assert len(commands.predictions(typed)) == 6


def loky_worker(parent):
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True, check=True
    )
    return next(int(line.split()[0]) for line in listed.stdout.splitlines() if "popen_loky" in line)
