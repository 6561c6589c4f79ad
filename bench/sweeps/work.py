"""What a launcher of Hydra's runs: one job, in whatever process or on whatever machine."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from analysis.printing import FORGIVING


def work(composed: DictConfig) -> float:
    """Runs one cell; its failure is recorded and said, and does not stop the sweep's others.

    Args:
        composed: Hydra's configuration of the job.

    Returns:
        The mean validation AUROC of its prediction, for a sweeper that searches; NaN where there is none.
    """
    from bench import config
    from bench.cells.runner import run_cell
    from bench.errors import BenchError
    from bench.quiet import quiet
    from bench.tracking.claims import ClaimTakenError
    from bench.tracking.stores import store_of

    quiet()
    console = Console(file=FORGIVING)
    job, size = HydraConfig.get().job, composed.sweep.size
    where = f"cell {job.num + 1} of {size}" if size > 1 else "cell"
    try:
        checked = config.to_config(composed)
        run = run_cell(checked, store_of(checked), announce=lambda text: console.print(f"[bold]{where}[/]  {text}"))
    except ClaimTakenError as taken:
        console.print(f"[bold]{where}[/]  {taken}", soft_wrap=True, highlight=False)
    except BenchError as error:
        console.print(f"[red]failed:[/] {error}", soft_wrap=True, highlight=False)
    else:
        return float(run.metrics.get("valid/auroc", float("nan")))
    return float("nan")
