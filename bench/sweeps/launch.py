"""Hands a list of jobs to the launcher that the configuration names: Hydra's own, joblib's, submitit's or Ray's.

Hydra's sweepers expand a product; a sweep of ours is a list, of which the finished cells are left out. So the list goes
to the launcher directly, by the interface that every launcher has.
"""

import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from analysis.store.uris import mask
from bench import config
from bench.errors import BenchError
from bench.overrides import spell
from bench.paths import CONF
from bench.schema import Config


class WorkerDiedError(BenchError):
    """A launcher lost one of its processes, and with it what the others were to do."""


@dataclass(frozen=True)
class Ended:
    """What became of jobs.

    Attributes:
        crashed: the unexpected errors, one line a job; a cell that failed for a known reason is none.
        reached: what each job returned; NaN where it crashed, and empty where the cluster did not say.
    """

    crashed: list[str]
    reached: list[float]


def launch(
    jobs: Sequence[Sequence[str]], overrides: Sequence[str], work: Callable[[DictConfig], Any], *, first: int = 0
) -> Ended:
    """Runs every job.

    Args:
        jobs: the overrides of each, none of them about Hydra.
        overrides: plain ones of the command line, those about Hydra among them: `hydra/launcher=joblib`.
        first: number of the first one.

    Raises:
        WorkerDiedError: a process was killed, so that the launcher gave up the jobs that had not begun.
    """
    config.register()
    with initialize_config_dir(str(CONF), job_name="run", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None  # for the type checker: it was just initialised
        composed = hydra.compose_config(
            "config",
            [*config.searched(), *(spell(text) for text in overrides)],
            run_mode=RunMode.MULTIRUN,
            with_log_configuration=False,
        )
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(composed))
        launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=work, config=composed)
        try:
            ended = launcher.launch([[spell(text) for text in job] for job in jobs], initial_job_idx=first)
        except BrokenProcessPool as error:  # joblib's
            raise WorkerDiedError(f"a worker process died: {_first_line(error)}") from None
        except _lost_jobs() as error:  # the other jobs go on: the cluster has them
            return Ended([f"{_first_line(error)} (python -m bench.status follows the others)"], [])
    crashed = [problem for job in ended if (problem := _crash(job))]
    return Ended(crashed, [math.nan if _crash(job) else job.return_value for job in ended])


def pinned(checked: Config) -> list[str]:
    """Overrides that keep a job's record where this machine says, whatever MLFLOW_TRACKING_URI is set on a node.

    An address with a password is left to the node's environment: launchers keep overrides in files.
    """
    places = {"tracking.uri": checked.tracking.uri, "tracking.experiment": checked.tracking.experiment}
    return [
        f"{key}={QuotedString(value, Quote.single).with_quotes()}"
        for key, value in places.items()
        if mask(value) == value
    ]


def _crash(job: JobReturn) -> str:
    if job.status == JobStatus.COMPLETED:
        return ""
    error = job._return_value  # reading `return_value` raises it
    return f"{' '.join(job.overrides or [])}: {_first_line(error)}"


def _lost_jobs() -> tuple[type[Exception], ...]:
    """What the cluster launchers raise for a job that gave no answer; without importing what is not in use."""
    kinds: list[type[Exception]] = []
    if "submitit" in sys.modules:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        kinds += [FailedJobError, UncompletedJobError]
    if "ray" in sys.modules:
        from ray.exceptions import RayError

        kinds.append(RayError)
    return tuple(kinds)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
