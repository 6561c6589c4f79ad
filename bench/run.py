"""`python -m bench.run`: one cell, or with `-m` or `+sweeps=NAME` many. Help and refusals import no torch."""

import math
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig
from rich.console import Console

from analysis.interrupted import run_command
from analysis.printing import FORGIVING
from bench import config, overrides, waiting
from bench.command import say_environment
from bench.errors import BenchError, ConfigError
from bench.paths import CONF
from bench.sweeps.plan import CLUSTERS, Job, Sweep, check_roots, in_order, plan

if TYPE_CHECKING:
    from bench.sweeps.survey import CellState

DRY_RUN = "--dry-run"
ROUNDS = 3
"""Times that a sweep is begun where the launcher's own processes are killed, as by the kernel when memory is short."""
BEGUN = "BENCH_BEGUN"
"""Environment variable: how often this command was begun, since a GPU was lost."""
PRECISION_NOTE = (
    "[yellow]note:[/] trainer.precision=auto is decided by the machine that trains, and is part of what a cell is. "
    "Where the nodes' processors differ from this machine's give trainer.precision=bf16 or fp32; else what is said "
    "here of the cells is about other ones."
)

WIDE = 120
"""Characters of a line that goes to a file or a pipe."""

console = Console(file=FORGIVING, width=None if sys.stdout.isatty() else WIDE)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> float:
    """One cell."""
    from bench.sweeps.work import work

    return work(composed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks the whole command line, runs what is not done, and closes with a table; 0 only if every cell is done."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    dry = DRY_RUN in arguments
    arguments = [text for text in arguments if text != DRY_RUN]
    try:
        sweep = plan(arguments)
        if sweep is not None:
            check_roots(sweep)
        if dry and sweep is not None and sweep.searched:
            raise ConfigError(f"{DRY_RUN}: a search chooses its cells as it goes; there is no list to show")
    except BenchError as error:
        print(f"bench.run: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
        return 2
    if sweep is not None:
        say_environment(sweep.configs, arguments)
    waiting.choose()
    config.register()
    sys.argv[1:] = [overrides.spell(text) for text in in_order(arguments)]
    if sweep is None:
        job()
        return 0
    from bench.training.interrupts import GpuLost

    try:
        return _show(sweep) if dry else _run(sweep)
    except GpuLost as lost:
        console.print(str(lost), soft_wrap=True, highlight=False)
        return _anew(arguments)
    except BenchError as error:  # the tracking store: cells' own are theirs
        print(f"bench.run: {error}", file=sys.stderr)  # noqa: T201  # as above
        return 1


def _anew(arguments: Sequence[str]) -> int:
    """Replaces this process by a new one with the same command, ROUNDS times at most; then 1."""
    begun = int(os.environ.get(BEGUN, "1"))
    if begun == ROUNDS:
        console.print(f"lost {ROUNDS} times: ended here; the same command goes on")
        return 1
    os.environ[BEGUN] = str(begun + 1)
    sys.stdout.flush()
    command = [sys.executable, "-m", "bench.run", *arguments]
    return os.execv(sys.executable, command)  # noqa: S606  # it never returns, and no shell is asked


def _show(sweep: Sweep) -> int:
    from bench.sweeps.closing import outlook

    outlook(console, sweep, make=False)
    return 0


def _run(sweep: Sweep) -> int:
    from bench.sweeps.closing import closing_table
    from bench.training.interrupts import Interrupted

    crashed: list[str] = []
    cells = None
    _bring_in(sweep)
    try:
        if sweep.searched:
            return _search(sweep)
        if sweep.multirun:
            crashed, cells = _launch(sweep)
        else:
            job()
    except SystemExit as stop:  # Hydra's, after it printed an unexpected error
        crashed = [f"exit status {stop.code}"] if stop.code else []
    except Interrupted as stop:
        console.print(str(stop))
        return stop.code
    except KeyboardInterrupt:  # not while a cell trains here: between two, or in the launcher of others
        console.print("stopped; the same command goes on")
        return 128 + signal.SIGINT
    _say_crashed(crashed)
    done = closing_table(console, sweep.configs, cells)
    return max(done, int(bool(crashed)))


def _search(sweep: Sweep) -> int:
    """Searches, and closes with a table of the trials; 0 where one has finished."""
    from bench.sweeps.closing import closing_table
    from bench.sweeps.launch import launch
    from bench.sweeps.search import search
    from bench.sweeps.work import work

    best: list[float] = []

    def run(jobs: Sequence[Job], first: int) -> Sequence[float]:
        ended = launch(jobs, sweep.plain, work, first=first)
        _say_crashed(ended.crashed)
        reached = ended.reached or [math.nan] * len(jobs)
        best.extend(value for value in reached if not math.isnan(value))
        return reached

    closing_table(console, search(sweep, run, console) or sweep.configs)
    return int(not best)


def _say_crashed(crashed: Sequence[str]) -> None:
    for line in crashed:
        console.print(f"[red]crashed:[/] {line}", soft_wrap=True, highlight=False)


def _bring_in(sweep: Sweep) -> None:
    """Asks whether cells can be recorded, and uploads what this machine's earlier workers could not."""
    from bench.paths import in_project
    from bench.sync import sync
    from bench.tracking.stores import distinct, store_of

    online = distinct([one for one in sweep.configs if not one.tracking.offline])
    for one in online.values():
        store_of(one).check_writable()
    for uri, outputs in {(one.tracking.uri, one.outputs) for one in online.values()}:
        for outcome in sync(uri, in_project(outputs)):
            console.print(f"{outcome.name}: {outcome.said}", soft_wrap=True, highlight=False, markup=False)


def _launch(sweep: Sweep) -> tuple[list[str], "list[CellState] | None"]:
    """Hands what is to be done to the launcher; what a killed process left behind is started again.

    Returns:
        What crashed, a line each; and the cells' states, where nothing was to be done.
    """
    from bench.sweeps.launch import WorkerDiedError, launch
    from bench.sweeps.work import work

    if CLUSTERS & set(sweep.plain) and any(one.trainer.precision == "auto" for one in sweep.configs):
        console.print(PRECISION_NOTE, soft_wrap=True, highlight=False)
    died = ""
    for _ in range(ROUNDS):
        todo, cells = _todo(sweep)
        if not todo:
            return [], cells
        try:
            return launch(todo, sweep.plain, work).crashed, None
        except WorkerDiedError as error:
            died = str(error)
            console.print(f"[red]{died}[/]; what is left is started again", soft_wrap=True, highlight=False)
    return [died], None


def _todo(sweep: Sweep) -> tuple[list[Job], "list[CellState]"]:
    """The jobs whose cells are neither done nor, unless that is asked for, failed before; and the cells' states.

    Those that were never begun come first: of the others some are another worker's, and one may be what kills workers.
    """
    from bench.sweeps.closing import outlook
    from bench.sweeps.launch import pinned

    cells = outlook(console, sweep, make=True)
    settled = {"done"} if sweep.configs[0].retry == "failed" else {"done", "failed"}
    left = [
        (cell.run is not None, (*job, *pinned(one)))
        for job, one, cell in zip(sweep.jobs, sweep.configs, cells, strict=True)
        if cell.run is None or cell.state not in settled
    ]
    jobs = [job for _, job in sorted(left, key=lambda item: item[0])]
    return [(*job, f"sweep.size={len(jobs)}") for job in jobs], cells


if __name__ == "__main__":
    run_command(main)
