import contextlib
import signal
import time
from collections import Counter

import numpy as np
import pytest

from bench.tracking.spool import spools
from tests.bench.recording import copy_database, mlflow_server
from tests.launchers import commands

CELLS = 24
WORKERS = 3
KILLED_AFTER = (2, 5, 8, 11, 14, 17)
"""Finished cells after which a random one of the workers that train is killed, and another one starts."""
RESTARTED_AFTER = 11


def finished(outputs):
    """The cell of each attempt that came to its end; asked of this machine, as the server has enough to do."""
    told = []
    for spool in spools(outputs):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            told.append(spool.run())
    return [attempt.cell for attempt in told if attempt.status == "FINISHED"]


@pytest.mark.slow
def test_a_sweep_whose_workers_and_server_are_killed_ends_as_an_undisturbed_one(words, ground, tmp_path):
    rng = np.random.default_rng(0)
    seeds = f"seed=range(0,{CELLS})"
    quiet = words(seeds, outputs="quiet")
    code, said = commands.run("bench.run", quiet)
    assert code == 0, said
    log = tmp_path / "workers.log"
    copy_database(ground / "mlflow.db", tmp_path / "server.db")
    with mlflow_server(f"sqlite:///{tmp_path}/server.db", tmp_path) as server:
        typed = words(seeds, uri=server.uri)
        store, outputs = commands.store(typed), tmp_path / "outputs"
        workers = [commands.start("bench.run", typed, log) for _ in range(WORKERS)]
        try:
            disturb(rng, server, store, outputs, workers, lambda: commands.start("bench.run", typed, log))
            for process in workers:
                assert commands.end(process) in (0, 1), log.read_text()
        finally:
            for process in workers:
                commands.kill(process)
        code, said = commands.run("bench.run", typed)
        assert code == 0, said
        assert commands.status(typed)[0] == 0
        got = commands.predictions(typed)
        assert commands.claims(store) == []
    assert len(got) == CELLS
    commands.assert_same(commands.predictions(quiet), got)
    assert Counter(finished(outputs)) == dict.fromkeys(got, 1), "a cell was trained to its end more than once"


def disturb(rng, server, store, outputs, workers, start):
    """Kills one of the workers that train after each of KILLED_AFTER, and the server once."""
    for after in KILLED_AFTER:
        until = time.monotonic() + commands.WHOLE
        while len(finished(outputs)) < after:
            assert time.monotonic() < until, f"{finished(outputs)}: not {after} after {commands.WHOLE} s"
            time.sleep(0.2)
        if after == RESTARTED_AFTER:
            server.kill()
            time.sleep(2.0)  # the time that a restart takes
            server.start()
        time.sleep(rng.uniform(0.0, 1.0))  # anywhere in a cell
        number = rng.choice(training(store, workers, until))
        commands.kill(workers[number])
        assert workers[number].exitcode == -signal.SIGKILL
        workers[number] = start()


def training(store, workers, until):
    """Which workers have a cell now; waits for one."""
    while time.monotonic() < until:
        holders = commands.holders(store)
        found = [number for number, process in enumerate(workers) if process.is_alive() and process.pid in holders]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("no worker has a cell")
