"""What is said of a sweep: before it starts, while it runs (`bench.status`), and at its end."""

import math
import shlex
import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis.store.uris import mask, resolve_uri
from bench.overrides import typed
from bench.schema import Config
from bench.sweeps.plan import Sweep
from bench.sweeps.survey import CellState, seconds_left, survey
from bench.tracking.stores import store_of

STATE_WIDTH = len("missing")
"""Characters: on a narrow terminal other columns give way first."""
MOST_ROWS = 40
"""Cells beyond which a table lists only those that are not done."""


def outlook(console: Console, sweep: Sweep, *, make: bool) -> list[CellState]:
    """Prints how many cells a sweep has, how many are done, and how long the rest may take; returns their states.

    Args:
        console: to print on.
        sweep: of the cells.
        make: as of `survey`.
    """
    cells = survey(sweep.configs, now=time.time(), make=make)
    counts = Counter(cell.state for cell in cells)
    said = [f"{counts[state]} {state}" for state in ("done", "running", "failed", "missing") if counts[state]]
    console.print(f"[bold]{len(cells)} cells:[/] {', '.join(said)}", highlight=False)
    if sweep.left_out:
        console.print(f"{len(sweep.left_out)} left out: their architecture has no such depth", highlight=False)
    _advise(console, cells, sweep.configs[0].retry)
    left = seconds_left(cells)
    if left > 0:
        console.print(f"about {duration(left)} of training left, one cell after the other", highlight=False)
    return cells


def closing_table(console: Console, configs: Sequence[Config], cells: Sequence[CellState] | None = None) -> int:
    """Prints the state of every cell, and where to look next.

    Args:
        console: to print on.
        cells: their states where they are known; else the tracking store is asked.

    Returns:
        0 only if all are done, else 1.
    """
    cells = survey(configs, now=time.time()) if cells is None else cells
    console.print(states_table(cells, now=time.time()))
    for cell in cells:
        if cell.state != "done":
            console.print(f"[red]{cell.name}[/]: {escape(cell.problem)}", soft_wrap=True, highlight=False)
    _advise(console, cells, configs[0].retry)
    for hint in _hints(configs[0]):
        console.print(hint, soft_wrap=True, highlight=False, markup=False)
    return int(any(cell.state != "done" for cell in cells))


def _hints(config: Config) -> list[str]:
    """Where to look next, to be pasted into a shell."""
    tracking = config.tracking
    if tracking.offline:
        words = typed("outputs", config.outputs), typed("tracking.uri", mask(tracking.uri))
        return [f"upload:   python -m bench.sync {' '.join(words)}"]
    uri = mask(resolve_uri(tracking.uri))
    look = f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    if uri.startswith("http"):
        look = f"{uri.rstrip('/')}/#/experiments/{store_of(config).server.experiment_id}"
    report = [f"experiment={tracking.experiment}", f"tracking.uri={mask(tracking.uri)}"]
    return [f"compare:  {look}", f"report:   python -m analysis.report {shlex.join(report)}"]


def _advise(console: Console, cells: Sequence[CellState], retry: str) -> None:
    """Says how cells that failed are trained again; those without a run are looked at anew in any case."""
    failed = sum(cell.state == "failed" and cell.run is not None for cell in cells)
    if failed and retry != "failed":
        console.print(
            f"{failed} failed and stay so: mend the reason, and add retry=failed to train them again", highlight=False
        )


def states_table(cells: Sequence[CellState], *, now: float) -> Table:
    """One row a cell; of a large sweep only those that are not done.

    Args:
        now: seconds since 1970; `heard` says how long ago the last heartbeat of a running cell was.
    """
    shown = [cell for cell in cells if len(cells) <= MOST_ROWS or cell.state != "done"]
    hidden = len(cells) - len(shown)
    title = f"{len(cells)} cell(s)" + (f", {hidden} done and not shown" if hidden else "")
    table = Table(title=title, title_justify="left")
    for name in ("cell", "state", "done", "img/s", "heard", "AUROC", "min"):
        words, width = name in ("cell", "state"), STATE_WIDTH if name == "state" else None
        table.add_column(name, justify="left" if words else "right", no_wrap=True, min_width=width)
    for cell in shown:
        metrics = cell.run.metrics if cell.run else {}
        auroc, seconds = (metrics.get(key, math.nan) for key in ("test/auroc", "fit_seconds"))
        progress = cell.run.progress if cell.run and cell.state != "done" else math.nan
        speed = metrics.get("train/images_per_second", cell.run.images_per_second if cell.run else math.nan)
        silent = now - cell.run.heartbeat if cell.run and cell.state == "running" else math.nan
        heard = "" if math.isnan(silent) else duration(max(silent, 0.0))  # another machine's clock may be ahead
        table.add_row(
            cell.name, cell.state, _number(progress, ".0%"), _number(speed, ".0f"), heard, _number(auroc, ".3f"),
            _number(seconds / 60, ".1f"),
        )  # fmt: skip
    return table


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `40 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size or (unit != "days" and seconds >= size):
            return f"{seconds / size:.{0 if unit == 'min' else 1}f} {unit}"
    return f"{seconds:.0f} s"
