"""How far a cell's run has come, as a server or this machine's own record tells it."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.tracking.claim import CLAIM, HEARTBEAT_TAG, read
from bench.tracking.spool import FINISHED, RUNNING, Run

FAILURE_TAG, HOST_TAG, PROGRESS_TAG, SPEED_TAG = "failure", "host", "progress", "images_per_second"
NAN = float("nan")
RANK = {FINISHED: 2, RUNNING: 1}
"""Of several runs of a cell, which counts."""

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
    """By cell: the finished run where there is one, else one that runs, else the first; `runs` latest first."""
    chosen: dict[str, Run] = {}
    for run in runs:
        if run.cell not in chosen or RANK.get(run.status, 0) > RANK.get(chosen[run.cell].status, 0):
            chosen[run.cell] = run
    return {cell: state(run) for cell, run in chosen.items()}


def state(run: Run, *, uploaded: bool = True) -> RunState:
    """How far a run has come, from its tags; `uploaded` says whether the tracking server has all of it."""
    progress, speed, *heard = (_number(run, key) for key in (PROGRESS_TAG, SPEED_TAG, HEARTBEAT_TAG))
    heard += [read(value).get("heard", NAN) for key, value in run.tags.items() if key.startswith(CLAIM)]
    heartbeat = max((one for one in heard if not math.isnan(one)), default=NAN)
    failure = next(iter(run.tags.get(FAILURE_TAG, "").splitlines()), "")
    host, started = run.tags.get(HOST_TAG, ""), run.started / 1000
    return RunState(run.id, run.status, run.metrics, failure, progress, speed, heartbeat, host, started, uploaded)


def _number(run: Run, key: str) -> float:
    """A tag as a number; NaN, and said, where somebody edited it into none."""
    try:
        return float(run.tags.get(key, "nan"))
    except ValueError:
        logger.warning("run %s: its tag %s=%s is no number, and is not shown", run.name, key, run.tags[key])
        return NAN
