"""Which states of a network count, and how they make one prediction: a named, tested rule.

The rule: evaluate on the validation split every so many images; keep the best few by mean validation AUROC; the
prediction is the mean of their probabilities. Source: the CheXpert paper's recipe (PROTOCOL, "checkpoints").
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from bench.module import Classifier, collect
from bench.schema import CheckpointsConfig

MONITOR = "valid/auroc"


def keep_best(folder: Path, config: CheckpointsConfig) -> ModelCheckpoint:
    """Lightning's callback that keeps the best `config.keep` states in `folder`, weights only."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="{step}",
        monitor=MONITOR,
        mode="max",
        save_top_k=config.keep,
        save_weights_only=True,
        save_on_train_epoch_end=False,  # after a validation, whose AUROC it is kept for
    )


def evaluation_interval(config: CheckpointsConfig, *, batch_size: int, batches: int, epochs: int) -> int:
    """Training steps between two evaluations.

    Args:
        config: `every_examples` images, or None for once an epoch.
        batch_size: images per step.
        batches: steps per epoch.
        epochs: of the protocol.

    Returns:
        At least 1, and no more than the steps of the whole training, so that at least one evaluation takes place.
    """
    wanted = batches if config.every_examples is None else config.every_examples // batch_size
    return min(max(wanted, 1), batches * epochs)


def mean_predictions(
    trainer: pl.Trainer, module: Classifier, paths: Sequence[Path], loader: DataLoader[dict[str, Any]]
) -> npt.NDArray[np.float64]:
    """Mean over checkpoints of the probabilities [images, tasks] float64; the module is left with the last one's.

    Raises:
        ValueError: no checkpoint.
    """
    if not paths:
        raise ValueError("no checkpoint was kept")
    total: npt.NDArray[np.float64] | None = None
    for path in sorted(paths):  # a fixed order, as float64 sums depend on it
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)
        scores = collect(trainer.predict(module, loader))  # type: ignore[arg-type]  # Lightning types it for several loaders
        total = scores if total is None else total + scores
    assert total is not None  # for the type checker: paths is not empty
    return total / len(paths)
