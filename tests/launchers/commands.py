"""Commands as a user types them, and what their sweeps left.

They run in processes forked from one that has imported everything: a fresh interpreter spends ten seconds on imports,
and these tests start dozens. What launchers start themselves are fresh interpreters.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

from bench.sweeps.plan import plan
from bench.tracking.claim import CLAIM, read
from bench.tracking.store import Store
from bench.tracking.upload import patiently

WHOLE = 600.0
"""Seconds that a command may take on a machine that is busy with other work."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        "bench.run",
        "bench.status",
        "bench.cells.runner",
        "bench.sweeps.closing",
        "bench.sync",
        "mlflow.store.tracking.sqlalchemy_store",
    ]
)


def start(
    module: str, typed: list[str], log: Path, environment: Mapping[str, str] | None = None, answer: Path | None = None
) -> ForkServerProcess:
    """A command in a process group of its own.

    Args:
        module: `bench.run`, say.
        typed: behind it.
        log: gets all that it says, behind what is there.
        environment: changes to this process's.
        answer: gets what it says to stdout, apart from the log.
    """
    with mock.patch.dict(os.environ, ENVIRONMENT):  # for the server of forks, which the first one starts
        process = _FORKED.Process(target=_act, args=(module, typed, log, dict(environment or {}), answer))
        process.start()
    return process


def _act(module: str, typed: list[str], log: Path, environment: dict[str, str], answer: Path | None) -> None:
    os.setsid()
    for number, path in ((1, answer or log), (2, log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.update(environment)
    try:
        sys.exit(importlib.import_module(module).main(typed))
    finally:
        threading._shutdown()  # as an interpreter ends: joblib ends its processes then, and multiprocessing awaits them


def end(process: ForkServerProcess) -> int:
    """The exit status of a command, which this waits for."""
    process.join(WHOLE)
    assert process.exitcode is not None, f"still running after {WHOLE} s"
    return process.exitcode


def kill(process: ForkServerProcess) -> None:
    """Ends a command and what it started, by SIGKILL; returns when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def run(module: str, typed: list[str], environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """A command's exit status and all that it says."""
    with tempfile.NamedTemporaryFile() as log:
        process = start(module, typed, Path(log.name), environment)
        try:
            return end(process), Path(log.name).read_text()
        finally:
            kill(process)


def status(typed: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """What `bench.status --json` answers: its exit status, and a cell a row."""
    with tempfile.NamedTemporaryFile() as log, tempfile.NamedTemporaryFile() as answer:
        process = start("bench.status", [*typed, "--json"], Path(log.name), answer=Path(answer.name))
        code = end(process)
        assert answer.read(), Path(log.name).read_text()
        return code, json.loads(Path(answer.name).read_text())


def store(typed: list[str]) -> Store:
    """The store of a sweep, to read."""
    tracking = plan(typed).configs[0].tracking
    return Store(tracking.uri, tracking.experiment)


def holders(opened: Store) -> set[int]:
    """The ids of the processes that have a cell now."""
    runs = patiently(opened.server.runs, WHOLE)
    return {read(value)["pid"] for run in runs for key, value in run.tags.items() if key.startswith(CLAIM)}


def claims(opened: Store) -> list[str]:
    """The tags of claims that are left."""
    return [key for run in opened.server.runs() for key in run.tags if key.startswith(CLAIM)]


def predictions(typed: list[str]) -> dict[str, dict[str, pd.DataFrame]]:
    """By cell and split, what was predicted; every run of the store finished, no cell in two."""
    opened = store(typed)
    runs = opened.server.runs()
    assert {found.status for found in runs} == {"FINISHED"}
    cells = [found.tags["cell"] for found in runs]
    assert len(set(cells)) == len(cells)
    return {
        found.tags["cell"]: {
            split: pd.read_parquet(opened.download(found.id, f"predictions/{split}.parquet"))
            for split in ("valid", "test")
        }
        for found in runs
    }


def assert_same(one: dict[str, dict[str, pd.DataFrame]], other: dict[str, dict[str, pd.DataFrame]]) -> None:
    """The same cells with the same predictions, to the last bit."""
    assert one.keys() == other.keys()
    for cell, frames in one.items():
        for split, frame in frames.items():
            pd.testing.assert_frame_equal(frame, other[cell][split], check_exact=True)
