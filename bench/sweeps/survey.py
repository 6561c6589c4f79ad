"""How far the cells of a sweep are, from what the tracking store holds: one question for all of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.cells.cell import cell_name
from bench.cells.identify import identify
from bench.data.sets import DataSet, open_dataset
from bench.errors import BenchError, NotMadeError
from bench.networks.registry import architecture
from bench.schema import Config
from bench.tracking.claim import SILENT_SECONDS
from bench.tracking.store import RunState, Store
from bench.tracking.stores import distinct, place, store_of

Stores = Mapping[tuple[str, str, str, bool], Store]
"""What configurations name as their stores, each opened once."""


@dataclass(frozen=True)
class CellState:
    """One cell of a sweep.

    Attributes:
        name: `densenet121-pretrained-t0-s0`.
        arch: of the cell.
        hash: empty where the cell could not be told, as its data cannot be read.
        state: done, running, failed or missing (never begun, or interrupted: then there is a run).
        run: its run, where there is one.
        problem: why it is not done, in one line.
    """

    name: str
    arch: str
    hash: str
    state: str
    run: RunState | None
    problem: str


def stores(configs: Sequence[Config]) -> Stores:
    """Open the stores that configurations name, each once; makes neither store nor experiment.

    Raises:
        TrackingError: one cannot be used.
    """
    return {key: store_of(config, create=False) for key, config in distinct(configs).items()}


def survey(
    configs: Sequence[Config], *, now: float, make: bool = False, opened: Stores | None = None
) -> list[CellState]:
    """The state of each configuration's cell, in their order.

    Args:
        now: seconds since 1970.
        make: whether a generated data set is generated, and weights are fetched; else nothing is written anywhere.
        opened: the stores that they name; None opens them.

    Raises:
        TrackingError: a store cannot be used.
    """
    opened = stores(configs) if opened is None else opened
    data: dict[str, DataSet | BenchError] = {}
    cells = [(config, *_cell(config, opened[place(config)], data, make)) for config in configs]
    runs = {key: store.states() for key, store in opened.items()}
    return [_state(config, cell, problem, runs[place(config)].get(cell), now) for config, cell, problem in cells]


def _cell(
    config: Config, store: Store, opened: dict[str, DataSet | BenchError], make: bool
) -> tuple[str, BenchError | None]:
    """(hash, problem); `opened` keeps data sets from being read once a cell."""
    key = repr((config.data, config.evaluation.tasks))
    if key not in opened:
        try:
            opened[key] = open_dataset(config.data, scored=config.evaluation.tasks, make=make)
        except BenchError as error:
            opened[key] = error
    data = opened[key]
    if isinstance(data, BenchError):
        return "", data
    try:
        return identify(config, data, store, fetch=make).cell.hash, None
    except BenchError as error:
        return "", error


def _state(config: Config, cell: str, problem: BenchError | None, run: RunState | None, now: float) -> CellState:
    arch, name = config.arch.name, cell_name(architecture(config.arch), config)
    if problem is not None:
        state = "missing" if isinstance(problem, NotMadeError) else "failed"
        return CellState(name, arch, cell, state, None, str(problem))
    if run is None:
        return CellState(name, arch, cell, "missing", None, "not begun")
    if run.status == "FINISHED":
        return CellState(name, arch, cell, "done", run, "")
    if run.status == "FAILED":
        return CellState(name, arch, cell, "failed", run, run.failure)
    heard = run.started if math.isnan(run.heartbeat) else run.heartbeat
    if run.status == "RUNNING" and not now - heard > SILENT_SECONDS:
        return CellState(name, arch, cell, "running", run, f"running on {run.host}")
    progress = "" if math.isnan(run.progress) else f" at {run.progress:.0%}"
    why = f" by {run.failure}" if run.failure else ""
    return CellState(name, arch, cell, "missing", run, f"interrupted{progress}{why}; goes on when started again")


def seconds_left(cells: Sequence[CellState]) -> float:
    """Seconds of training that the cells which are not done will take, one after the other; NaN if none is done yet.

    As long as the finished ones of the same architecture took on average, or all finished ones where there is none.
    """
    taken: dict[str, list[float]] = {}
    for cell in cells:
        if cell.state == "done" and cell.run is not None and "fit_seconds" in cell.run.metrics:
            taken.setdefault(cell.arch, []).append(cell.run.metrics["fit_seconds"])
    if not taken:
        return math.nan
    every = fmean(seconds for some in taken.values() for seconds in some)
    return sum(fmean(taken.get(cell.arch, [every])) for cell in cells if cell.state != "done")
