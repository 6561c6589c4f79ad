"""The table at the end of a sweep: each cell, how it ended, and where to look next."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis.store import mask, resolve_uri
from bench.data.sets import DataSet, open_dataset
from bench.errors import BenchError
from bench.runner import identify, store_of
from bench.schema import Config
from bench.tracking import RunState


def closing_table(console: Console, configs: Sequence[Config]) -> int:
    """Prints the state of every cell from what MLflow holds.

    Returns:
        0 only if all are finished, else 1.
    """
    table = Table(title=f"{len(configs)} cell(s)", title_justify="left")
    for name in ("cell", "state", "test AUROC", "minutes"):
        table.add_column(name, justify="left" if name in ("cell", "state") else "right", no_wrap=name == "cell")
    opened: dict[str, DataSet] = {}
    failures = []
    for config in configs:
        name, run, problem = _state(config, opened)
        metrics = run.metrics if run else {}
        auroc, seconds = (metrics.get(key, float("nan")) for key in ("test/auroc", "fit_seconds"))
        state = "failed" if problem else run.status.lower() if run else "missing"
        table.add_row(name, state, f"{auroc:.3f}", f"{seconds / 60:.1f}")
        if state != "finished":
            failures.append(f"[red]{name}[/]: {escape(problem or (run.failure if run else '') or state)}")
    console.print(table)
    for failure in failures:
        console.print(failure, soft_wrap=True, highlight=False)
    tracking = configs[0].tracking
    console.print(
        f"compare:  mlflow ui --backend-store-uri {mask(resolve_uri(tracking.uri))}", soft_wrap=True, highlight=False
    )
    report = f"report:   python -m analysis.report experiment={tracking.experiment} tracking.uri={mask(tracking.uri)}"
    console.print(report, soft_wrap=True, highlight=False)
    return 1 if failures else 0


def _state(config: Config, opened: dict[str, DataSet]) -> tuple[str, RunState | None, str]:
    """(name of the cell, its run, why neither can be had); `opened` keeps data sets from being read once a cell."""
    try:
        key = repr(config.data)
        if key not in opened:
            opened[key] = open_dataset(config.data)
        cell = identify(config, opened[key]).cell
        return cell.name, store_of(config).find(cell.hash), ""
    except BenchError as error:
        return config.arch.name, None, str(error)
