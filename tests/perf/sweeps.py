"""How long the same sweep takes again when all of its 1,000 cells are done: `python -m tests.perf.sweeps`.

The peer is the same command for a sweep of two cells, which are done as well: what every command takes.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.cells.identify import identify
from bench.data.generated import phantom
from bench.data.sets import open_dataset
from bench.sweeps.plan import plan
from bench.tracking.stores import store_of
from tests.bench.recording import copy_run, mlflow_server
from tests.perf.said import say

CELLS, FEW = 1000, 2
LIMIT = 10.0
"""Seconds; issue "Sweeps that survive", point 2."""


def main() -> None:
    """Prints a line for the clock and one for the processor's time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantom.generate(folder / "phantom", phantom.PhantomSpec(train_patients=60, test_patients=40))
        record(folder)
        backend = f"sqlite:///{folder}/mlflow.db"
        took = {"SQLite": (again(folder, CELLS, backend), again(folder, FEW, backend))}
        with mlflow_server(backend, folder, "--workers", "4") as server:  # as `mlflow server` has where nothing is said
            took["server"] = again(folder, CELLS, server.uri), again(folder, FEW, server.uri)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"{os.cpu_count()} cores, load {load}; limit {LIMIT:g} s")
    say(f"{'name':70} {'ours':>10} {'peer':>10} {'ratio':>9}")
    for store, (many, few) in took.items():
        for what, ours, peer in zip(("clock", "processor"), many, few, strict=True):
            name = f"{CELLS:,} finished cells again, {store}, {what} ({FEW} cells)"
            say(f"{name:70} {ours:9.2f}s {peer:9.2f}s {peer / ours:8.2f}x")


def words(folder: Path, cells: int, uri: str) -> list[str]:
    """The command line of a sweep of so many cells, recorded in the store at `uri`."""
    return [
        "-m", "arch=resnet18", "pretrained=false", f"seed=range(0,{cells})", "data=chexpert",
        f"data.root={folder}/phantom", "data.valid_fraction=0.3", "trainer.precision=fp32", f"outputs={folder}/outputs",
        f"tracking.uri={uri}", f"data.cache={folder}/cache",
    ]  # fmt: skip


def record(folder: Path) -> None:
    """A finished run for each cell, with about as many params and metrics as a cell has."""
    configs = plan(words(folder, CELLS, f"sqlite:///{folder}/mlflow.db")).configs
    data = open_dataset(configs[0].data, scored=configs[0].evaluation.tasks)
    first, *others = (identify(config, data).cell for config in configs)
    params = {f"param{number}": "x" for number in range(80)}
    with store_of(configs[0]).run(first.hash, first.name, {"cell": first.hash}, params) as made:
        made.metrics({f"metric{number}": 0.5 for number in range(60)} | {"test/auroc": 0.5}, step=1)
    copy_run(folder / "mlflow.db", made.run_id, [cell.hash for cell in others])


def again(folder: Path, cells: int, uri: str) -> tuple[float, float]:
    """Seconds of `bench.run` on a sweep that is done, asked of the store at `uri`: by the clock, and of processors."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "bench.run", *words(folder, cells, uri)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert f"{cells} cells: {cells} done" in done.stdout, done.stdout
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
