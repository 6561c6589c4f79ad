import json
import os
import signal
import time

import mlflow
import numpy as np
import pytest

from tests.bench.recording import mlflow_server
from tests.launchers import commands

CELLS = 24
WORKERS = 3
KILLED_AFTER = (2, 5, 8, 11, 14, 17)
"""Finished cells after which a random one of the workers that train is killed, and another one starts."""
RESTARTED_AFTER = 11


def finished(typed):
    return sum(found.status == "FINISHED" for found in commands.store(typed).server.runs())


def kill(process):
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_sweep_whose_workers_and_server_are_killed_ends_as_an_undisturbed_one(tmp_path):
    rng = np.random.default_rng(0)
    seeds = f"seed=range(0,{CELLS})"
    quiet = commands.words(tmp_path, seeds, outputs="quiet")
    code, said = commands.run("bench.run", quiet)
    assert code == 0, said
    log = tmp_path / "workers.log"
    with mlflow_server(f"sqlite:///{tmp_path}/server.db", tmp_path) as server:
        typed = commands.words(tmp_path, seeds, uri=server.uri)
        workers = [commands.start("bench.run", typed, log) for _ in range(WORKERS)]
        try:
            killed = disturb(rng, server, typed, workers, log)
            assert killed == len(KILLED_AFTER), log.read_text()
            for process in workers:
                assert process.wait(timeout=commands.WHOLE) in (0, 1), log.read_text()
        finally:
            for process in workers:
                if process.poll() is None:
                    kill(process)
        code, said = commands.run("bench.run", typed)
        assert code == 0, said
        assert commands.status(typed)[0] == 0
        got = commands.predictions(typed)
        client = mlflow.MlflowClient(server.uri)
        for found in commands.store(typed).server.runs():
            assert len(client.get_metric_history(found.id, "test/auroc")) == 1
            assert commands.store(typed).server.claims(found.tags["cell"]) == {}
    assert len(got) == CELLS
    commands.assert_same(commands.predictions(quiet), got)


def disturb(rng, server, typed, workers, log):
    """Kills a worker after each of KILLED_AFTER, and the server once; how many workers that hit."""
    killed = 0
    until = time.monotonic() + commands.WHOLE
    for after in KILLED_AFTER:
        while finished(typed) < after:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        if after == RESTARTED_AFTER:
            server.kill()
            time.sleep(2.0)  # the time that a restart takes
            server.start()
        time.sleep(rng.uniform(0.0, 1.0))  # anywhere in a cell
        number = rng.choice(training(typed, workers, until))
        kill(workers[number])
        killed += 1
        workers[number] = commands.start("bench.run", typed, log)
    return killed


def training(typed, workers, until):
    """Which workers hold a cell now; waits for one."""
    while time.monotonic() < until:
        claims = commands.store(typed).server.claims("").values()
        holders = {json.loads(claim["owner"])["pid"] for claim in claims}
        found = [n for n, process in enumerate(workers) if process.poll() is None and process.pid in holders]
        if found:
            return found
    raise AssertionError("no worker holds a cell")
