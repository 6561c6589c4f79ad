"""The learning rate of `protocol.lr=auto`: the best of a small grid at the first evaluation on the validation split."""

import math
from pathlib import Path

from bench.cells.assembly import assemble
from bench.cells.identify import Found
from bench.errors import TrainingError
from bench.tracking.store import Record
from bench.training.checkpoints import MONITOR
from bench.training.distributed import peers
from bench.training.loop import fit


def search(record: Record, found: Found, folder: Path) -> float:
    """The learning rate of the grid with which the validation AUROC is highest at the first evaluation.

    Each is tried from the same start and with the same batches as the training itself; one whose loss is no number is
    out. A search that was interrupted goes on, as each trial has a folder of states.

    Args:
        record: gets `lr_search/<rate>`, and `lr`, the rate that was found.

    Raises:
        TrainingError: no rate of the grid gives a defined AUROC.
    """
    protocol, trainer = found.cell.config.protocol, found.cell.config.trainer
    reached = {}
    for lr in protocol.lr_grid:
        trial = folder / f"lr={lr:g}"
        with peers(trainer, _try, found, trial, lr):
            reached[lr] = _try(found, trial, lr)
    record.metrics({f"lr_search/{lr:g}": value for lr, value in reached.items()}, step=0)
    defined = {lr: value for lr, value in reached.items() if not math.isnan(value)}
    if not defined:
        raise TrainingError(f"no rate of protocol.lr_grid={protocol.lr_grid} gives a defined validation AUROC")
    best = max(defined, key=lambda lr: (defined[lr], -lr))
    record.metrics({"lr": best}, step=0)
    return best


def _try(found: Found, folder: Path, lr: float) -> float:
    """The mean validation AUROC at the first evaluation, NaN where the training broke."""
    assembly = assemble(found, folder, None, lr=lr, first_evaluation_only=True)
    training = assembly.training
    try:
        fit(training, assembly.module, assembly.train, assembly.evaluated["valid"])
    except TrainingError:
        return math.nan
    return training.reached[MONITOR]
