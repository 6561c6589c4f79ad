"""What a launcher of Hydra's runs: one job, in whatever process or on whatever machine."""

import os
import sys
from multiprocessing import current_process

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from analysis.printing import FORGIVING
from analysis.settings import forget_empty


def work(composed: DictConfig) -> float:
    """Runs one cell; its failure is recorded and said, and does not stop the sweep's others.

    Returns:
        The mean validation AUROC of its prediction, for a sweeper that searches; NaN where there is none.

    Raises:
        GpuLost: a launcher other than joblib's has to start this process anew.
    """
    from bench import config, waiting

    waiting.choose()  # a launcher's process, perhaps on another machine
    forget_empty()
    from bench.cells.runner import run_cell
    from bench.errors import BenchError
    from bench.quiet import quiet
    from bench.tracking.spool import ClaimTakenError
    from bench.tracking.stores import store_of
    from bench.training.interrupts import GpuLost

    quiet()
    console = Console(file=FORGIVING)
    hydra, size = HydraConfig.get(), composed.sweep.size
    job, by_joblib = hydra.job, hydra.runtime.choices.get("hydra/launcher") == "joblib"
    if by_joblib and composed.trainer.devices == 1:
        one_gpu()
    where = f"cell {job.num + 1} of {size}" if size > 1 else "cell"
    try:
        checked = config.to_config(composed)
        run = run_cell(checked, store_of(checked), announce=lambda text: console.print(f"[bold]{where}[/]  {text}"))
    except ClaimTakenError as taken:
        console.print(f"[bold]{where}[/]  {taken}", soft_wrap=True, highlight=False)
    except GpuLost as lost:
        if not by_joblib:
            raise
        console.print(f"[bold]{where}[/]  {lost}", soft_wrap=True, highlight=False)
        sys.stdout.flush()
        os._exit(1)  # joblib's parent starts its processes anew
    except BenchError as error:
        console.print(f"[red]failed:[/] {error}", soft_wrap=True, highlight=False)
    else:
        return float(run.metrics.get("valid/auroc", float("nan")))
    return float("nan")


def one_gpu() -> None:
    """Leaves this process of joblib's one of the GPUs that it sees: its processes, by their number, take turns.

    It must not have used CUDA yet; later calls change nothing.
    """
    import torch

    seen = torch.cuda.device_count()
    number = current_process().name.rpartition("-")[2]  # LokyProcess-3
    if seen > 1 and number.isdecimal():
        names = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(seen)))
        os.environ["CUDA_VISIBLE_DEVICES"] = names.split(",")[(int(number) - 1) % seen]
