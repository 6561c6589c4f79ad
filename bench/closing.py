"""The table at the end of a sweep: each cell, how it ended, and where to look next."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.errors import BenchError
from bench.runner import identify, store_of
from bench.schema import Config


def closing_table(console: Console, configs: Sequence[Config]) -> int:
    """Prints the state of every cell from what MLflow holds.

    Returns:
        0 only if all are finished, else 1.
    """
    table = Table(title=f"{len(configs)} cell(s)", title_justify="left")
    for name in ("cell", "state", "test AUROC", "minutes"):
        table.add_column(name, justify="left" if name in ("cell", "state") else "right", no_wrap=name == "cell")
    failures = []
    for config in configs:
        name, state, auroc, seconds, reason = _row(config)
        table.add_row(name, state, f"{auroc:.3f}", f"{seconds / 60:.1f}")
        if state != "finished":
            failures.append(f"[red]{name}[/]: {escape(reason or state)}")
    console.print(table)
    for failure in failures:
        console.print(failure, soft_wrap=True, highlight=False)
    experiment = configs[0].tracking.experiment
    uri = store_of(configs[0]).uri
    console.print(f"compare:  mlflow ui --backend-store-uri {uri}", soft_wrap=True, highlight=False)
    console.print(f"report:   python -m analysis.report experiment={experiment}", soft_wrap=True, highlight=False)
    return 1 if failures else 0


def _row(config: Config) -> tuple[str, str, float, float, str]:
    """(name, state, test AUROC, fit seconds, reason of a failure) of one cell."""
    nan = float("nan")
    try:
        cell = identify(config).cell
    except BenchError as error:
        return config.arch.name, "failed", nan, nan, str(error)
    run = store_of(config).find(cell.hash)
    if run is None:
        return cell.name, "missing", nan, nan, ""
    metrics = run.metrics
    return cell.name, run.status.lower(), metrics.get("test/auroc", nan), metrics.get("fit_seconds", nan), run.failure
