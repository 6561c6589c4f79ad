"""Writes the report again whenever the experiment's runs have come further, until none of them goes on."""

import time
from collections.abc import Callable
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.settings import Settings
from analysis.store.io import FINISHED, load_runs
from analysis.tables import count

GOING = ("RUNNING", "SCHEDULED")
"""MLflow's words for a run that may yet come further."""

States = dict[str, str]
"""Status of each run, by its id."""


def watch(
    settings: Settings,
    refresh: Callable[[str], Path],
    say: Callable[[str], None],
    pause: Callable[[float], object] = time.sleep,
) -> int:
    """Refreshes until no run goes on: at two looks in a row, as between two cells of a sweep there may be none.

    Whatever stands in the way of a report (no store yet, no finished run, runs that must not be pooled) is said once
    and waited for.

    Args:
        settings: which experiment, and the seconds between two looks.
        refresh: writes the report and returns where; is given what makes it partial, at last "".

    Returns:
        0, or 1 where no report could be made of the runs at their end.
    """
    before: States = {}
    written: States | None = None
    said = ""
    while True:
        over, problem = False, ""
        try:
            now = _states(settings)
            over = bool(now) and now == before and not _going(now)
            before = now
            if over or now != written:
                index = refresh("" if over else _partial(now))
                written = now
                say(f"{index}: {_counts(now)}{'; no run goes on' if over else ''}")
        except AnalysisError as error:
            problem = str(error)
            if problem != said:
                say(problem if over else f"{problem}; waiting")
        said = problem
        if over:
            return 1 if problem else 0
        pause(settings.watch_seconds)


def _states(settings: Settings) -> States:
    runs = load_runs(settings.tracking.uri, settings.experiment)
    return {str(run): str(status) for run, status in zip(runs["run_id"], runs["status"], strict=True)}


def _going(states: States) -> int:
    return sum(status in GOING for status in states.values())


def _counts(states: States) -> str:
    finished = sum(status == FINISHED for status in states.values())
    return f"{finished} of {count(len(states), 'run')} finished, {_going(states)} running"


def _partial(states: States) -> str:
    return f"Partial, as the experiment is being watched while it runs: {_counts(states)}."
