"""How far a cell's run has come, as a server or this machine's own record tells it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.tracking.record import FAILURE_TAG, HEARTBEAT_TAG, PROGRESS_TAG, SPEED_TAG
from bench.tracking.server import Run
from bench.tracking.spool import FINISHED, Spool

HOST_TAG = "host"
NAN = float("nan")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunState:
    """How far a cell's run has come.

    Attributes:
        run_id: "" for a cell that no tracking server knows of yet.
        status: MLflow's RUNNING, FINISHED, FAILED or KILLED.
        metrics: the last value of each.
        failure: first line of the reason; "" where there is none.
        progress: of the training, 0 to 1.
        images_per_second: of the training.
        heartbeat: when it was last heard of, in seconds since 1970 by its own clock.
        host: where it was last trained.
        started: when its run was made, in seconds since 1970.
        uploaded: whether the tracking server has all of it; False for a cell that is finished on this machine only.
    """

    run_id: str
    status: str
    metrics: Mapping[str, float]
    failure: str = ""
    progress: float = NAN
    images_per_second: float = NAN
    heartbeat: float = NAN
    host: str = ""
    started: float = NAN
    uploaded: bool = True


def choose(runs: Sequence[Run]) -> dict[str, RunState]:
    """By cell: the finished run where there is one, else the first; `runs` latest first."""
    chosen: dict[str, RunState] = {}
    for run in runs:
        cell = run.tags.get("cell", "")
        if cell not in chosen or (run.status == FINISHED and chosen[cell].status != FINISHED):
            chosen[cell] = _recorded(run)
    return chosen


def _recorded(run: Run) -> RunState:
    return _state(run.id, run.status, run.metrics, run.tags, run.started / 1000, uploaded=True)


def spooled(spool: Spool) -> RunState:
    """An attempt as its record on this machine tells it."""
    told = spool.summary()
    return _state(
        spool.position().run_id, told.status, told.metrics, told.tags, told.started / 1000, uploaded=spool.uploaded
    )


def _state(
    run_id: str, status: str, metrics: Mapping[str, float], tags: Mapping[str, str], started: float, *, uploaded: bool
) -> RunState:
    name = tags.get("mlflow.runName") or run_id
    progress, speed, heartbeat = (_number(tags, key, name) for key in (PROGRESS_TAG, SPEED_TAG, HEARTBEAT_TAG))
    failure = next(iter(tags.get(FAILURE_TAG, "").splitlines()), "")
    return RunState(
        run_id, status, metrics, failure, progress, speed, heartbeat, tags.get(HOST_TAG, ""), started, uploaded
    )


def _number(tags: Mapping[str, str], key: str, name: str) -> float:
    """A tag as a number; NaN, and said, where somebody edited it into none."""
    try:
        return float(tags.get(key, "nan"))
    except ValueError:
        logger.warning("run %s: its tag %s=%s is no number, and is not shown", name, key, tags[key])
        return NAN
