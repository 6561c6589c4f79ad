"""A search: Optuna chooses the cells as it goes, by the validation AUROC of those that are finished.

It keeps no study of its own. The sampler is seeded and a finished cell is never trained again, so the same command
makes the same choices again, at no cost, and goes on where it was.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import OmegaConf
from rich.console import Console

from bench import config, overrides
from bench.errors import ConfigError
from bench.paths import in_project
from bench.sweeps.launch import pinned
from bench.sweeps.plan import Job, Sweep

if TYPE_CHECKING:
    import optuna

RESULTS = "optimization_results.yaml"
"""In `outputs`: `best_params` and `best_value`."""

Launch = Callable[[Sequence[Job], int], Sequence[float]]
"""Runs jobs, the first of which has this number, and gives what each reached; NaN where it failed."""


def search(sweep: Sweep, launch: Launch, console: Console) -> list[Any]:
    """Runs every trial; one that fails is a failed trial, and the search goes on.

    Returns:
        The configurations of the trials that are cells.
    """
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)  # a line a trial is ours already
    settings = sweep.search
    sampler = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}[settings["sampler"]]
    study = optuna.create_study(direction=settings["direction"], sampler=sampler(seed=settings["seed"]))
    space = config.parse(sweep.swept)
    tried: dict[Job, Any] = {}
    for first in range(0, settings["n_trials"], settings["n_jobs"]):
        batch = [study.ask() for _ in range(min(settings["n_jobs"], settings["n_trials"] - first))]
        jobs = [tuple(_suggestions(trial, space)) for trial in batch]
        cells = {job: cell for job in jobs if (cell := _cell((*sweep.cell, *job), console)) is not None}
        tried |= cells
        size = f"sweep.size={settings['n_trials']}"
        ran = launch([(*sweep.cell, *job, *pinned(one), size) for job, one in cells.items()], first) if cells else []
        reached = dict(zip(cells, ran, strict=True))
        for trial, job in zip(batch, jobs, strict=True):
            _tell(study, trial, reached.get(job, math.nan))
    _close(study, sweep, console)
    return list(tried.values())


def _suggestions(trial: "optuna.trial.Trial", space: Sequence[Override]) -> Iterator[str]:
    """The trial's overrides."""
    for override in space:
        key, value = override.get_key_element(), override.value()
        if not isinstance(value, IntervalSweep):
            yield f"{key}={trial.suggest_categorical(key, overrides.values(override))}"
        elif isinstance(value.start, int) and isinstance(value.end, int):
            yield f"{key}={trial.suggest_int(key, value.start, value.end, log='log' in value.tags)}"
        else:
            low, high = float(value.start or 0.0), float(value.end or 0.0)
            yield f"{key}={trial.suggest_float(key, low, high, log='log' in value.tags)!r}"


def _cell(job: Job, console: Console) -> Any:
    """The job's configuration; None, said, where the values do not fit each other, as a depth that a network lacks."""
    try:
        return config.compose_config(job)
    except ConfigError as error:
        console.print(f"[red]failed:[/] {' '.join(job)}: {error}", soft_wrap=True, highlight=False)
        return None


def _tell(study: "optuna.Study", trial: "optuna.trial.Trial", value: float) -> None:
    from optuna.trial import TrialState

    if math.isnan(value):
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)


def _close(study: "optuna.Study", sweep: Sweep, console: Console) -> None:
    finished = [trial for trial in study.trials if trial.value is not None]
    console.print(f"{len(finished)} of {len(study.trials)} trials finished", highlight=False)
    if not finished:
        return
    best = study.best_trial
    path = in_project(sweep.configs[0].outputs) / RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"name": "optuna", "best_params": best.params, "best_value": best.value}
    OmegaConf.save(OmegaConf.create(found), path)
    said = " ".join(f"{key}={value}" for key, value in best.params.items())
    console.print(f"best: {said}, validation AUROC {best.value:.4f} ({path})", soft_wrap=True, highlight=False)
